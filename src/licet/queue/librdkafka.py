"""What comes out of librdkafka, in our words."""

import datetime as dt
import logging
import math
import operator
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from licet.queue.message import UNREADABLE, Header, Record
from licet.queue.ports import LogUnavailable

# What an error of Kafka means to a person, and what to do about it; what says most stands first.
_MEANS = {
    KafkaError._AUTHENTICATION: (  # noqa: SLF001 Kafka's name, as those below
        "the broker refused the sign-in",
        "correct sasl.mechanism, sasl.username and sasl.password in LICET_KAFKA_CONFIG",
    ),
    KafkaError._SSL: ("no TLS with the broker", "correct ssl.ca.location in LICET_KAFKA_CONFIG"),  # noqa: SLF001
    KafkaError._RESOLVE: ("no such host", "correct LICET_KAFKA_BROKERS"),  # noqa: SLF001
    KafkaError._TRANSPORT: ("no connection", "start the broker, or correct LICET_KAFKA_BROKERS"),  # noqa: SLF001
    # A broker that asks for TLS or a password, which this client does not offer, says nothing either.
    KafkaError._TIMED_OUT: (  # noqa: SLF001
        "no answer",
        "start the broker, correct LICET_KAFKA_BROKERS, or set security.protocol in LICET_KAFKA_CONFIG",
    ),
    KafkaError.UNKNOWN_TOPIC_OR_PART: (
        "the topic is not there",
        "start `licet web`, which makes it, make it yourself, or correct LICET_KAFKA_TOPIC",
    ),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: (
        "the Kafka user may not use the topic",
        "give it the rights that docs/how-to/kafka.md lists",
    ),
}
_VAGUE = (None, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)  # noqa: SLF001


def record_of(log: str, message: confluent_kafka.Message) -> Record:
    """Take a message as it is; nothing in it is judged."""
    place = (log, message.partition() or 0, message.offset() or 0)
    return Record(*place, message.key(), message.value(), _headers(message), _time(*message.timestamp()))


_read_headers: Callable[[confluent_kafka.Message], Any] = operator.methodcaller("headers")


def _headers(message: confluent_kafka.Message) -> list[Header]:
    """Return the headers, or one that says so where a name is no UTF-8: confluent-kafka 2.16 cannot read that.

    It raises and returns a half-made list, which ends the process when it is touched. A call through C notices the
    error always, the interpreter's own only until it has specialised the call.
    """
    try:
        pairs = _read_headers(message) or ()
    except (SystemError, UnicodeDecodeError):
        return [(UNREADABLE, b"")]
    return [(name, value or b"") for name, value in pairs]


def _time(kind: int, milliseconds: int) -> dt.datetime | None:
    """Read a timestamp, which the producer may have written: it can be any number."""
    if kind == confluent_kafka.TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def code_of(error: BaseException) -> int | None:
    """Return Kafka's code of an error, or None where it is not Kafka's."""
    return error.args[0].code() if isinstance(error, KafkaException) else None


def unavailable(where: str, error: BaseException, heard: Sequence[KafkaError]) -> LogUnavailable:
    """Say what is wrong with a log, and what to do: calls only time out, why is in what the client ``heard``."""
    code, words = code_of(error), said(error)
    if code in _VAGUE:
        known = [one for one in heard if one.code() in _MEANS]
        reason = min(known, key=lambda one: list(_MEANS).index(one.code()), default=None)
        code, words = (reason.code(), reason.str()) if reason is not None else (KafkaError._TIMED_OUT, words)  # noqa: SLF001
    means, todo = _MEANS.get(code, (None, None))
    return LogUnavailable(f"{where}: {means} ({words})" if means else f"{where}: {words}", todo)


def said(error: BaseException) -> str:
    """Return the error in words."""
    return str(error.args[0].str()) if isinstance(error, KafkaException) else "no answer in time"


_NUMBER = re.compile(r"\d+")
_REPEAT_S = 30.0
_KINDS = 100  # lines that are told apart; names in them come from Kafka


class _Seldom(logging.Filter):
    """Lets one of the lines that differ only in numbers through, and says with the next how many it held back.

    While a broker is away librdkafka tells of each attempt to reach it, some twenty a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, tuple[float, int]] = {}  # when last, and how many were held back since

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = _NUMBER.sub("0", record.getMessage()), time.monotonic()
        last, held = self._told.get(kind, (-math.inf, 0))
        if now - last < _REPEAT_S:
            self._told[kind] = (last, held + 1)
            return False
        if len(self._told) >= _KINDS:
            self._told.clear()
        self._told[kind] = (now, 0)
        if held:
            record.msg, record.args = f"{record.getMessage()} ({held} more like it since the last)", ()
        return True


def voice(name: str) -> logging.Logger:
    """Return the logger for librdkafka's own lines, which repeat."""
    logger = logging.getLogger(f"{name}.librdkafka")
    if not logger.filters:
        logger.addFilter(_Seldom())
    return logger
