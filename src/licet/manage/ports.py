"""What the room needs of the store. Its methods raise ``Unavailable`` where the store does not answer."""

import datetime as dt
import enum
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from licet.domain.catalog import Catalog
from licet.domain.drift import Pair, Said
from licet.domain.fields import Fields
from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor, Scope
from licet.store.overrides import May, Stored, Wanted
from licet.store.ports import StoredKey
from licet.store.values import Act, CatalogVersion, NameKind, Page, PartitionStop, Reconciliation, Written


class Whose(enum.StrEnum):
    """Whose sessions end."""

    SESSION = "session"
    PERSON = "person"
    EVERYONE = "everyone"


# Which sessions ended, and when, in seconds since 1970: those that began before are over.
Ends = Mapping[tuple[str, str], float]


class DirectoryWriter(Protocol):
    """Who is a member, which domain and which alias is whose."""

    async def put(self, kind: NameKind, ref: CustomerRef, name: str, by: Actor) -> Written:
        """Give the name to the customer; nothing is written where it has it from a person already.

        Raises ``NotFound`` (customer), ``Conflict`` (an alias that another customer has).
        """
        ...

    async def delete(self, kind: NameKind, ref: CustomerRef, name: str, by: Actor) -> Written:
        """Take the name from the customer; nothing is written where it does not have it.

        Raises ``NotFound`` (customer), ``Conflict`` (a Salesforce field gives the name).
        """
        ...


class KeyStore(Protocol):
    """API keys, by their hashes."""

    async def all(self) -> Sequence[StoredKey]:
        """Return all keys, revoked ones too, the oldest first."""
        ...

    async def insert(self, key_id: str, name: str, digest: bytes, scopes: Collection[Scope], by: Actor) -> StoredKey:
        """Keep a new key. ``digest`` is SHA-256 of its secret."""
        ...

    async def revoke(self, key_id: str, by: Actor) -> StoredKey | None:
        """End a key; returns it as it stands now, None where there is none of this id."""
        ...


class SessionStore(Protocol):
    """Links into the console, by their digests, and the sessions there that ended."""

    async def keep_link(self, digest: bytes, name: str, lasts: dt.timedelta, by: Actor) -> None:
        """Keep a link for a time, and forget those whose time has passed."""
        ...

    async def take_link(self, digest: bytes) -> tuple[str, bool] | None:
        """Use a link up; returns its name and whether it is in time, None where there is none."""
        ...

    async def end(self, whose: Whose, subject: str, lasts: dt.timedelta, act: Act) -> None:
        """End sessions that began before now, of those that last so long."""
        ...

    async def ends(self) -> Ends:
        """Return which sessions ended."""
        ...


class CatalogStore(Protocol):
    """The versions of the catalog. Synchronous: the operator's."""

    def current(self) -> CatalogVersion:
        """Return the current version."""
        ...

    def replace(self, document: str, by: Actor, base: int | None = None) -> CatalogVersion | None:
        """Make the document the next version; None where it is the current one already.

        Raises ``Conflict`` where ``base`` is named and another version is the current one.
        """
        ...


class PartitionStore(Protocol):
    """Stopped partitions. Synchronous: the operator's."""

    def stops(self) -> Sequence[PartitionStop]:
        """Return the stopped partitions, the one that stopped first first."""
        ...

    def decide(self, log: str, partition: int, by: Actor, accepted: int | None) -> PartitionStop:
        """Let a stopped partition go on, at the offset ``accepted`` or (None) where it stands; returns its stop.

        What the ledger has from ``accepted`` on is set aside under another log's name. Raises ``NotFound``.
        """
        ...


class DriftStore(Protocol):
    """The store beside an export. Synchronous: the operator's.

    ``compared_at``: the revision and the last sequence number of the moment that was compared, once it is read.
    """

    compared_at: tuple[int, int]

    def catalog(self) -> Catalog:
        """Return the current catalog."""
        ...

    def count(self) -> int:
        """Count the customers."""
        ...

    def customers(self) -> Iterator[tuple[str, bool, Fields]]:
        """Return (id, deleted, fields) of every customer, by id."""
        ...

    def load(self, rows: Iterable[tuple[int, str, Said]]) -> None:
        """Take a file's rows: line, customer, what it says."""
        ...

    def twice(self) -> list[tuple[str, list[int]]]:
        """Return customers that stand in the file more than once, with their lines; not all where there are many."""
        ...

    def pairs(self) -> Iterator[Pair]:
        """Return each customer beside its row; all as of one moment, which is then ``compared_at``."""
        ...

    def keep(self, by: Actor, file: str, counts: dict[str, int]) -> Reconciliation:
        """Keep what the comparison came to, with the revision that ``pairs`` was of."""
        ...

    def sequence_at(self, moment: dt.datetime) -> int:
        """Return the number of the last delivery that was recorded by then; 0 for none."""
        ...

    def changed_since(self, customers: Sequence[str]) -> set[str]:
        """Return those of the customers that were written since the comparison."""
        ...

    def audit(self, act: Act) -> None:
        """Keep who did it, at once."""
        ...


class Bar(Protocol):
    """A progress bar: a step begins, with its whole; so much more of it is done."""

    def begins(self, what: str, whole: int) -> None:
        """Begin a step."""
        ...

    def told(self, more: int) -> None:
        """Go on."""
        ...


@runtime_checkable  # the framework checks what it injects
class OverrideReader(Protocol):
    """Overrides, for people to read."""

    async def get(self, override_id: uuid.UUID) -> Stored:
        """Return an override as it is, or as it was ended. Raises ``NotFound``."""
        ...

    async def search(self, ref: CustomerRef | None, after: uuid.UUID | None, limit: int) -> Page:
        """Return current overrides by id, of one customer where it is named. Raises ``NotFound`` (customer)."""
        ...


class OverrideStore(Protocol):
    """Overrides, to be written; ``may`` is asked of the present one under the write lock."""

    async def put(
        self, override_id: uuid.UUID, ref: CustomerRef, wanted: Wanted, by: Actor, match: int | None, may: May
    ) -> tuple[Stored, int]:
        """Make an override, or replace its version ``match``. Raises ``NotFound``, ``Conflict``, ``InvalidInput``."""
        ...

    async def end(self, override_id: uuid.UUID, by: Actor, reason: str, match: int, may: May) -> tuple[Stored, int]:
        """End an override's version ``match``. Raises ``NotFound``, ``Conflict``."""
        ...
