"""Dead letters, as people read them."""

from typing import Protocol

import msgspec

from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.store.values import Letter, LetterLine, LetterState, Page


class LetterReader(Protocol):
    """The store's side. Both methods raise ``Unavailable``."""

    async def search(self, state: str | None, reason: str | None, before: int | None, limit: int) -> Page:
        """Return letters of a state and a reason (None: any), the one kept last first."""
        ...

    async def get(self, letter: int) -> Letter:
        """Return a letter with its bytes and its fate. Raises ``NotFound``."""
        ...


class Letters:
    """Reads dead letters."""

    def __init__(self, store: LetterReader) -> None:
        self._store = store

    async def list(
        self, state: LetterState | None, reason: str | None, cursor: str | None, limit: int
    ) -> Listing[LetterLine]:
        """Return a page of the letters of a state and a reason (None: any), the one kept last first."""
        page = await self._store.search(state.value if state else None, reason, read_cursor(cursor, int), limit)
        return Listing(page.rows, write_cursor(page.rows[-1].letter) if page.more else None)

    async def get(self, letter: int) -> Letter:
        """Return a letter, with its value as text where it is UTF-8."""
        found = await self._store.get(letter)
        try:
            return msgspec.structs.replace(found, text=found.value.decode() if found.value is not None else None)
        except UnicodeDecodeError:
            return found
