"""What comes out of librdkafka, in our words."""

import datetime as dt
import operator
from collections.abc import Callable
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaException

from licet.queue.message import UNREADABLE, Header, Record


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


def said(error: BaseException) -> str:
    """Return the error in words."""
    return str(error.args[0].str()) if isinstance(error, KafkaException) else "no answer in time"
