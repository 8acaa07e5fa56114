"""What the store must do, split by who asks: readers and writers are different types."""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.errors import Fault
from licet.domain.fields import Fields
from licet.domain.filter import Earlier, Outcome
from licet.domain.license import License


class CustomerState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a fold must know of a customer. ``licenses`` holds the open row per SKU."""

    customer_id: str
    deleted: bool
    fields: Fields
    licenses: Mapping[str, License]
    source_aliases: frozenset[str] = frozenset()
    source_domains: frozenset[str] = frozenset()
    stored: bool = True


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger. What could not be read is None."""

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
    replay_of: int | None
    payload: bytes | None


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be applied, with its raw bytes."""

    sequence: int
    reason: str
    faults: Sequence[Fault]
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class CustomerWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A customer after a fold, as it is to be stored. ``catalog_only``: no delivery touched it."""

    customer_id: str
    name: str | None
    account_manager: str | None
    sales_engineer: str | None
    deleted: bool
    fields: Fields
    delivery: int | None


class NameWrite(msgspec.Struct, frozen=True):
    """An alias or a domain that a Salesforce field gave to a customer, or took from it (``held`` False)."""

    customer_id: str
    name: str
    held: bool


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """All that one transaction writes. ``closes`` are the stored rows whose ``recorded`` ends now."""

    deliveries: Sequence[Delivery] = ()
    dead_letters: Sequence[DeadLetter] = ()
    customers: Sequence[CustomerWrite] = ()
    closes: Sequence[License] = ()
    licenses: Sequence[License] = ()
    aliases: Sequence[NameWrite] = ()
    domains: Sequence[NameWrite] = ()
    touched: Collection[str] = ()


class EventKey(msgspec.Struct, frozen=True):
    """What a delivery is deduplicated by."""

    source: str
    event_id: str
    customer_id: str


class Replayed(msgspec.Struct, frozen=True):
    """The original of a replay: its sequence number."""

    sequence: int


class Transaction(Protocol):
    """A transaction that changes answers. It holds the only write lock from its first statement to its end."""

    @property
    def revision(self) -> int:
        """The revision that this transaction writes."""
        ...

    def next_sequences(self, count: int) -> int:
        """Take ``count`` sequence numbers; returns the first."""
        ...

    def advance(self, log: str, moves: Mapping[int, tuple[int, int]]) -> frozenset[int]:
        """Move each partition's offset from the first to the second number; return those that were not at the first.

        The caller must roll back where any is returned.
        """
        ...

    def catalog(self) -> Catalog:
        """Return the current catalog."""
        ...

    def earlier(self, keys: Collection[EventKey]) -> Mapping[EventKey, Sequence[Earlier]]:
        """Return the earlier deliveries of each key that has any."""
        ...

    def originals(self, places: Collection[tuple[str, int, int]]) -> Mapping[tuple[str, int, int], int]:
        """Return the sequence number of the delivery at each (log, partition, offset) that the ledger knows."""
        ...

    def customers(self, customer_ids: Collection[str]) -> Mapping[str, CustomerState]:
        """Return the state of each customer that the store knows."""
        ...

    def write(self, folded: Folded) -> None:
        """Write a fold."""
        ...


class Projection(Protocol):
    """The worker's store: where batches are applied."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a transaction: commits on a clean exit, rolls back otherwise. Raises ``StoreUnavailable``."""
        ...

    def positions(self, log: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the next offset of each partition that has one. Raises ``StoreUnavailable``."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class StoreUnavailable(Exception):  # noqa: N818 a state of the world, not a mistake
    """The store cannot be reached, or threw the writer out; nothing of the transaction was kept."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. ``hash`` is SHA-256 of the secret."""

    key_id: str
    name: str
    hash: bytes
    scopes: frozenset[str]
    author: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None


class Revision(msgspec.Struct, frozen=True):
    """A committed write, as followers present it."""

    epoch: uuid.UUID
    revision: int
    tag: int
