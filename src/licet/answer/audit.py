"""The audit, as people list it."""

from typing import Protocol, runtime_checkable

from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.domain.ids import canonical_customer_id
from licet.store.values import Action, AuditEntry, Page


@runtime_checkable  # the framework checks what it injects
class AuditSearch(Protocol):
    """The store's side. Raises ``Unavailable``."""

    async def search(
        self, customer: str | None, actor: str | None, action: str | None, before: int | None, limit: int
    ) -> Page:
        """Return entries (None: any), the one written last first, from below the entry given."""
        ...


async def list_audit(
    store: AuditSearch, customer: str | None, actor: str | None, action: Action | None, cursor: str | None, limit: int
) -> Listing[AuditEntry]:
    """Return a page of what people did, the last first; ``actor`` is a part of a name, or a key's id."""
    named = canonical_customer_id(customer) if customer else None
    page = await store.search(named, actor, action.value if action else None, read_cursor(cursor, int), limit)
    return Listing(page.rows, write_cursor(page.rows[-1].entry) if page.more else None)
