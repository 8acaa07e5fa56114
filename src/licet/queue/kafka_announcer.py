"""Announcements on a compacted Kafka topic, in transactions: what fences a publisher that was paused and comes back.

Without them, what such a one still had in flight would arrive after newer states, and the last record of a key would
be an old one for ever.
"""

import contextlib
from collections.abc import Iterator, Sequence

from confluent_kafka import KafkaException, Producer

from licet.queue.kafka import KafkaTopic, ensure_topic
from licet.queue.librdkafka import said, voice
from licet.queue.ports import Announcement, LogUnavailable

COMPACTED = (("cleanup.policy", "compact"),)
LIMIT_S = 3.0  # of each request; the publisher's session in the store lasts 8 s without a sign of life


class KafkaAnnouncer:
    """See ``queue.ports.Announcer``. For one thread; each request ends within ``LIMIT_S``."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._producer: Producer | None = None

    def open(self) -> None:
        """Make the topic where it is absent, and a producer that fences those before it."""
        if self._producer is not None:
            return
        ensure_topic(self._topic, LIMIT_S)
        promises = {
            "transactional.id": f"licet.publish.{self._topic.name}",
            "transaction.timeout.ms": 10_000,
            "delivery.timeout.ms": round(LIMIT_S * 1000),
            "partitioner": "murmur2_random",  # as of the log: see KafkaLog
        }
        with self._told():
            producer = Producer(self._topic.client({"linger.ms": 5}, promises), logger=voice(__name__))
            producer.init_transactions(LIMIT_S)
            self._producer = producer

    def send(self, announcements: Sequence[Announcement]) -> None:
        """Send all as one transaction; its commit waits for every delivery report."""
        if self._producer is None:
            raise LogUnavailable("the topic is not open")
        with self._told():
            self._producer.begin_transaction()
            for one in announcements:
                self._producer.produce(self._topic.name, one.value, one.key.encode(), headers=list(one.headers))
            self._producer.commit_transaction(LIMIT_S)

    def close(self) -> None:
        """Give up what is in flight: the next ``open``, here or elsewhere, aborts its transaction."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (KafkaException, BufferError) as error:
            self.close()
            reason = said(error) if isinstance(error, KafkaException) else "too many messages wait for Kafka"
            raise LogUnavailable(f"Kafka at {self._topic.brokers}, topic {self._topic.name}: {reason}") from error
