"""The API of dead letters: reading (scope ``read``), replaying and dropping (scope ``admin``)."""

from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from licet.answer import letters
from licet.answer.views import Listing
from licet.domain.principal import Scope
from licet.edge.api import Caller, Cursor, Limit, needs
from licet.manage.letters import LetterDesk, Replayed
from licet.store.values import Letter, LetterLine, LetterState

Desk = NamedDependency[LetterDesk]
Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="The letter's number.")]
State = Annotated[LetterState | None, QueryParameter(name="state", description="Only letters in this state.")]
Reason = Annotated[str | None, QueryParameter(max_length=100, pattern=r"^\w*$", description="Only this reason.")]
Why = Annotated[str, QueryParameter(min_length=1, max_length=500, description="Why it is dropped; it is kept.")]

_READ, _ADMIN = [needs(Scope.READ)], [needs(Scope.ADMIN)]


class Dropped(msgspec.Struct, frozen=True):
    """A letter that is closed without a replay. Its bytes stay until `licet prune`."""

    letter: int


@get("/v1/dead-letters", summary="List dead letters", guards=_READ)
async def list_letters(
    letter_search: NamedDependency[letters.LetterSearch],
    in_state: State = None,
    reason: Reason = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Listing[LetterLine]:
    """What could not be applied, the one kept last first."""
    return await letters.list_letters(letter_search, in_state, reason, cursor, limit)


@get("/v1/dead-letters/{letter:int}", summary="Show a dead letter", guards=_READ)
async def get_letter(letter_desk: Desk, letter: Number) -> Letter:
    """Raw bytes, every fault, where it came from, what people did with it and what became of its replays."""
    return await letter_desk.get(letter)


@post("/v1/dead-letters/{letter:int}/replay", summary="Replay a dead letter", status_code=202, guards=_ADMIN)
async def replay_letter(letter_desk: Desk, caller: Caller, letter: Number) -> Replayed:
    """Append it to the queue again; it is judged at its original place. 409 where it is not open or names no event."""
    return await letter_desk.replay(letter, caller.actor)


@delete("/v1/dead-letters/{letter:int}", summary="Drop a dead letter", status_code=200, guards=_ADMIN)
async def drop_letter(letter_desk: Desk, caller: Caller, letter: Number, reason: Why) -> Dropped:
    """Close it without a replay. Who did it and why is kept."""
    await letter_desk.drop(letter, reason, caller.actor)
    return Dropped(letter)


# One path takes several scopes, so each route names its own.
ROUTES = [list_letters, get_letter, replay_letter, drop_letter]
