"""Who posts, and before anybody does how to; and how the store compares with Salesforce."""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.reading import Reading
from licet.console.desks import Desks, slice_of
from licet.console.frame import HOME, Page
from licet.domain.principal import Scope

_LIMIT = 50


@get(f"{HOME}/sources")
async def get_sources(
    page: NamedDependency[Page],
    desks: NamedDependency[Desks],
    reading: NamedDependency[Reading],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """List the senders, or say how to become one."""
    found = slice_of((await reading.sources()).items, lambda one: one.source, cursor)
    return page.show("sources.html", found=found, at=page.address, open_door=desks.open_door)


@get(f"{HOME}/drift")
async def get_drift(
    page: NamedDependency[Page], desks: NamedDependency[Desks], cursor: FromQuery[str | None] = None
) -> Response[str]:
    """List what comparisons with Salesforce came to."""
    found = await desks.reconciliations(read_cursor(cursor, int), _LIMIT)
    following = write_cursor(found.rows[-1].reconciliation) if found.more else None
    return page.show("drift.html", rows=found.rows, next=following)


@get(f"{HOME}/keys")
async def get_keys(
    page: NamedDependency[Page], desks: NamedDependency[Desks], cursor: FromQuery[str | None] = None
) -> Response[str]:
    """List the API keys; there is no secret to show."""
    page.visitor.principal.require(Scope.ADMIN)
    return page.show("keys.html", found=slice_of(await desks.keys(), lambda one: one.key_id, cursor))


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_sources, get_drift, get_keys]
