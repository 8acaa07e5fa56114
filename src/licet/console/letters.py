"""Dead letters: found, read, replayed, dropped."""

import uuid
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Redirect

from licet.answer.letters import LetterSearch, list_letters
from licet.console.desks import chosen
from licet.console.frame import HOME, UNSENT, Page
from licet.console.refusal import Refusal
from licet.domain.errors import LicetError
from licet.domain.filter import INAPPLICABLE, OUTCOMES, UNREADABLE, Kind
from licet.domain.principal import Scope
from licet.manage.letters import LetterDesk
from licet.store.values import LetterState

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
LETTERS = f"{HOME}/dead-letters"
_REASONS = [one.reason for one in (UNREADABLE, INAPPLICABLE, *OUTCOMES) if one.kind is Kind.DEAD]
_LIMIT = 50
# Chunks of a hundred that one request replays: some seconds.
_CHUNKS = 50


@get(LETTERS)
async def get_letters(page: NamedDependency[Page], letter_search: NamedDependency[LetterSearch]) -> Response[str]:
    """List those of a state and a reason, the one kept last first; the open ones unless the address says otherwise."""
    asked = page.asked("state", "reason", "cursor")
    asked["state"] = asked["state"] or LetterState.OPEN
    state = chosen("state", asked["state"].removeprefix("any"), LetterState)
    found = await list_letters(letter_search, state, asked["reason"] or None, asked["cursor"] or None, _LIMIT)
    may = page.visitor.may(Scope.ADMIN)
    return page.show("letters.html", found=found, asked=asked, states=list(LetterState), reasons=_REASONS, may=may)


@get(f"{LETTERS}/{{letter:int}}")
async def get_letter(
    page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk], letter: Number
) -> Response[str]:
    """Show one: why it is here, what it says, what became of it."""
    return await _show(page, letter_desk, letter)


async def _show(page: Page, letter_desk: LetterDesk, letter: int, refused: Refusal = UNSENT) -> Response[str]:
    one = await letter_desk.get(letter)
    return page.show("letter.html", refused=refused, one=one, may=page.visitor.may(Scope.ADMIN))


@post(f"{LETTERS}/{{letter:int}}")
async def act(page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk], letter: Number) -> Response[Any]:
    """Append it to the queue again, or close it without, as the button pressed says (``do``)."""
    by, form = page.act(Scope.ADMIN), await page.request.form()
    do = "drop" if form.get("do") == "drop" else "replay"
    try:
        if do == "drop":
            await letter_desk.drop(letter, str(form.get("reason", "")), by)
            return page.go(LETTERS, f"Dead letter {letter} is dropped.")
        await letter_desk.replay(letter, by)
    except LicetError as error:
        return await _show(page, letter_desk, letter, await page.refusal(do, error))
    return page.go(f"{LETTERS}/{letter}", "It is in the queue again. Load the page anew to see how it ended.")


@post(LETTERS)
async def replay_all(page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk]) -> Redirect:
    """Append all open letters of a reason again, in the order in which they were kept."""
    by, reason = page.act(Scope.ADMIN), str((await page.request.form()).get("reason", "")) or None
    taken = unfit = chunks = 0
    async for sent, not_sent in letter_desk.replay_all(uuid.uuid4(), reason, by):
        taken, unfit, chunks = taken + sent, unfit + not_sent, chunks + 1
        if chunks == _CHUNKS:
            break
    more = " There may be more: press again." if chunks == _CHUNKS else ""
    return page.go(LETTERS, f"{taken} in the queue again; {unfit} cannot be replayed as they are.{more}")


HANDLERS = (get_letters, get_letter, act, replay_all)
