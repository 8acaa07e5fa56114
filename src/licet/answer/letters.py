"""Dead letters, as people list them."""

from typing import Protocol, runtime_checkable

from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.store.values import LetterLine, LetterState, Page


@runtime_checkable  # the framework checks what it injects
class LetterSearch(Protocol):
    """The store's side. Raises ``Unavailable``."""

    async def search(self, state: str | None, reason: str | None, before: int | None, limit: int) -> Page:
        """Return letters of a state and a reason (None: any), the one kept last first."""
        ...


async def list_letters(
    store: LetterSearch, state: LetterState | None, reason: str | None, cursor: str | None, limit: int
) -> Listing[LetterLine]:
    """Return a page of the letters of a state and a reason (None: any), the one kept last first."""
    page = await store.search(state.value if state else None, reason, read_cursor(cursor, int), limit)
    return Listing(page.rows, write_cursor(page.rows[-1].letter) if page.more else None)
