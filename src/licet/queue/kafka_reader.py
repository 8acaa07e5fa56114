"""The worker's side of the log on Apache Kafka; see ``queue/kafka.py``."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition

from licet.queue.kafka import KafkaTopic, asking, ensure_topic
from licet.queue.librdkafka import record_of, said, voice
from licet.queue.message import Record
from licet.queue.ports import Extent, Held, LogGap, LogUnavailable, Positions

GROUP = "licet-worker"
SLICE_S = 0.1  # how long a poll may sleep before it looks whether partitions moved
_PROBE_S = 1.0
_FROM_START: int = confluent_kafka.OFFSET_BEGINNING
_ASK_S = 10.0  # how often a reader asks whether the topic is still the same
_SURVEY_S = 5.0
_NAME_S = 4.0
_AS_KAFKA_SAYS = str.maketrans("+/", "-_")  # its own tools write ids so
_log = logging.getLogger(__name__)


def ledger_name(topic: KafkaTopic) -> str:
    """Ask for the log's name in the ledger: ``kafka:``, the topic, ``@`` and the id that Kafka gave it.

    A topic made anew has another id, and so is another log. A broker older than 2.8 gives none: the name ends in the
    ``@`` there, and a topic made anew shows only in its offsets. Raises ``LogUnavailable``.
    """
    with asking(topic) as admin:
        asked = admin.describe_topics(TopicCollection([topic.name]), request_timeout=_NAME_S)
        found = asked[topic.name].result(_NAME_S + 1).topic_id
    known = found.get_most_significant_bits() or found.get_least_significant_bits()
    return f"kafka:{topic.name}@{str(found).translate(_AS_KAFKA_SAYS) if known else ''}"


class KafkaReader(Held):
    """``LogReader`` on a Kafka topic; one consumer of a group whose members share the partitions.

    The eager protocol: at a rebalance a reader gives up all partitions and starts the ones it gets from the store's
    offsets. Kafka's own committed offsets are never read.
    """

    def __init__(self, topic: KafkaTopic, positions: Positions, *, group: str = GROUP) -> None:
        super().__init__(f"kafka:{topic.name}", positions)
        self._topic = topic
        self._granted: frozenset[int] | None = None  # to be placed before the next read
        self._ask_at = 0.0
        self._away: str | None = None
        self._joined = False
        self._settings = topic.client(
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
        self._consumer = Consumer(self._settings, logger=voice(__name__))

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Return what is there, up to ``limit``; raises ``LogGap`` where Kafka lacks the offset that comes next."""
        deadline = time.monotonic() + timeout
        while True:
            self._join()
            self._place()
            records = self._fetch(limit, min(max(deadline - time.monotonic(), 0), SLICE_S))
            if records:
                self._away = None
                return records
            if self._away is not None:
                self._probe()
            if time.monotonic() >= deadline:
                return records

    def refresh(self) -> None:
        """Ask the store again where the partitions stand, before the next read."""
        if self._granted is None and self._next:
            self._granted = frozenset(self._next)

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
        for partition, following in self._reading().items():
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic.name, partition), cached=True)
            if high >= 0:
                behind[partition] = max(0, high - (following if following >= 0 else max(low, 0)))
        return behind

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _join(self) -> None:
        if not self._joined:
            ensure_topic(self._topic)
            self._consumer.subscribe([self._topic.name], self._on_assign, self._on_revoke, self._on_revoke)
            self._joined = True

    def _renew(self) -> None:
        """Read on with another consumer: librdkafka takes the leader epochs of a topic made anew for stale.

        They begin at 0 again, those of the old topic grew with each restart of a broker; the old consumer would never
        fetch again (librdkafka 2.16).
        """
        self._consumer.close()
        self._consumer = Consumer(self._settings, logger=voice(__name__))
        self._joined = False
        self._next, self._granted = {}, None

    def _on_assign(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        # The store is asked later, in poll: an error raised in here would leave Kafka's own offsets in force.
        self._granted = frozenset(each.partition for each in partitions)
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: Collection[TopicPartition]) -> None:
        self._next.clear()
        self._granted = None
        consumer.unassign()

    def _place(self) -> None:
        """Start the partitions assigned where the store stands. Now and then, look whether the topic was made anew."""
        if self._granted is None and (not self._next or time.monotonic() < self._ask_at):
            return
        name = ledger_name(self._topic)
        self._ask_at = time.monotonic() + _ASK_S
        if "@" in self.name and name != self.name:
            self._renew()
            self.name = name
        if self._granted is None:
            return
        known = self._positions(name, self._granted)
        self.name = name
        self._next = {partition: known.get(partition, _FROM_START) for partition in sorted(self._granted)}
        self._granted = None
        self._consumer.assign([TopicPartition(self._topic.name, *place) for place in self._reading().items()])

    def _fetch(self, limit: int, wait: float) -> list[Record]:
        """Take one message as soon as it comes and the rest that is there: ``consume`` alone would wait for all."""
        try:
            first = self._consumer.poll(wait)
            if first is None:
                return []
            messages = [first, *self._consumer.consume(limit - 1, 0)] if limit > 1 else [first]
        except KafkaException as error:
            self.refresh()
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
        self.refresh()
        partition = message.partition() or 0
        wanted = self._next.get(partition)
        if wanted is not None and error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001 Kafka's name
            first, end = _watermarks(self._consumer, self._topic.name, partition, _PROBE_S)
            if ledger_name(self._topic) != self.name:  # asked last: else the extent may be another log's
                raise LogUnavailable(f"{self.name} was made anew")
            raise LogGap(partition, wanted, first, end)
        raise LogUnavailable(f"{self.name}, partition {partition}: {error.str()}")

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


