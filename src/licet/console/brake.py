"""The safety brake: what it holds and what ended before, to release, keep or hold."""

import asyncio
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from licet.answer.cursors import read_cursor, write_cursor
from licet.console.desks import Desks
from licet.console.frame import HOME, UNSENT, Page
from licet.console.refusal import Refusal
from licet.consume.brake import STEPS, Wish
from licet.domain.errors import Fault, InvalidInput, LicetError
from licet.domain.ids import shown
from licet.domain.principal import Actor, Scope

BRAKE = f"{HOME}/brake"
_LIMIT = 50


@get(BRAKE)
async def get_brake(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[str]:
    """Show its numbers, and what is held, or what ended before any was."""
    page.act(Scope.SUPPORT)
    return await _show(page, desks)


async def _show(page: Page, desks: Desks, refused: Refusal = UNSENT) -> Response[str]:
    asked = page.asked("ended", "cursor")
    ended = bool(asked["ended"])
    view = await desks.brake(ended, read_cursor(asked["cursor"] or None, str) or "", _LIMIT)
    following = write_cursor(view.next) if view.next is not None else None
    may = page.visitor.may(Scope.ADMIN)
    return page.show("brake.html", refused=refused, view=view, ended=ended, next=following, may=may)


@post(BRAKE)
async def act(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[Any]:
    """Release, keep or restore, as the button pressed says (``do``)."""
    by, form = page.act(Scope.ADMIN), await page.request.form()
    picked = [str(one) for one in form.getall("customer", [])]
    do = str(form.get("do"))
    try:
        wishes = _wishes(do, picked, str(form.get("reason", "")), by)
        acted = await asyncio.to_thread(desks.brake_desk.act, wishes, STEPS + len(wishes))
    except LicetError as error:
        return await _show(page, desks, await page.refusal("act", error, {"customers": "customer"}))
    done = "held" if do == "restore" else "released or kept" if do == "keep" else "released"
    known = f"; checks of revision {acted.revision} know of it" if acted.revision is not None else ""
    more = " There are more: press again." if acted.more else ""
    return page.go(BRAKE, f"Licenses {done}: {acted.licenses}{known}.{more}")


def _wishes(do: str, picked: list[str], reason: str, by: Actor) -> list[Wish]:
    match do:
        case "release" | "keep" if not picked:
            raise InvalidInput.of(Fault("customers", "none chosen", "at least one, chosen in the list"))
        case "release":
            return [Wish(customer=one, reason=reason, by=by) for one in dict.fromkeys(picked)]
        case "keep":
            return [Wish(keep=picked, reason=reason, by=by)]
        case "all" | "restore":
            return [Wish(restore=do == "restore", reason=reason, by=by)]
    raise InvalidInput.of(Fault("do", shown(do), "release, keep, all or restore"))


HANDLERS = (get_brake, act)
