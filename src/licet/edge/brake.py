"""The API of the safety brake. Reading: scope ``support``. Releasing and restoring: ``admin``."""

import asyncio
import itertools
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from licet.answer.brake import BrakeView, Which, show_brake
from licet.consume.brake import Wish
from licet.domain.principal import Principal, Scope
from licet.edge.api import Cursor, Limit, needs
from licet.edge.operations import Operations, Why

# So many steps of 500 licenses in one answer: some seconds.
_STEPS = 20
Listed = Annotated[Which, QueryParameter(description="List what is `held`, or what `ended` before any was.")]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """All holds, or those of one ``customer`` (its id). Those of ``keep`` (ids) become overrides of the caller."""

    reason: str
    customer: str | None = None
    keep: list[str] = []


class BrakeActed(msgspec.Struct, frozen=True):
    """How many licenses it reached. ``more``: some are left, send it again. Checks know from ``revision`` on."""

    licenses: int
    revision: int | None
    more: bool


@get("/v1/brake", summary="Show the safety brake", guards=[needs(Scope.SUPPORT)])
async def get_brake(
    operations: NamedDependency[Operations], which: Listed = Which.HELD, cursor: Cursor = None, limit: Limit = 50
) -> BrakeView:
    """The threshold, what ended within the window, what is held, license by license."""
    return await show_brake(operations.brake, which, cursor, limit)


@post("/v1/brake/release", summary="Let held ends take effect", status_code=200, guards=[needs(Scope.ADMIN)])
async def release_brake(
    operations: NamedDependency[Operations], caller: NamedDependency[Principal], data: JSONBody[Release]
) -> BrakeActed:
    """End the safety brake's holds, up to 10,000 at a time."""
    wish = Wish(customer=data.customer, keep=data.keep, reason=data.reason, by=caller.actor)
    return await asyncio.to_thread(_act, operations, wish)


@post("/v1/brake/restore", summary="Hold what ended before", status_code=200, guards=[needs(Scope.ADMIN)])
async def restore_brake(
    operations: NamedDependency[Operations], caller: NamedDependency[Principal], data: JSONBody[Why]
) -> BrakeActed:
    """Give access back to what ended before the threshold, up to 10,000 at a time."""
    return await asyncio.to_thread(_act, operations, Wish(restore=True, reason=data.reason, by=caller.actor))


def _act(operations: Operations, wish: Wish) -> BrakeActed:
    steps = list(itertools.islice(operations.brake_desk.steps(wish), _STEPS))
    revision = steps[-1].revision if steps else None
    return BrakeActed(sum(step.licenses for step in steps), revision, len(steps) == _STEPS)


def routers() -> list[Router]:
    """Return the routes."""
    return [Router("/", route_handlers=[get_brake, release_brake, restore_brake], tags=["Operations"])]
