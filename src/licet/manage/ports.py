"""What the room needs of the store. Its methods raise ``Unavailable`` where the store does not answer."""

from collections.abc import Collection, Sequence
from typing import Protocol

from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor, Scope
from licet.store.ports import StoredKey
from licet.store.values import CatalogVersion, NameKind, PartitionStop, Written


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
