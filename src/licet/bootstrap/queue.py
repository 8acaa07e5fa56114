"""The queue: Kafka where brokers are named, else PostgreSQL."""

import contextlib
from collections.abc import Iterator

import msgspec
from confluent_kafka import KafkaException

from licet.domain.errors import ConfigurationError
from licet.observe.metrics import Metrics
from licet.queue.drain import GIVE_UP_S, Drainer
from licet.queue.kafka import KafkaLog, KafkaTopic, ensure_topic
from licet.queue.kafka_announcer import COMPACTED, KafkaAnnouncer
from licet.queue.kafka_reader import KafkaReader, KafkaSurvey
from licet.queue.librdkafka import said
from licet.queue.ports import ChangeLog, LogReader, LogSurvey, LogUnavailable, Positions
from licet.queue.postgres import PostgresLog, log_name
from licet.queue.postgres_reader import PostgresReader, PostgresSurvey
from licet.queue.spool import KAFKA_SHARE, SPOOL_SHARE, SpoolLog
from licet.queue.spool_state import SpoolState
from licet.settings import Settings


def check_queue(settings: Settings) -> None:
    """Make the topic where Kafka is used and has none. Raises ``ConfigurationError`` where Kafka does not answer."""
    away = queue_away(settings)
    if away is not None:
        raise ConfigurationError(away)


def queue_away(settings: Settings) -> str | None:
    """Make the topic where Kafka is used and has none; says what Kafka lacks. A door can start without it."""
    if settings.kafka_brokers:
        try:
            with _kafka_told(settings):
                ensure_topic(_topic(settings))
        except LogUnavailable as error:
            return f"{error}: {error.todo}" if error.todo else str(error)
    return None


@contextlib.contextmanager
def _kafka_told(settings: Settings) -> Iterator[None]:
    """Turn what Kafka's client says of a wrong setting into words without a secret; it quotes values."""
    try:
        yield
    except KafkaException as error:
        text = said(error)
        for _, value in settings.kafka_config:
            text = text.replace(f'"{value}"', "(not shown)")
        raise ConfigurationError(f"LICET_KAFKA_CONFIG: {text}") from None


def queue_name(settings: Settings) -> str:
    """Say in words which queue is in use."""
    if settings.kafka_brokers:
        return f"Kafka at {settings.kafka_brokers}, topic {settings.kafka_topic}"
    return "PostgreSQL; Kafka when LICET_KAFKA_BROKERS is set"


def _topic(settings: Settings) -> KafkaTopic:
    return KafkaTopic(
        brokers=settings.kafka_brokers,
        name=settings.kafka_topic,
        replication=settings.kafka_replication,
        config=dict(settings.kafka_config),
    )


def build_log(settings: Settings) -> ChangeLog:
    """Build the writing side of the queue, without a spool."""
    timeout = settings.append_timeout_ms / 1000
    if settings.kafka_brokers:
        with _kafka_told(settings):
            return KafkaLog(_topic(settings), timeout=timeout)
    return PostgresLog(settings.database_url, log_name(settings.database_url), timeout=timeout)


def build_spool_log(settings: Settings, metrics: Metrics) -> SpoolLog:
    """Build the door's side of a queue in Kafka: it spools into PostgreSQL while Kafka is away."""
    url, timeout = settings.database_url, settings.append_timeout_ms / 1000
    state = SpoolState(url, metrics)
    spool = PostgresLog(url, log_name(url), timeout=timeout * SPOOL_SHARE, opening=lambda: state.opening)
    with _kafka_told(settings):
        kafka = KafkaLog(_topic(settings), timeout=timeout * KAFKA_SHARE)
        drainer = Drainer(url, KafkaLog(_topic(settings), timeout=GIVE_UP_S), state, metrics)
    return SpoolLog(kafka, spool, state, drainer, metrics, timeout=timeout)


def build_reader(settings: Settings, positions: Positions) -> LogReader:
    """Build the worker's side of the queue."""
    if settings.kafka_brokers:
        return KafkaReader(_topic(settings), positions)
    return PostgresReader(settings.database_url, positions)


def build_announcer(settings: Settings) -> KafkaAnnouncer:
    """Build the publisher's side of the topic that tells others; it is made where it is absent."""
    topic = msgspec.structs.replace(_topic(settings), name=settings.publish_topic, made_with=COMPACTED)
    return KafkaAnnouncer(topic)


def build_survey(settings: Settings) -> LogSurvey:
    """Build the operator's side of the queue."""
    if not settings.kafka_brokers:
        return PostgresSurvey(settings.database_url)
    with _kafka_told(settings):
        return KafkaSurvey(_topic(settings))
