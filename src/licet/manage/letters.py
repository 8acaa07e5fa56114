"""What people do with dead letters: replay them through the log, or drop them."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from licet.domain.errors import Conflict, Fault, InvalidInput, Unavailable
from licet.domain.ids import shown
from licet.queue.message import Message, Position
from licet.queue.ports import AppendFailed, ChangeLog
from licet.store.values import LetterState, Original

CHUNK = 100
_REASON_LENGTH = 500


class LetterStore(Protocol):
    """The store's side. Every method raises ``Unavailable``."""

    async def original(self, letter: int) -> Original:
        """Return what a replay of a letter needs. Raises ``NotFound``."""
        ...

    async def open_originals(self, run: uuid.UUID, reason: str | None, after: int, limit: int) -> Sequence[Original]:
        """Return the next open letters that the run has not replayed, in the order in which they were kept."""
        ...

    async def note_replays(self, replayed: Sequence[tuple[int, int, int]], run: uuid.UUID, author: str) -> None:
        """Keep where the log has the replays of letters: (letter, partition, offset) of each."""
        ...

    async def note_drop(self, letter: int, reason: str, author: str) -> None:
        """Keep that a letter was dropped, and why."""
        ...


class Replayed(msgspec.Struct, frozen=True):
    """A letter that the log took again, at this place; the worker judges it at its original place."""

    letter: int
    partition: int
    offset: int


class LetterDesk:
    """Replays and drops dead letters; each is kept with its author.

    A replay is appended first and noted then: cut off between, it is appended twice, which does no harm.
    """

    def __init__(self, store: LetterStore, log: ChangeLog) -> None:
        self._store = store
        self._log = log

    async def replay(self, letter: int, author: str) -> Replayed:
        """Append a letter again. Raises ``NotFound``, ``Conflict`` (it cannot be replayed), ``Unavailable``."""
        original = await self._open(letter)
        message = _message(original)
        if message is None:
            raise Conflict(f"the dead letter {letter} cannot be replayed: it names no event and customer of a log")
        [result] = await self._log.append([message])
        if isinstance(result, AppendFailed):
            raise Unavailable(f"the queue did not take it: {result.reason}")
        await self._store.note_replays([(letter, result.partition, result.offset)], uuid.uuid4(), author)
        return Replayed(letter, result.partition, result.offset)

    async def replay_all(self, run: uuid.UUID, reason: str | None, author: str) -> AsyncIterator[tuple[int, int]]:
        """Replay the open letters, or those of a reason, in the order in which they were kept.

        Yields, chunk by chunk, how many the log took and how many cannot be replayed. Interrupted, the same ``run``
        goes on where it stood. Raises ``Unavailable`` where the log does not take one.
        """
        after = 0
        while originals := await self._store.open_originals(run, reason, after, CHUNK):
            after = originals[-1].letter
            sent = [(one.letter, message) for one in originals if (message := _message(one)) is not None]
            results = await self._log.append([message for _, message in sent])
            taken = [
                (letter, at.partition, at.offset)
                for (letter, _), at in zip(sent, results, strict=True)
                if isinstance(at, Position)
            ]
            if taken:
                await self._store.note_replays(taken, run, author)
            yield len(taken), len(originals) - len(sent)
            for result in results:
                if isinstance(result, AppendFailed):
                    raise Unavailable(f"the queue did not take all: {result.reason}")

    async def drop(self, letter: int, reason: str, author: str) -> None:
        """Close a letter without a replay. Raises ``NotFound``, ``Conflict`` and ``InvalidInput`` (no reason)."""
        if not reason.strip() or len(reason) > _REASON_LENGTH or "\x00" in reason:
            raise InvalidInput.of(Fault("reason", shown(reason), f"1 to {_REASON_LENGTH} characters that say why"))
        await self._open(letter)
        await self._store.note_drop(letter, reason, author)

    async def _open(self, letter: int) -> Original:
        original = await self._store.original(letter)
        if original.state != LetterState.OPEN:
            raise Conflict(f"the dead letter {letter} is {original.state}, no longer open")
        return original


def _message(original: Original) -> Message | None:
    """Make the change again, as it was; None where it has no place in a log, or no names that a message needs."""
    if not (original.log and original.event_id and original.source and original.received_at and original.key):
        return None
    if original.value is None:
        return None
    try:
        key = original.key.decode()
    except UnicodeDecodeError:
        return None
    return Message(
        key=key,
        value=original.value,
        event_id=original.event_id,
        source=original.source,
        received_at=original.received_at,
        replay_of=f"{original.log}/{original.partition}/{original.offset}",
    )
