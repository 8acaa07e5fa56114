"""Log lines: an event with a registered name, and its fields. Text for people, JSON lines for machines.

Nobody hands a secret to ``log``; that a driver's or a library's text holds one all the same is why every line is
scrubbed before it leaves.
"""

import datetime as dt
import enum
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

_LOGGER = "licet"
_KEYS = re.compile(r"(whsec_|licet_[A-Za-z0-9]{1,64}_)[A-Za-z0-9+/=_\-]{8,}")
_PASSWORD = re.compile(r"(\w{2,20}://[^\s:/@]*:)[^\s@/]+(@)")
_BARE = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z")
# JSON lets these stand, and some readers take them for the end of the line.
_BREAKS = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_encode = msgspec.json.Encoder().encode


class Event(enum.Enum):
    """Every event that Licet logs: its name, how grave it is, what it means."""

    STARTED = ("started", logging.INFO, "A process is ready.")
    WAITING = ("waiting", logging.INFO, "A process waits before it can start.")
    DOOR_OPEN = ("door_open", logging.WARNING, "LICET_WEBHOOK_AUTH=none: whoever reaches the webhook may post.")
    STOPPED = ("stopped", logging.INFO, "A process ended cleanly.")
    REQUEST_FAILED = ("request_failed", logging.ERROR, "A request ended in an error that Licet did not expect.")
    KEYS_UNREADABLE = ("keys_unreadable", logging.WARNING, "The API keys cannot be read; those known stay valid.")
    KEYS_READABLE = ("keys_readable", logging.INFO, "The API keys can be read again.")
    ENDS_UNREADABLE = (
        "ends_unreadable",
        logging.WARNING,
        "Which console sessions ended cannot be read; what was known holds.",
    )
    ISSUER_UNREADABLE = ("issuer_unreadable", logging.WARNING, "The keys of the OIDC issuer cannot be read.")
    KEY_USE_UNWRITTEN = ("key_use_unwritten", logging.WARNING, "When keys were last used could not be written.")
    SNAPSHOT_LOADED = ("snapshot_loaded", logging.INFO, "All that a check reads is in memory.")
    FOLLOW_LOST = ("follow_lost", logging.WARNING, "The store cannot be followed; checks go on from the snapshot.")
    FOLLOW_FOUND = ("follow_found", logging.INFO, "The store is followed again.")
    ANSWERS_STALE = ("answers_stale", logging.ERROR, "Checks are older than LICET_STALE_AFTER_S; see `when_stale`.")
    QUEUE_REFUSED = ("queue_refused", logging.WARNING, "The queue did not confirm changes; the sender got a 503.")
    QUEUE_CONFIRMED = ("queue_confirmed", logging.INFO, "The queue confirms changes again.")
    QUEUE_AWAY = ("queue_away", logging.WARNING, "Kafka does not answer; changes are spooled until it does.")
    SPOOL_OPENED = ("spool_opened", logging.WARNING, "Kafka is away or slow: changes go to the spool in PostgreSQL.")
    SPOOL_CLOSED = ("spool_closed", logging.INFO, "Kafka has all that was spooled; changes go to Kafka again.")
    SPOOL_UNREADABLE = ("spool_unreadable", logging.WARNING, "PostgreSQL does not tell or take the spool's state.")
    SPOOL_READABLE = ("spool_readable", logging.INFO, "PostgreSQL tells the spool's state again.")
    DRAIN_WAITS = ("drain_waits", logging.WARNING, "The spool cannot be drained now; the drainer tries again.")
    DRAINED = ("drained", logging.INFO, "This process brought spooled changes to Kafka.")
    LETTERS_UNKEPT = ("letters_unkept", logging.WARNING, "What the door saw of senders and bad posts is not written.")
    WORKER_FAILED = ("worker_failed", logging.ERROR, "A batch could not be applied; the worker tries again.")
    WORKER_RECOVERED = ("worker_recovered", logging.INFO, "The worker applies batches again.")
    PARTITION_STOPPED = (
        "partition_stopped",
        logging.ERROR,
        "A partition is read no further until a person decides: `licet partition show`.",
    )
    PARTITION_RESUMED = ("partition_resumed", logging.INFO, "A person let a stopped partition go on.")
    BRAKE_TRIPPED = (
        "brake_tripped",
        logging.ERROR,
        "Too many licenses ended at once: the safety brake keeps access to the rest, see `licet brake status`.",
    )
    DUTY_FAILED = ("duty_failed", logging.WARNING, "What a worker does beside the log failed; it tries again.")
    DUTY_RECOVERED = ("duty_recovered", logging.INFO, "What a worker does beside the log goes on.")
    DEAD_LETTER = ("dead_letter", logging.WARNING, "A delivery could not be applied and was kept as a dead letter.")

    def __init__(self, event: str, level: int, meaning: str) -> None:
        self.event = event
        self.level = level
        self.meaning = meaning


def log(event: Event, *, error: BaseException | None = None, **fields: object) -> None:
    """Write one line: the event, its fields, and the error's traceback where one is given."""
    logging.getLogger(_LOGGER).log(
        event.level,
        event.meaning,
        exc_info=(type(error), error, error.__traceback__) if error is not None else None,
        extra={"licet_event": event.event, "licet_fields": fields},
    )


def configure(
    format_: str = "text", level: str = "info", stream: TextIO | None = None, secrets: Sequence[str] = ()
) -> None:
    """Send all log lines of the process to ``stream`` (default: stderr) as ``text`` or ``json``.

    ``secrets`` are values that must never leave; they are cut out of every line wherever they stand.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter((_Json if format_ == "json" else _Text)(secrets))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


class _Formatter(logging.Formatter):
    """Takes a record apart; the two formats below put it together."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if secret]

    def _parts(self, record: logging.LogRecord) -> dict[str, Any]:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        parts = {
            "at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "licet_event", record.name),
            "message": self._scrub(record.getMessage()),
        }
        fields = getattr(record, "licet_fields", {})
        parts |= {name: self._plain(value) for name, value in fields.items() if name not in parts}
        if record.exc_info and record.exc_info[0] is not None:
            parts["traceback"] = self._scrub(self.formatException(record.exc_info))
        return parts

    def _plain(self, value: object) -> object:
        return value if value is None or isinstance(value, (bool, int, float)) else self._scrub(str(value))

    def _scrub(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "(secret)")
        text = _PASSWORD.sub(r"\1(secret)\2", _KEYS.sub(r"\1(secret)", text))
        return text.encode("utf-8", "backslashreplace").decode()


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _encode(self._parts(record)).decode()


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = self._parts(record)
        at, level, event, message = (parts.pop(name) for name in ("at", "level", "event", "message"))
        traceback = parts.pop("traceback", None)
        fields = "".join(f" {name}={_shown(value)}" for name, value in parts.items())
        said = " ".join(str(message).splitlines())
        line = f"{at} {level.upper():7} {event}{fields} | {said}"
        return f"{line}\n{traceback}" if traceback else line


def _shown(value: object) -> str:
    text = str(value)
    if _BARE.match(text):
        return text
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(text).decode())
