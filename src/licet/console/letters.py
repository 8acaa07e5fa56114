"""Dead letters: found, read, replayed, dropped."""

import uuid
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from licet.answer.letters import LetterSearch, list_letters
from licet.console.desks import chosen
from licet.console.frame import HOME, Page
from licet.domain.filter import INAPPLICABLE, RULES, UNREADABLE, Kind
from licet.domain.principal import Scope
from licet.manage.letters import LetterDesk
from licet.store.values import LetterState

LETTERS = f"{HOME}/dead-letters"
REASONS = sorted(
    {rule.reason or rule.name for rule in RULES if rule.kind is Kind.DEAD} | {UNREADABLE.rule, INAPPLICABLE.rule}
)
_LIMIT = 50
# Chunks of a hundred that one request replays: some seconds.
_CHUNKS = 50


@get(LETTERS)
async def get_letters(
    page: NamedDependency[Page],
    letter_search: NamedDependency[LetterSearch],
    state: FromQuery[str] = "open",
    reason: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """List those of a state and a reason, the one kept last first."""
    wanted = chosen("state", state, LetterState)
    found = await list_letters(letter_search, wanted, reason.replace("\x00", "") or None, cursor, _LIMIT)
    asked = {"state": state, "reason": reason}
    return page.show(
        "letters.html",
        found=found,
        asked=asked,
        states=list(LetterState),
        reasons=REASONS,
        may=page.visitor.may(Scope.ADMIN),
    )


@get(f"{LETTERS}/{{letter:int}}")
async def get_letter(
    page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk], letter: FromPath[int]
) -> Response[str]:
    """Show one: why it is here, what it says, what became of it."""
    one = await letter_desk.get(_within(letter))
    return page.show("letter.html", one=one, may=page.visitor.may(Scope.ADMIN))


@post(f"{LETTERS}/{{letter:int}}/replay")
async def replay(
    page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk], letter: FromPath[int]
) -> Redirect:
    """Append it to the queue again."""
    page.visitor.principal.require(Scope.ADMIN)
    await letter_desk.replay(_within(letter), page.visitor.principal.actor)
    return page.go(f"{LETTERS}/{letter}", "It is in the queue again. Load the page anew to see how it ended.")


@post(f"{LETTERS}/{{letter:int}}/drop")
async def drop(
    page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk], letter: FromPath[int]
) -> Redirect:
    """Close it without a replay."""
    page.visitor.principal.require(Scope.ADMIN)
    reason = (await page.form()).get("reason", "")
    await letter_desk.drop(_within(letter), reason, page.visitor.principal.actor)
    return page.go(LETTERS, f"Dead letter {letter} is dropped.")


@post(f"{LETTERS}/replay")
async def replay_all(page: NamedDependency[Page], letter_desk: NamedDependency[LetterDesk]) -> Redirect:
    """Append all open letters of a reason again, in the order in which they were kept."""
    page.visitor.principal.require(Scope.ADMIN)
    reason = (await page.form()).get("reason", "")
    taken = kept = 0
    more = "."
    chunks = 0
    async for sent, unfit in letter_desk.replay_all(uuid.uuid4(), reason or None, page.visitor.principal.actor):
        taken, kept, chunks = taken + sent, kept + unfit, chunks + 1
        if chunks == _CHUNKS:
            more = "; there may be more: press again."
            break
    return page.go(LETTERS, f"{taken} in the queue again, {kept} cannot be replayed as they are{more}")


def _within(letter: int) -> int:
    return min(letter, 2**63 - 1)


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_letters, get_letter, replay, drop, replay_all]
