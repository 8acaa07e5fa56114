"""What people did: who, when, to what, before and after, and why."""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from licet.answer.audit import list_audit
from licet.console.desks import Desks, chosen
from licet.console.frame import HOME, Page
from licet.domain.principal import Scope
from licet.store.values import Action

_LIMIT = 50


@get(f"{HOME}/audit")
async def get_audit(
    page: NamedDependency[Page],
    desks: NamedDependency[Desks],
    customer: FromQuery[str] = "",
    actor: FromQuery[str] = "",
    action: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """List it, the last first."""
    page.visitor.principal.require(Scope.ADMIN)
    actor = actor.replace("\x00", "").strip()[:255]
    found = await list_audit(
        desks.audit, customer.strip() or None, actor or None, chosen("action", action, Action), cursor, _LIMIT
    )
    asked = {"customer": customer, "actor": actor, "action": action}
    return page.show("audit.html", found=found, asked=asked, actions=list(Action), pretty=_pretty)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_audit]
