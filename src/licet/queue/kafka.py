"""The log on Apache Kafka: confluent-kafka's own threads under the two sides of ``queue/ports.py``.

The event loop itself asks the producer for delivery reports, each millisecond while any is to come. A thread for that
and the loop would take the interpreter's lock from each other: 4 of a post's 87 µs.
"""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from licet.queue.librdkafka import code_of, said, unavailable, voice
from licet.queue.message import PARTITIONS, TOPIC, Message, Position
from licet.queue.pending import PendingAppend, PendingAppends
from licet.queue.ports import AppendFailed, LogUnavailable

RETENTION_MS = 30 * 24 * 3600 * 1000
SLICE_S = 0.1  # how long a poll may sleep before it looks whether partitions moved
LOOK_S = 0.001  # how often the producer is asked for delivery reports while any is to come
IDLE_S = 1.0  # and else, for errors and log lines
_PROBE_S = 1.0
_log = logging.getLogger(__name__)


class KafkaTopic(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log is, and what the topic is like where Licet has to make it.

    ``brokers`` is ``host:port,host:port``. ``config`` holds librdkafka settings (SASL, TLS, limits); those that carry
    a promise of the port cannot be changed by it. ``made_with`` is the topic's own configuration.
    """

    brokers: str
    name: str = TOPIC
    partitions: int = PARTITIONS
    replication: int = 1
    config: Mapping[str, str] = {}
    made_with: Sequence[tuple[str, str]] = (("retention.ms", str(RETENTION_MS)),)

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


@contextlib.contextmanager
def asking(topic: KafkaTopic) -> Iterator[AdminClient]:
    """Lend a client that asks about the topic; what its calls raise becomes ``LogUnavailable``, with what to do."""
    heard: list[KafkaError] = []
    admin = AdminClient(topic.client({}, {"log_level": 0, "error_cb": heard.append}))
    try:
        yield admin
    except (KafkaException, TimeoutError) as error:
        admin.poll(0)
        raise unavailable(f"Kafka at {topic.brokers}, topic {topic.name}", error, heard) from error


def ensure_topic(topic: KafkaTopic, timeout: float = 4.0) -> None:
    """Make the topic unless it exists; one that exists is left as it is. Blocks up to about ``timeout`` seconds.

    It lists all topics first: asking for one by name would let a broker make it, with its own number of partitions.
    Raises ``LogUnavailable``.
    """
    wanted = NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.made_with))
    with asking(topic) as admin:
        if topic.name in admin.list_topics(timeout=timeout).topics:
            return
        made = admin.create_topics([wanted], operation_timeout=timeout, request_timeout=timeout)
        try:
            made[topic.name].result(timeout)
        except KafkaException as error:
            if code_of(error) == KafkaError.TOPIC_ALREADY_EXISTS:
                return
            raise
        deadline = time.monotonic() + timeout
        while topic.name not in admin.list_topics(timeout=timeout).topics and time.monotonic() < deadline:
            time.sleep(SLICE_S)  # the brokers hear of it a moment later


class KafkaLog:
    """``ChangeLog`` on a Kafka topic, which it makes before its first append. Used from one event loop."""

    def __init__(self, topic: KafkaTopic, *, timeout: float = 4.0) -> None:
        self.name = f"kafka:{topic.name}"
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
        self._topic_there = False
        self._pending = PendingAppends(timeout)
        self._open = True
        self._producer = Producer(self._settings, logger=voice(__name__))
        self._ended: list[Producer] = []
        self._next_look: asyncio.TimerHandle | None = None
        self._looks_often = False

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append; the position comes from the broker's delivery report under acks=all and from nowhere else."""
        loop = self._running()
        deadline = loop.time() + self._timeout
        if not self._topic_there or not self._open:
            failed = await self._waits_for()
            if failed is not None:
                return [AppendFailed(failed)] * len(messages)
        if not messages:
            return []
        call = PendingAppend(len(messages), loop)
        for index, message in enumerate(messages):
            refused = self._produce(message, call, index)
            if refused is not None:
                call.settle(index, refused)
        if not self._looks_often:
            self._look_again(loop, often=True)
        return await self._pending.wait(call, deadline)

    async def ready(self) -> str | None:
        """Ask the brokers for the topic; at most about a second, once the topic is known."""
        self._running()
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
        """Send what is in flight, at most for the time-out."""
        if not self._open:
            return
        self._open = False
        loop = self._running()
        end = loop.time() + self._timeout
        while (len(self._producer) or self._ended) and loop.time() < end:
            self._take_reports()
            await asyncio.sleep(LOOK_S)
        if self._next_look is not None:
            self._next_look.cancel()

    async def _waits_for(self) -> str | None:
        """Make sure of the topic, once for all callers; say what is missing."""
        if not self._open:
            return "the log is closed"
        if self._topic_there:
            return None
        task = self._topic_known
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
        self._topic_there = True
        return None

    def _produce(self, message: Message, call: PendingAppend, index: int) -> AppendFailed | None:
        try:
            self._producer.produce(
                self._topic.name,
                message.value,
                message.key.encode(),
                on_delivery=functools.partial(_settle, call, index),
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

    def _running(self) -> asyncio.AbstractEventLoop:
        """Return the event loop; from the first call on it looks for what the producer has to say."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._look_again(self._loop, often=False)
        return self._loop

    def _look_again(self, loop: asyncio.AbstractEventLoop, *, often: bool) -> None:
        self._looks_often = often
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = loop.call_later(LOOK_S if often else IDLE_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._take_reports()
        self._look_again(loop, often=bool(self._pending))

    def _take_reports(self) -> None:
        """Serve the reports, errors and log lines that are there."""
        for producer in (self._producer, *self._ended):
            try:
                producer.poll(0)
            except (KafkaException, SystemError) as error:  # the second where reports followed a fatal error
                if producer is self._producer:
                    _log.error("Kafka's producer ended and is made anew: %s", error.__cause__ or error)
                    # Idempotence ends with a fatal error: the old one refuses all, and its reports are to come.
                    producer.purge()
                    self._ended.append(producer)
                    self._producer = Producer(self._settings, logger=voice(__name__))
        self._ended = [ended for ended in self._ended if len(ended)]


def _settle(call: PendingAppend, index: int, error: KafkaError | None, message: confluent_kafka.Message) -> None:
    """Take one delivery report."""
    if error is None:
        call.settle(index, Position(message.partition() or 0, message.offset() or 0))
    else:
        call.settle(index, AppendFailed(f"{error.str()}; the message may be written all the same"))
