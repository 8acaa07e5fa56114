"""What the room needs of the store. Its methods raise ``Unavailable`` where the store does not answer."""

from collections.abc import Sequence
from typing import Protocol

from licet.domain.ids import CustomerRef
from licet.store.values import CatalogText, ChangeRow, CustomerRow, Page, Question, Resolution, Sender


class Resolver(Protocol):
    """The check's side: whose licenses a question is about."""

    async def resolve(self, question: Question) -> Resolution:
        """Resolve a question in one snapshot of the store."""
        ...


class CatalogReader(Protocol):
    """The versions of the catalog."""

    async def catalog(self, version: int | None = None) -> CatalogText:
        """Return a version, or the current one. Raises ``LookupError`` where there is none."""
        ...


class CustomerReader(Protocol):
    """Customers and what belongs to them."""

    async def get(self, ref: CustomerRef) -> CustomerRow:
        """Return a customer with all that belongs to it, in one snapshot. Raises ``NotFound``."""
        ...

    async def search(self, name: str | None, after: tuple[str | None, str] | None, limit: int) -> Page:
        """Return customers whose name holds the text, ordered by (name in lower case, id); the nameless last."""
        ...

    async def licenses(self, ref: CustomerRef, before: int | None, limit: int) -> Page:
        """Return a customer's license rows, the one written last first. Raises ``NotFound``."""
        ...

    async def users(self, ref: CustomerRef, after: str | None, limit: int) -> Page:
        """Return a customer's users, by id. Raises ``NotFound``."""
        ...


class Ledger(Protocol):
    """The deliveries of a change."""

    async def change(self, event_id: str, customer: CustomerRef | None) -> ChangeRow:
        """Return an event's deliveries, of one customer where it is named. Raises ``NotFound`` (alias)."""
        ...

    async def senders(self) -> Sequence[Sender]:
        """Return what the doors saw of senders, by name."""
        ...
