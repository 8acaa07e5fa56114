"""Dead letters in the store, for people: read, replayed, dropped."""

import uuid
from collections.abc import Sequence

import msgspec

from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.pools import Reader, connection_of
from licet.store.values import Act, Action, Letter, LetterLine, Page

_lines = msgspec.json.Decoder(list[LetterLine])
_letters = msgspec.json.Decoder(list[Letter])


class PostgresLetters(Reader):
    """Reads dead letters and keeps what people do with them."""

    files = ("letters",)

    async def search(self, state: str | None, reason: str | None, before: int | None, limit: int) -> Page:
        """Return letters of a state and a reason (None: any), the one kept last first."""
        text = await self._one("list_letters", state=state, reason=reason, before=before, limit=limit + 1)
        return Page.of(_lines.decode(text), limit)

    async def get(self, letters: Sequence[int]) -> Sequence[Letter]:
        """Return letters with their bytes and their fate, by number; those that are not there are left out."""
        return _letters.decode(await self._one("find_letters", letters=list(letters)))

    async def count_open(self, run: uuid.UUID, reason: str | None) -> int:
        """Count the open letters that the run has not replayed."""
        return int(await self._one("count_open", run=run, reason=reason))

    async def open_letters(self, run: uuid.UUID, reason: str | None, after: int, limit: int) -> Sequence[int]:
        """Return the next open letters that the run has not replayed, in the order in which they were kept."""
        rows = await self._rows("open_letters", run=run, reason=reason, after=after, limit=limit)
        return [letter for (letter,) in rows]

    async def note_replays(self, replayed: Sequence[tuple[int, int, int]], run: uuid.UUID, by: Actor) -> None:
        """Keep where the log has the replays of letters: (letter, partition, offset) of each."""
        said = dict(zip(("letters", "partitions", "offsets"), map(list, zip(*replayed, strict=True)), strict=True))
        act = Act(action=Action.LETTER_REPLAY, subject=str(run), by=by, after={"letters": said["letters"]})
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.execute(self._sql["note_replays"], {**said, "run": run, "author": by.name})
            await audit(connection, act)

    async def note_drop(self, letter: int, reason: str, by: Actor) -> None:
        """Keep that a letter was dropped, and why."""
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.execute(self._sql["note_drop"], {"letter": letter, "reason": reason, "author": by.name})
            await audit(connection, Act(action=Action.LETTER_DROP, subject=str(letter), by=by, reason=reason))