def _watermarks(consumer: Consumer, topic: str, partition: int, timeout: float) -> tuple[int, int]:
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout)
    except KafkaException as error:
        raise LogUnavailable(f"Kafka, topic {topic}, partition {partition}: {said(error)}") from error
    return first, end


class KafkaSurvey:
    """``LogSurvey`` on a Kafka topic, with consumers that join no group."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._consumer().close()  # a setting that Kafka's client does not take is told at once, as elsewhere

    def extents(self) -> tuple[str, Mapping[int, Extent]]:
        """Return the log's name in the ledger and what each partition holds."""
        name = ledger_name(self._topic)
        consumer = self._consumer()
        try:
            partitions = consumer.list_topics(self._topic.name, _SURVEY_S).topics[self._topic.name].partitions
            found = {each: _watermarks(consumer, self._topic.name, each, _SURVEY_S) for each in sorted(partitions)}
        except KafkaException as error:
            raise LogUnavailable(f"Kafka at {self._topic.brokers}: {said(error)}") from error
        finally:
            consumer.close()
        return name, {partition: Extent(*extent) for partition, extent in found.items()}

    def count(self, partition: int, start: int, stop: int) -> int:
        """Read the range and count: offsets may belong to Kafka's own markers, which are no records."""
        consumer = self._consumer()
        found, deadline = 0, time.monotonic() + _SURVEY_S
        try:
            consumer.assign([TopicPartition(self._topic.name, partition, start)])
            while True:
                message = consumer.poll(SLICE_S)
                error = message.error() if message is not None else None
                if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 Kafka's name
                    return found
                if error is not None or time.monotonic() > deadline:
                    what = error.str() if error is not None else "no answer in time"
                    raise LogUnavailable(f"Kafka at {self._topic.brokers}, partition {partition}: {what}")
                if message is not None:
                    if (message.offset() or 0) >= stop:
                        return found
                    found, deadline = found + 1, time.monotonic() + _SURVEY_S
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        promises = {"group.id": "licet-survey", "enable.partition.eof": True, "auto.offset.reset": "error"}
        return Consumer(self._topic.client({}, {**promises, "enable.auto.commit": False}), logger=voice(__name__))
