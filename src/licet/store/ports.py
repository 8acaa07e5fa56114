"""What the store must do, split by who asks: readers and writers are different types."""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from licet.domain.brake import Brake, Room
from licet.domain.catalog import Catalog
from licet.domain.decision import Override
from licet.domain.errors import Fault
from licet.domain.fields import Fields
from licet.domain.filter import Earlier, Outcome
from licet.domain.license import License
from licet.domain.principal import Actor
from licet.store.values import Act

# What a customer is called by one of its fields, and the name.
Calling = Literal["alias", "domain"]
Called = tuple[Calling, str]


class CustomerState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that a fold must know of a customer. ``licenses`` holds the open row per SKU.

    ``held`` are the SKUs to which the safety brake keeps access.
    """

    customer_id: str
    deleted: bool
    fields: Fields
    licenses: Mapping[str, License]
    names: frozenset[Called] = frozenset()
    held: frozenset[str] = frozenset()


class Exceptions(msgspec.Struct, frozen=True, gc=False):
    """The SKUs whose end no grace follows, and the overrides, of one customer."""

    void: frozenset[str] = frozenset()
    overrides: Sequence[Override] = ()


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the ledger. What could not be read is None. ``traceparent`` is told and not kept."""

    log: str
    partition: int
    offset: int
    sequence: int
    source: str | None
    event_id: str | None
    customer_id: str | None
    payload_hash: bytes
    received_at: dt.datetime | None
    source_time: dt.datetime | None
    outcome: Outcome
    replay_of: int | None = None
    payload: bytes | None = None
    replay_letter: int | None = None
    compared_at: int | None = None
    traceparent: str | None = None


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be applied, with its raw bytes."""

    sequence: int
    reason: str
    faults: Sequence[Fault]
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class CustomerWrite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customer after a fold, as it is to be stored. ``delivery`` is the last that touched it, None: a catalog did."""

    customer_id: str
    name: str | None
    account_manager: str | None
    sales_engineer: str | None
    deleted: bool
    fields: Fields
    delivery: int | None


class NameWrite(msgspec.Struct, frozen=True):
    """An alias or a domain that a Salesforce field gave to a customer, or took from it (``held`` False).

    ``field`` is set where a catalog change gives an alias: the field that says it, and the sequence number of that
    field's last write. Whoever was said to have the alias later keeps it.
    """

    customer_id: str
    kind: Calling
    name: str
    held: bool
    field: tuple[str, int] | None = None


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """All that one transaction writes.

    ``closes`` are the stored rows whose ``recorded`` ends now; ``touched`` are the customers whose answers may differ.
    Of the safety brake: how many licenses ended, which of them it let end, which it holds and how (``room``), and of
    which (customer, SKU) an earlier hold is over.
    """

    deliveries: Sequence[Delivery] = ()
    dead_letters: Sequence[DeadLetter] = ()
    customers: Sequence[CustomerWrite] = ()
    closes: Sequence[License] = ()
    licenses: Sequence[License] = ()
    names: Sequence[NameWrite] = ()
    touched: Collection[str] = ()
    ends: int = 0
    passed: Collection[License] = ()
    holds: Collection[License] = ()
    room: Room | None = None
    retired: Collection[tuple[str, str]] = ()


class EventKey(msgspec.Struct, frozen=True, gc=False):
    """What a delivery is deduplicated by."""

    source: str
    event_id: str
    customer_id: str


# A delivery's place: log, partition, offset.
Place = tuple[str, int, int]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch needs to know before it can be folded.

    ``moves`` maps a partition to its next offset before the batch (None: it never had one) and after it.
    """

    log: str
    moves: Mapping[int, tuple[int | None, int]]
    events: Collection[EventKey]
    originals: Collection[Place]
    customers: Collection[str]


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows. ``fenced`` are the partitions whose offset another worker has moved.

    ``originals`` maps the places that the ledger knows, and the letters of the door, to the
    sequence numbers at which their replays are judged.
    """

    fenced: frozenset[int]
    catalog: Catalog
    earlier: Mapping[EventKey, Sequence[Earlier]]
    originals: Mapping[Place, int]
    customers: Mapping[str, CustomerState]


class Standing(msgspec.Struct, frozen=True):
    """Where a partition stands: its next offset (None: it never had one), and why it is stopped (None: it is not)."""

    partition: int
    next_offset: int | None
    stopped: str | None


class DeadLimit(msgspec.Struct, frozen=True):
    """When a partition stops: ``count`` dead letters that are ``share`` per cent of its last ``window`` deliveries."""

    count: int = 100
    share: int = 50
    window: int = 1000


