"""Dead letters in the store, for people: read, replayed, dropped."""

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from licet.database import named_queries
from licet.domain.errors import NotFound
from licet.store.pools import Pool, connection_of
from licet.store.values import Letter, LetterLine, Original, Page

_lines = msgspec.json.Decoder(list[LetterLine])
_letter = msgspec.json.Decoder(Letter)


class PostgresLetters:
    """Reads dead letters and keeps what people do with them. Every method raises ``Unavailable``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/letters.sql")

    async def search(self, state: str | None, reason: str | None, before: int | None, limit: int) -> Page:
        """Return letters of a state and a reason (None: any), the one kept last first."""
        [(text,)] = await self._ask("list_letters", state=state, reason=reason, before=before, limit=limit + 1)
        found = _lines.decode(text)
        return Page(found[:limit], more=len(found) > limit)

    async def get(self, letter: int) -> Letter:
        """Return a letter with its bytes and its fate. Raises ``NotFound``."""
        rows = await self._ask("find_letter", letter=letter)
        if not rows:
            raise NotFound(f"there is no dead letter {letter}")
        return _letter.decode(rows[0][0])

    async def original(self, letter: int) -> Original:
        """Return what a replay of a letter needs. Raises ``NotFound``."""
        rows = await self._ask("find_original", letter=letter)
        if not rows:
            raise NotFound(f"there is no dead letter {letter}")
        return Original(*rows[0])

    async def count_open(self, run: uuid.UUID, reason: str | None) -> int:
        """Count the open letters that the run has not replayed."""
        [(count,)] = await self._ask("count_open", run=run, reason=reason)
        return int(count)

    async def open_originals(self, run: uuid.UUID, reason: str | None, after: int, limit: int) -> Sequence[Original]:
        """Return the next open letters that the run has not replayed, in the order in which they were kept."""
        rows = await self._ask("open_originals", run=run, reason=reason, after=after, limit=limit)
        return [Original(*row) for row in rows]

    async def note_replays(self, replayed: Sequence[tuple[int, int, int]], run: uuid.UUID, author: str) -> None:
        """Keep where the log has the replays of letters: (letter, partition, offset) of each."""
        said = dict(zip(("letters", "partitions", "offsets"), map(list, zip(*replayed, strict=True)), strict=True))
        async with connection_of(self._pool) as connection:
            await connection.execute(self._sql["note_replays"], {**said, "run": run, "author": author})

    async def note_drop(self, letter: int, reason: str, author: str) -> None:
        """Keep that a letter was dropped, and why."""
        async with connection_of(self._pool) as connection:
            await connection.execute(self._sql["note_drop"], {"letter": letter, "reason": reason, "author": author})

    async def _ask(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async with connection_of(self._pool) as connection:
            return await (await connection.execute(self._sql[query], parameters)).fetchall()
