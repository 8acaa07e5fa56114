"""The safety brake: what it holds and what ended before, to release, keep or hold."""

import asyncio

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from licet.answer.cursors import read_cursor, write_cursor
from licet.console.desks import Desks
from licet.console.frame import HOME, Page
from licet.consume.brake import STEPS, Wish
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.principal import Scope

BRAKE = f"{HOME}/brake"
_LIMIT = 50


@get(BRAKE)
async def get_brake(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[str]:
    """Show its numbers, and what is held, or what ended before any was."""
    page.act(Scope.SUPPORT)
    asked = page.asked("ended", "cursor")
    ended = bool(asked["ended"])
    view = await desks.brake(ended, read_cursor(asked["cursor"] or None, str) or "", _LIMIT)
    following = write_cursor(view.next) if view.next is not None else None
    return page.show("brake.html", view=view, ended=ended, next=following, may=page.visitor.may(Scope.ADMIN))


@post(BRAKE)
async def act(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Redirect:
    """Release, keep or restore, as the button pressed says (``do``)."""
    by, form = page.act(Scope.ADMIN), await page.request.form()
    picked = [str(one) for one in form.getall("customer", [])]
    reason = str(form.get("reason", ""))
    match do := form.get("do"):
        case "release" | "keep" if not picked:
            raise InvalidInput.of(Fault("customers", "none chosen", "at least one, chosen in the list"))
        case "release":
            wishes = [Wish(customer=one, reason=reason, by=by) for one in dict.fromkeys(picked)]
        case "keep":
            wishes = [Wish(keep=picked, reason=reason, by=by)]
        case "all" | "restore":
            wishes = [Wish(restore=do == "restore", reason=reason, by=by)]
        case _:
            raise InvalidInput.of(Fault("do", shown(do), "release, keep, all or restore"))
    acted = await asyncio.to_thread(desks.brake_desk.act, wishes, STEPS + len(wishes))
    done = "held" if do == "restore" else "released or kept" if do == "keep" else "released"
    known = f"; checks of revision {acted.revision} know of it" if acted.revision is not None else ""
    more = " There are more: press again." if acted.more else ""
    return page.go(BRAKE, f"Licenses {done}: {acted.licenses}{known}.{more}")


HANDLERS = (get_brake, act)
