"""The message: a customer change on the wire, a CloudEvent in Kafka's binary mode.

The value is the JSON exactly as the sender wrote it; what names the change travels in headers.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence

import msgspec

from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown

TYPE = "licet.customer-change.v1"
TOPIC = "licet.customer-changes"
PARTITIONS = 12
REPLAY_OF = "licet-replay-of"
COMPARED_AT = "licet-compared-at"
# The first part of a replay's place where it was no delivery, but a bad post that the door kept: door/0/LETTER.
DOOR = "door"
UNREADABLE = "licet-unreadable-headers"
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
# A later receipt would leave no time for the license rows that follow it.
_TOO_LATE = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
_COMPARED = re.compile(r"(\d{1,18})/(\d{1,18})\Z", re.ASCII)
_PLACE = re.compile(r"([^\x00\n]{1,300})/(\d{1,9})/(\d{1,18})\Z")

Header = tuple[str, bytes]
_SAME: Sequence[Header] = (
    ("ce_specversion", b"1.0"),
    ("ce_type", TYPE.encode()),
    ("content-type", b"application/json"),
)
pack_headers = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Header]).decode


def unpack_headers(raw: bytes) -> list[Header]:
    """Undo ``pack_headers``; bytes that are none stand whole under ``UNREADABLE``, for a person."""
    try:
        return _unpack(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [(UNREADABLE, raw)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One change to append. ``key`` is the customer id, so one customer's changes stay in order.

    ``compared_at`` is a repair's: the store's revision/sequence when it was compared with an export.
    """

    key: str
    value: bytes
    event_id: str
    source: str
    received_at: dt.datetime
    traceparent: str | None = None
    replay_of: str | None = None
    compared_at: str | None = None

    def headers(self) -> list[Header]:
        """Write the CloudEvents headers."""
        headers = [
            *_SAME,
            ("ce_id", self.event_id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_time", self.received_at.isoformat().encode()),
        ]
        if self.traceparent is not None:
            headers.append(("traceparent", self.traceparent.encode()))
        if self.replay_of is not None:
            headers.append((REPLAY_OF, self.replay_of.encode()))
        if self.compared_at is not None:
            headers.append((COMPARED_AT, self.compared_at.encode()))
        return headers


class Position(msgspec.Struct, frozen=True, order=True):
    """Where a record stands in a log."""

    partition: int
    offset: int


class Spooled(Position, frozen=True, order=True):
    """A place in the spool of an outage; the record gets its own in the log later."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One delivery as it was read. Nothing in it can be trusted: anyone who may write to the log wrote it.

    ``log`` is the log's name in the ledger. ``appended_at`` is the log's own time (UTC), or None.
    """

    log: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    appended_at: dt.datetime | None

    @property
    def place(self) -> str:
        """Name the record as ``log/partition/offset``."""
        return f"{self.log}/{self.partition}/{self.offset}"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What a record's headers say.

    ``replay_of`` is the (log, partition, offset) of the original delivery, or (``door``, 0, letter). ``traceparent`` is
    W3C's; what is none counts as absent. ``compared_at`` is a repair's (revision, sequence): later writes stay.
    """

    event_id: str
    source: str
    received_at: dt.datetime
    replay_of: tuple[str, int, int] | None
    traceparent: str | None
    compared_at: tuple[int, int] | None = None

    @property
    def sampled(self) -> str | None:
        """The trace that the delivery belongs to, where whoever began it keeps it."""
        return self.traceparent if self.traceparent is not None and int(self.traceparent[-1], 16) & 1 else None

    @property
    def replay_letter(self) -> int | None:
        """The letter of the door that this replays, if it does."""
        return self.replay_of[2] if self.replay_of is not None and self.replay_of[0] == DOOR else None


def read_envelope(record: Record) -> Envelope:
    """Read a record's headers. Raises ``InvalidInput`` with every fault."""
    faults: list[Fault] = []
    found: dict[str, str] = {}
    for name, raw in record.headers:
        if name == UNREADABLE:
            faults.append(Fault("headers", "bytes that cannot be read", "headers whose names are UTF-8"))
        try:
            found[name] = raw.decode()
        except (UnicodeDecodeError, AttributeError):
            faults.append(Fault(f"header {name}", "bytes that are no UTF-8", "UTF-8"))
    for name in ("ce_id", "ce_source", "ce_time"):
        if not found.get(name) or len(found[name]) > 255 or "\x00" in found[name]:  # noqa: PLR2004 as at the door
            faults.append(Fault(f"header {name}", shown(found.get(name)), "1 to 255 characters"))
    if found.get("ce_type", TYPE) != TYPE:
        faults.append(Fault("header ce_type", shown(found["ce_type"]), TYPE))
    received_at = _time(found.get("ce_time", ""))
    if received_at is None and found.get("ce_time"):
        faults.append(Fault("header ce_time", shown(found["ce_time"]), "a time with a zone, before the year 9999"))
    replay_of = _match(found, REPLAY_OF, _PLACE, "log/partition/offset", faults)
    compared_at = _match(found, COMPARED_AT, _COMPARED, "revision/sequence", faults)
    if faults or received_at is None:
        raise InvalidInput.of(*faults)
    return Envelope(
        found["ce_id"],
        found["ce_source"],
        received_at,
        (replay_of[1], int(replay_of[2]), int(replay_of[3])) if replay_of else None,
        found["traceparent"] if TRACEPARENT.match(found.get("traceparent", "")) else None,
        (int(compared_at[1]), int(compared_at[2])) if compared_at else None,
    )


def _match(
    found: Mapping[str, str], name: str, shape: re.Pattern[str], said: str, faults: list[Fault]
) -> re.Match[str] | None:
    match = shape.match(found[name]) if name in found else None
    if name in found and match is None:
        faults.append(Fault(f"header {name}", shown(found[name]), said))
    return match


def _time(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment.astimezone(dt.UTC) if moment.tzinfo is not None and moment < _TOO_LATE else None
    except (ValueError, OverflowError):
        return None