class Transaction(Protocol):
    """A transaction that changes answers. It holds the only write lock from its first statement to its end."""

    @property
    def revision(self) -> int:
        """The revision that this transaction writes."""
        ...

    @property
    def first_sequence(self) -> int:
        """The first of the sequence numbers that the transaction took when it began."""
        ...

    def load(self, wanted: Wanted) -> Loaded:
        """Move the offsets by compare-and-swap and read what the batch needs.

        The caller must roll back where ``fenced`` is not empty.
        """
        ...

    def count_ends(self, ends: int, brake: Brake) -> Room:
        """Count licenses that end; returns how many of them may."""
        ...

    def write(self, folded: Folded) -> None:
        """Write a fold. Raises ``Inapplicable`` where the store refuses the data."""
        ...

    def stop_dying(self, log: str, partitions: Collection[int], limit: DeadLimit) -> Mapping[int, str]:
        """Stop those of the partitions that are over the limit, deliveries just written included.

        Returns them, each with why. A stopped partition stays so until a person has decided.
        """
        ...


class CatalogTransaction(Protocol):
    """A transaction in which what a person did reaches customers: a catalog, a restoration, an erasure."""

    @property
    def revision(self) -> int:
        """The revision that this transaction writes."""
        ...

    @property
    def first_sequence(self) -> int:
        """The first of the sequence numbers that the transaction took when it began."""
        ...

    def unfolded(self, version: int, limit: int) -> Sequence[str]:
        """Return up to ``limit`` customers that the catalog version has not reached yet, by id."""
        ...

    def states(self, customer_ids: Sequence[str]) -> Mapping[str, CustomerState]:
        """Return the state of each customer that is stored."""
        ...

    def write(self, folded: Folded) -> None:
        """Write a fold."""
        ...

    def mark_refolded(self, version: int, customer_id: str) -> None:
        """Remember that the catalog version has reached all customers up to this id."""
        ...

    def release(
        self, only: str | None, keep: Collection[str], by: Actor, reason: str, after: str, limit: int
    ) -> Sequence[tuple[str, str]]:
        """End some of the safety brake's holds; those of the customers ``keep`` become this person's overrides.

        Returns the (customer, SKU) pairs in order, from beyond ``after`` (both, with a space); perhaps ``only`` of one.
        """
        ...

    def restore(self, brake: Brake, by: Actor, reason: str, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """Hold some of what ended before the safety brake held any; returns the same."""
        ...

    def erase(self, customer_id: str, by: Actor) -> list[uuid.UUID]:
        """Empty all that is kept of a customer beside its row and its licenses."""
        ...

    def audit(self, act: Act) -> None:
        """Keep what a person did."""
        ...


class Projection(Protocol):
    """The worker's store: where batches are applied."""

    def transaction(self, deliveries: int) -> AbstractContextManager[Transaction]:
        """Open a transaction and take ``deliveries`` sequence numbers.

        Commits on a clean exit, rolls back otherwise. Raises ``StoreUnavailable``.
        """
        ...

    def current_catalog(self) -> Catalog:
        """Return the current catalog. Raises ``StoreUnavailable``."""
        ...

    def positions(self, log: str, partitions: Collection[int]) -> Sequence[Standing]:
        """Return where each partition stands that has an offset or is stopped. Raises ``StoreUnavailable``.

        A partition without an offset is stopped here where an older log of the same name has offsets: it was made anew.
        """
        ...

    def stop(self, log: str, partition: int, at: int | None, reason: str, detail: str) -> None:
        """Stop a partition that stands at this offset until a person has decided; the first reason stays.

        One that stands elsewhere is left alone: another worker, or a person, moved it. Raises ``StoreUnavailable``.
        """
        ...

    def tell_progress(self, log: str, seconds_ago: Mapping[int, float]) -> None:
        """Say that all which each partition took so many seconds ago is applied. Raises ``StoreUnavailable``."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class Inapplicable(Exception):
    """The store refuses the data of a fold; trying again cannot help."""


class StoreUnavailable(Exception):
    """The store cannot be reached, or threw the writer out; nothing of the transaction was kept."""


class StoredKey(msgspec.Struct, frozen=True):
    """An API key without its secret. ``hash`` is SHA-256 of the secret."""

    key_id: str
    name: str
    hash: bytes
    scopes: frozenset[str]
    author: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None


class Account(msgspec.Struct, frozen=True):
    """What a partition's books say: its committed offset (None: none), and its first and last delivery."""

    log: str
    partition: int
    next_offset: int | None
    first: int | None
    last: int | None
    deliveries: int


class Entry(msgspec.Struct, frozen=True):
    """A line of the ledger that did not end dead. ``payload`` is None where it was pruned, or a person acted."""

    sequence: int
    revision: int
    source: str
    event_id: str
    received_at: dt.datetime
    outcome: str
    reason: str | None
    replay_of: int | None
    payload: bytes | None
    payload_hash: bytes
    source_time: dt.datetime | None
    compared_at: int | None


class StoredName(msgspec.Struct, frozen=True):
    """A name that a customer has, or had (``open`` False)."""

    kind: Calling
    name: str
    origin: str
    open: bool


class StoredCustomer(msgspec.Struct, frozen=True):
    """A customer as it is stored. ``texts``: name, account manager, sales engineer.

    ``named``: it is deleted, and the safety brake held it and left it its names.
    """

    texts: tuple[str | None, str | None, str | None]
    deleted: bool
    fields: Fields
    revision: int
    named: bool
