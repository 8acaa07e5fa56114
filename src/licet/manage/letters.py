"""What people do with dead letters: replay them through the log, or drop them."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.change import check_change, sent_event_id
from licet.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from licet.domain.payload import read_object
from licet.domain.principal import Actor, reason_faults
from licet.queue.message import COMPARED_AT, DOOR, Message, Position
from licet.queue.ports import AppendFailed, ChangeLog
from licet.store.values import Letter, LetterState

CHUNK = 100


class LetterStore(Protocol):
    """The store's side. Every method raises ``Unavailable``."""

    async def get(self, letters: Sequence[int]) -> Sequence[Letter]:
        """Return letters with their bytes and their fate, by number; those that are not there are left out."""
        ...

    async def open_letters(self, run: uuid.UUID, reason: str | None, after: int, limit: int) -> Sequence[int]:
        """Return the next open letters that the run has not replayed, in the order in which they were kept."""
        ...

    async def note_replays(self, replayed: Sequence[tuple[int, int, int]], run: uuid.UUID, by: Actor) -> None:
        """Keep where the log has the replays of letters: (letter, partition, offset) of each."""
        ...

    async def note_drop(self, letter: int, reason: str, by: Actor) -> None:
        """Keep that a letter was dropped, and why."""
        ...


class Replayed(msgspec.Struct, frozen=True):
    """A letter that the log took again, at this place; the worker judges it at its original place."""

    letter: int
    partition: int
    offset: int


class LetterDesk:
    """Shows, replays and drops dead letters; what is done is kept with its author.

    A replay is appended first and noted then: cut off between, it is appended twice, which does no harm. A bad
    post that the door kept is replayed once the catalog reads it, and judged as if it had arrived when it was kept.
    """

    def __init__(self, store: LetterStore, log: ChangeLog, catalog: Callable[[], Catalog]) -> None:
        self._store = store
        self._log = log
        self._catalog = catalog

    async def replay(self, letter: int, by: Actor) -> Replayed:
        """Append a letter again. Raises ``NotFound``, ``Conflict`` (it cannot be replayed), ``Unavailable``."""
        message = self._message(await self._open(letter))
        if isinstance(message, str):
            raise Conflict(f"the dead letter {letter} cannot be replayed: {message}")
        [result] = await self._log.append([message])
        if isinstance(result, AppendFailed):
            raise Unavailable(f"the queue did not take it: {result.reason}")
        await self._store.note_replays([(letter, result.partition, result.offset)], uuid.uuid4(), by)
        return Replayed(letter, result.partition, result.offset)

    async def replay_all(self, run: uuid.UUID, reason: str | None, by: Actor) -> AsyncIterator[tuple[int, int]]:
        """Replay the open letters, or those of a reason, in the order in which they were kept.

        Yields, chunk by chunk, how many the log took and how many cannot be replayed. Interrupted, the same ``run``
        goes on where it stood. Raises ``Unavailable`` where the log does not take one.
        """
        after = 0
        while numbers := await self._store.open_letters(run, reason, after, CHUNK):
            after = numbers[-1]
            letters = await self._store.get(numbers)
            made = [(one.letter, self._message(one)) for one in letters]
            sent = [(letter, message) for letter, message in made if isinstance(message, Message)]
            results = await self._log.append([message for _, message in sent])
            taken = [
                (letter, at.partition, at.offset)
                for (letter, _), at in zip(sent, results, strict=True)
                if isinstance(at, Position)
            ]
            if taken:
                await self._store.note_replays(taken, run, by)
            yield len(taken), len(numbers) - len(sent)
            for result in results:
                if isinstance(result, AppendFailed):
                    raise Unavailable(f"the queue did not take all: {result.reason}")

    async def drop(self, letter: int, reason: str, by: Actor) -> None:
        """Close a letter without a replay. Raises ``NotFound``, ``Conflict`` and ``InvalidInput`` (no reason)."""
        if faults := reason_faults(reason):
            raise InvalidInput.of(*faults)
        await self._open(letter)
        await self._store.note_drop(letter, reason, by)

    async def get(self, letter: int) -> Letter:
        """Return a letter, with its value as text where it is UTF-8. Raises ``NotFound``."""
        for found in await self._store.get([letter]):
            try:
                return msgspec.structs.replace(found, text=found.value.decode() if found.value is not None else None)
            except UnicodeDecodeError:
                return found
        raise NotFound(f"there is no dead letter {letter}")

    async def _open(self, letter: int) -> Letter:
        found = await self.get(letter)
        if found.state is not LetterState.OPEN:
            raise Conflict(f"the dead letter {letter} is {found.state}, no longer open")
        return found

    def _message(self, letter: Letter) -> Message | str:
        """Make the change again, as it was; in words what it lacks, where it cannot be made."""
        if letter.value is None:
            return "its bytes were pruned"
        if not (letter.event_id and letter.source and letter.received_at):
            return "it names no event and no source"
        return _of_door(letter, letter.value, self._catalog()) if letter.origin == DOOR else _of_log(letter)


def _of_log(letter: Letter) -> Message | str:
    try:
        key = (letter.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    if not key:
        return "it names no customer"
    place = f"{letter.log}/{letter.partition}/{letter.offset}"
    return _message(letter, key, letter.event_id, place)


def _of_door(letter: Letter, value: bytes, catalog: Catalog) -> Message | str:
    """Read a bad post by the present catalog: only one that can be read now names its customer."""
    try:
        payload = read_object(value)
        customer_id = check_change(payload, catalog).customer_id
        event_id = sent_event_id(payload, catalog) or letter.event_id
    except InvalidInput as error:
        return f"it cannot be read yet: {error.detail}"
    return _message(letter, customer_id, event_id, f"{DOOR}/0/{letter.letter}")


def _message(letter: Letter, key: str, event_id: str | None, place: str) -> Message:
    assert letter.value is not None and event_id and letter.source and letter.received_at  # noqa: S101,PT018 looked at
    compared_at = dict(letter.headers).get(COMPARED_AT)
    return Message(
        key=key,
        value=letter.value,
        event_id=event_id,
        source=letter.source,
        received_at=letter.received_at,
        replay_of=place,
        compared_at=compared_at.decode("utf-8", "replace") if compared_at is not None else None,
    )
