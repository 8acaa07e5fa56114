"""What the change feed tells: positions, and full records of what they touched, in a form that is cheap to keep."""

import datetime as dt
import struct
import uuid
from collections.abc import Container, Iterator, Sequence

import msgspec

from licet.domain.decision import Effect
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.license import Status
from licet.store.values import CatalogText

_BIGINT = 2**63
_EFFECTS = frozenset(Effect)
_VOID = "void"
LICENSE = struct.Struct(">16sq")
LICENSE_BYTES = LICENSE.size
_1970 = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_2000 = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class Position(msgspec.Struct, frozen=True):
    """A committed write as followers present it: its row of ``revision_log``. Its text is opaque to clients."""

    epoch: uuid.UUID
    revision: int
    tag: int

    def text(self) -> str:
        """Return ``epoch.revision.tag``."""
        return f"{self.epoch}.{self.revision}.{self.tag}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what ``text`` wrote. Raises ``InvalidInput``."""
        try:
            epoch, revision, tag = text.split(".")
            found = cls(uuid.UUID(epoch), int(revision), int(tag))
        except ValueError as error:
            raise _unreadable(text) from error
        if not (0 <= found.revision < _BIGINT and -_BIGINT <= found.tag < _BIGINT):
            raise _unreadable(text)
        return found


class Term(msgspec.Struct, frozen=True, gc=False):
    """What a license or an override says, without saying whose it is.

    Of an override ``sku`` may be ``feature:NAME``, ``status`` is its effect and ``quantity`` its value. ``lapsed``: see
    ``Held``; a license that ended otherwise has the status ``void`` on the wire.
    """

    sku: str
    status: Status | Effect
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    quantity: float | None
    lapsed: bool = True


class CustomerRecord(msgspec.Struct, frozen=True, gc=False):
    """A customer with its open license rows and its aliases.

    ``terms``: ``sku|status|starts|ends|quantity`` of each row by SKU, separated by spaces (None: no row); times in
    microseconds since 1970, nothing where there is none. Then its overrides by id. ``packed``: in the same order 16
    bytes of id and 8 of ``since``, big-endian, microseconds since 2000. ``aliases`` are separated by spaces.
    ``gone``: it no longer exists.
    """

    customer_id: str
    terms: str | None = None
    packed: bytes | None = None
    aliases: str | None = None
    gone: bool = False


class NameRecord(msgspec.Struct, frozen=True, gc=False):
    """A user or an e-mail domain, and the ids of its customers separated by spaces (None: none any more)."""

    name: str
    customers: str | None

    def narrowed(self, to: Container[str]) -> "NameRecord":
        """Return it with these customers only."""
        return NameRecord(self.name, " ".join(one for one in (self.customers or "").split(" ") if one in to))


class Records(msgspec.Struct, frozen=True):
    """Full records: each stands in place of all that was known of its customer, user or domain."""

    customers: Sequence[CustomerRecord] = ()
    users: Sequence[NameRecord] = ()
    domains: Sequence[NameRecord] = ()


class Delta(msgspec.Struct, frozen=True):
    """All that changed up to a position, as it is there.

    ``catalog`` is None where it did not change. ``lag_ms`` is the consumer's; None: no worker has told it yet.
    """

    position: Position
    lag_ms: int | None
    catalog: CatalogText | None
    records: Records


class Load(msgspec.Struct, frozen=True):
    """All that a decision reads, at one position. ``chunks`` can be read once, while the load is open."""

    position: Position
    lag_ms: int | None
    catalog: CatalogText
    chunks: Iterator[Records]


def read_terms(text: str | None) -> tuple[Term, ...]:
    """Read ``CustomerRecord.terms``."""
    return tuple(_term(*one.split("|")) for one in text.split(" ")) if text else ()


def read_license(packed: bytes, place: int, at: int = 0) -> tuple[uuid.UUID, dt.datetime]:
    """Read from ``CustomerRecord.packed``, which begins ``at`` a byte, id and ``since`` at a place of the order."""
    number, since = LICENSE.unpack_from(packed, at + place * LICENSE_BYTES)
    return uuid.UUID(bytes=number), _2000 + dt.timedelta(microseconds=since)


def _term(sku: str, status: str, starts: str, ends: str, quantity: str) -> Term:
    kind = Effect(status) if status in _EFFECTS else Status.ENDED if status == _VOID else Status(status)
    number = _number(quantity) if quantity else None
    return Term(sku, kind, _moment(starts), _moment(ends), number, status != _VOID)


def _number(text: str) -> float:
    return int(text) if text.isdecimal() else float(text)


def _moment(text: str) -> dt.datetime | None:
    return _1970 + dt.timedelta(microseconds=int(text)) if text else None


def _unreadable(text: str) -> InvalidInput:
    return InvalidInput.of(Fault("position", shown(text), "a position as Licet gave it"))
