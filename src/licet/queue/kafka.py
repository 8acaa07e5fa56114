"""The log on Apache Kafka: confluent-kafka's own threads under the two sides of ``queue/ports.py``.

The producer's poll thread hands delivery reports to the event loop, once per burst: with a wake-up per report, 64
tasks got 20 to 25 thousand appends a second, with one per burst 26 to 29.
"""

import asyncio
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from licet.queue.librdkafka import code_of, record_of, said
from licet.queue.message import PARTITIONS, TOPIC, Message, Position, Record
from licet.queue.pending import PendingAppend
from licet.queue.ports import AppendFailed, LogGap, LogUnavailable, Positions

GROUP = "licet-worker"
RETENTION_MS = 30 * 24 * 3600 * 1000
SLICE_S = 0.1  # how long a poll may sleep before it looks whether partitions moved
_PROBE_S = 1.0
_FROM_START: int = confluent_kafka.OFFSET_BEGINNING
_log = logging.getLogger(__name__)


class KafkaTopic(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log is, and what the topic is like where Licet has to make it.

    ``brokers`` is ``host:port,host:port``. ``config`` holds librdkafka settings (SASL, TLS, limits); those that carry
    a promise of the port cannot be changed by it.
    """

    brokers: str
    name: str = TOPIC
    partitions: int = PARTITIONS
    replication: int = 1
    config: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"KafkaTopic({self.brokers}, {self.name})"  # the config may hold a password

    def client(self, defaults: Mapping[str, object], promises: Mapping[str, object]) -> dict[str, Any]:
        """Build a client's settings: ``config`` wins over the defaults, the promises over both."""
        common = {
            "client.id": "licet",
            "socket.keepalive.enable": True,
            "socket.timeout.ms": 5000,
            # Well below the door's first wait (1.5 s): a client that comes back late would open the spool again.
            "reconnect.backoff.max.ms": 300,
            # A topic that was refused stays refused until the next look; librdkafka's own 5 minutes are too long.
            "topic.metadata.refresh.interval.ms": 10000,
        }
        return {**common, **defaults, **self.config, **promises, "bootstrap.servers": self.brokers}


def ensure_topic(topic: KafkaTopic, timeout: float = 4.0) -> None:
    """Make the topic unless it exists; one that exists is left as it is. Blocks up to about ``timeout`` seconds.

    It lists all topics first: asking for one by name would let a broker make it, with its own number of partitions.
    Raises ``LogUnavailable``.
    """
    admin = AdminClient(topic.client({}, {"log_level": 0}))
    wanted = NewTopic(topic.name, topic.partitions, topic.replication, config={"retention.ms": str(RETENTION_MS)})
    try:
        if topic.name not in admin.list_topics(timeout=timeout).topics:
            made = admin.create_topics([wanted], operation_timeout=timeout, request_timeout=timeout)
            made[topic.name].result(timeout)
            deadline = time.monotonic() + timeout
            while topic.name not in admin.list_topics(timeout=timeout).topics and time.monotonic() < deadline:
                time.sleep(SLICE_S)  # the brokers hear of it a moment later
    except (KafkaException, TimeoutError) as error:
        if code_of(error) != KafkaError.TOPIC_ALREADY_EXISTS:
            raise LogUnavailable(f"Kafka at {topic.brokers}, topic {topic.name}: {said(error)}") from error


class KafkaLog:
    """``ChangeLog`` on a Kafka topic, which it makes before its first append. Used from one event loop."""

    def __init__(self, topic: KafkaTopic, *, timeout: float = 4.0) -> None:
        self._topic = topic
        self._timeout = timeout
        self._settings = topic.client(
            {"linger.ms": 1, "socket.nagle.disable": True},
            {
                "acks": "all",
                "enable.idempotence": True,
                # The Java clients' choice; librdkafka's own default sends one customer to two partitions.
                "partitioner": "murmur2_random",
                "delivery.timeout.ms": round(timeout * 1000),
            },
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._topic_known: asyncio.Task[None] | None = None
        self._reports: deque[tuple[PendingAppend, int, KafkaError | None, confluent_kafka.Message]] = deque()
        self._woken = False
        self._open = True
        self._producer = self._new_producer()
        self._thread = threading.Thread(target=self._serve, name="licet-kafka-reports", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """``kafka:`` and the topic."""
        return f"kafka:{self._topic.name}"

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append; the position comes from the broker's delivery report under acks=all and from nowhere else."""
        self._loop = loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        failed = await self._waits_for()
        if failed is not None or not messages:
            return [AppendFailed(failed or "")] * len(messages)
        call = PendingAppend(len(messages))
        for index, message in enumerate(messages):
            refused = self._produce(message, call, index)
            if refused is not None:
                call.settle(index, refused)
        return await call.wait(deadline - loop.time())

    async def ready(self) -> str | None:
        """Ask the brokers for the topic; at most about a second, once the topic is known."""
        waits = await self._waits_for()
        if waits is not None:
            return waits
        try:
            listed = await asyncio.to_thread(self._producer.list_topics, self._topic.name, _PROBE_S)
        except KafkaException as error:
            return f"Kafka at {self._topic.brokers}: {said(error)}"
        found = listed.topics[self._topic.name]
        headless = [number for number, partition in found.partitions.items() if partition.leader < 0]
        if found.error is not None or headless:
            return f"the topic {self._topic.name}: {found.error or f'no leader for the partitions {headless}'}"
        return None

    async def close(self) -> None:
        """Send what is in flight, at most for the time-out, then stop the poll thread."""
        if self._open:
            self._open = False
            await asyncio.to_thread(self._thread.join)
            await asyncio.to_thread(self._producer.flush, self._timeout)

    async def _waits_for(self) -> str | None:
        """Make sure of the topic, once for all callers; say what is missing."""
        if not self._open:
            return "the log is closed"
        task = self._topic_known
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            return None
        if task is None or task.done():
            # Two or three requests; who waits gives up at the time-out, and who comes later finds what they did.
            work = asyncio.to_thread(ensure_topic, self._topic, min(self._timeout * 0.45, 1.8))
            task = self._topic_known = asyncio.create_task(work)
        done, _ = await asyncio.wait({task}, timeout=self._timeout)
        if not done:
            return f"Kafka at {self._topic.brokers} has not told of the topic {self._topic.name}"
        try:
            task.result()
        except LogUnavailable as error:
            return str(error)
        return None

    def _produce(self, message: Message, call: PendingAppend, index: int) -> AppendFailed | None:
        try:
            self._producer.produce(
                self._topic.name,
                message.value,
                message.key.encode(),
                on_delivery=functools.partial(self._report, call, index),
                headers=message.headers(),  # type: ignore[arg-type]  # it takes a list of pairs, and says "str | dict"
            )
        except BufferError:
            return AppendFailed("too many messages wait for Kafka")
        except UnicodeEncodeError as error:
            return AppendFailed(f"not written: {error}", permanent=True)
        except KafkaException as error:
            # Only the client's own word counts as permanent: a broker judges a batch, and the innocent with it.
            return AppendFailed(said(error), permanent=code_of(error) == KafkaError.MSG_SIZE_TOO_LARGE)
        return None

    def _report(
        self, call: PendingAppend, index: int, error: KafkaError | None, message: confluent_kafka.Message
    ) -> None:
        """Take one delivery report, in the poll thread."""
        self._reports.append((call, index, error, message))
        if not self._woken and self._loop is not None:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._settle)
            except RuntimeError:  # the loop has ended, and with it everyone who waited
                self._woken = False

    def _settle(self) -> None:
        """Settle all reports there are, in the event loop."""
        self._woken = False  # before the look: a report that comes during it wakes the loop again
        while self._reports:
            call, index, error, message = self._reports.popleft()
            if error is None:
                call.settle(index, Position(message.partition() or 0, message.offset() or 0))
            else:
                call.settle(index, AppendFailed(f"{error.str()}; the message may be written all the same"))

    def _new_producer(self) -> Producer:
        return Producer(self._settings, logger=_log)

    def _serve(self) -> None:
        while self._open:
            try:
                self._producer.poll(SLICE_S)
            except (KafkaException, SystemError) as error:  # the second where reports followed a fatal error
                _log.error("Kafka's producer ended and is made anew: %s", error.__cause__ or error)
                self._replace()

    def _replace(self) -> None:
        """Begin with a new producer: idempotence cannot go on after a fatal error, and the old one refuses all."""
        ended, self._producer = self._producer, self._new_producer()
        try:
            ended.purge()
            ended.flush(_PROBE_S)
        except (KafkaException, SystemError) as error:
            _log.error("reports of the ended producer are lost; their callers wait for the time-out: %s", error)


class KafkaReader:
    """``LogReader`` on a Kafka topic; one consumer of a group whose members share the partitions.

    The eager protocol: at a rebalance a reader gives up all partitions and starts the ones it gets from the store's
    offsets. Kafka's own committed offsets are never read.
    """

    def __init__(self, topic: KafkaTopic, positions: Positions, *, group: str = GROUP) -> None:
        self._topic = topic
        self._positions = positions
        self._next: dict[int, int] = {}
        self._granted: frozenset[int] | None = None
        self._restart = False
        self._away: str | None = None
        self._joined = False
        settings = topic.client(
            {
                "session.timeout.ms": 6000,  # another reader takes over from a dead one after this
                "heartbeat.interval.ms": 1500,
                "max.poll.interval.ms": 60000,  # and from one that hangs after this
                "fetch.wait.max.ms": 100,  # a seek waits for the fetch under way
                "fetch.error.backoff.ms": 100,
                "fetch.queue.backoff.ms": 10,
                "queued.min.messages": 10000,
            },
            {
                "group.id": group,
                "group.protocol": "classic",
                "partition.assignment.strategy": "range",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "error_cb": self._noted,
                "on_commit": _committed,
            },
        )
        self._consumer = Consumer(settings, logger=_log)

    @property
    def name(self) -> str:
        """``kafka:`` and the topic."""
        return f"kafka:{self._topic.name}"

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that this reader holds now."""
        return frozenset(self._next)

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Return what is there, up to ``limit``; raises ``LogGap`` where Kafka lacks the offset that comes next."""
        deadline = time.monotonic() + timeout
        if not self._joined:
            ensure_topic(self._topic)
            self._consumer.subscribe([self._topic.name], self._on_assign, self._on_revoke, self._on_revoke)
            self._joined = True
        while True:
            self._place()
            records = self._fetch(limit, min(max(deadline - time.monotonic(), 0), SLICE_S))
            if records:
                self._away = None
                return records
            if self._away is not None:
                self._probe()
            if time.monotonic() >= deadline:
                return records

    def seek(self, partition: int, offset: int) -> None:
        """Read the partition from ``offset`` on, from the next poll."""
        self._next[partition] = offset
        self._restart = True

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell Kafka, without waiting; a failure is logged, for only lag tools look."""
        mine = [TopicPartition(self._topic.name, p, offset) for p, offset in offsets.items() if p in self._next]
        if not mine:
            return
        try:
            self._consumer.commit(offsets=mine, asynchronous=True)
        except KafkaException as error:
            _log.warning("offsets not committed to Kafka: %s", said(error))

    def lag(self) -> Mapping[int, int]:
        """Count by the ends that the last fetches told; a partition not yet fetched is left out."""
        behind = {}
        for partition, following in self._next.items():
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic.name, partition), cached=True)
            if high >= 0:
                behind[partition] = max(0, high - (following if following >= 0 else max(low, 0)))
        return behind

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        # The store is asked later, in poll: an error raised in here would leave Kafka's own offsets in force.
        self._granted = frozenset(each.partition for each in partitions)
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: Collection[TopicPartition]) -> None:
        self._next.clear()
        self._granted = None
        consumer.unassign()

    def _place(self) -> None:
        """Start the partitions newly assigned, or all anew after a seek."""
        if self._granted is not None:
            known = self._positions(self._granted)
            self._next = {partition: known.get(partition, _FROM_START) for partition in sorted(self._granted)}
            self._granted, self._restart = None, True
        if self._restart:
            self._consumer.assign([TopicPartition(self._topic.name, *at) for at in self._next.items()])
            self._restart = False

    def _fetch(self, limit: int, wait: float) -> list[Record]:
        """Take one message as soon as it comes and the rest that is there: ``consume`` alone would wait for all."""
        try:
            first = self._consumer.poll(wait)
            if first is None:
                return []
            messages = [first, *self._consumer.consume(limit - 1, 0)] if limit > 1 else [first]
        except KafkaException as error:
            self._restart = True
            raise LogUnavailable(f"{self.name}: {said(error)}") from error
        # What was fetched before partitions moved belongs to no one now; it is read again from the store's offset.
        held = [message for message in messages if message.partition() in self._next or message.error() is not None]
        for message in held:
            if message.error() is not None:
                self._judge(message)
        records = [record_of(self.name, message) for message in held if message.error() is None]
        for record in records:
            self._next[record.partition] = record.offset + 1
        return records

    def _judge(self, message: confluent_kafka.Message) -> None:
        """Raise unless the error can be passed over; the records beside it are read again."""
        error = message.error()
        if error is None or error.code() in (KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED):  # noqa: SLF001 Kafka's name
            return
        self._restart = True
        where = f"{self.name}, partition {message.partition()}"
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001 Kafka's name
            wanted = self._next.get(message.partition() or 0)
            raise LogGap(f"{where}: the next offset to apply, {wanted}, is not in the topic: {error.str()}")
        raise LogUnavailable(f"{where}: {error.str()}")

    def _noted(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION):  # noqa: SLF001 Kafka's names
            self._away = error.str()

    def _probe(self) -> None:
        """Find out whether Kafka is still away: it says when it goes, and not when it comes back."""
        try:
            self._consumer.list_topics(self._topic.name, _PROBE_S)
        except KafkaException as error:
            raise LogUnavailable(f"Kafka at {self._topic.brokers}: {self._away}") from error
        self._away = None


def _committed(error: KafkaError | None, _partitions: Collection[TopicPartition]) -> None:
    if error is not None:
        _log.warning("offsets not committed to Kafka: %s", error.str())
