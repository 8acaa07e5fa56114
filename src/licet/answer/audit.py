"""The audit, as people list it."""

from collections.abc import Awaitable, Callable

from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.domain.ids import canonical_customer_id
from licet.store.values import Action, AuditEntry, Page

# The store's side: customer, actor, action (None: any), below which entry, how many. Raises ``Unavailable``.
AuditSearch = Callable[[str | None, str | None, str | None, int | None, int], Awaitable[Page]]


async def list_audit(
    search: AuditSearch, customer: str | None, actor: str | None, action: Action | None, cursor: str | None, limit: int
) -> Listing[AuditEntry]:
    """Return a page of what people did, the last first; ``actor`` is a part of a name, or a key's id."""
    named = canonical_customer_id(customer) if customer else None
    page = await search(named, actor, action.value if action else None, read_cursor(cursor, int), limit)
    return Listing(page.rows, write_cursor(page.rows[-1].entry) if page.more else None)
