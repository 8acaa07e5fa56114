"""The catalog: what it says in words, its text, its versions and what each changed."""

import difflib
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from licet.answer.cursors import read_cursor, write_cursor
from licet.console.desks import Desks, whole
from licet.console.frame import HOME, Page
from licet.domain.catalog import read_catalog
from licet.domain.errors import NotFound

_LIMIT = 20


@get(f"{HOME}/catalog")
async def get_catalog(
    page: NamedDependency[Page],
    desks: NamedDependency[Desks],
    version: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Show a version (the current one unless it is named), and list all."""
    wanted = whole("version", version)
    shown = (await desks.versions(wanted + 1 if wanted else None, 2)).rows
    if not shown or (wanted and shown[0].version != wanted):
        raise NotFound(f"there is no version {wanted} of the catalog")
    versions = await desks.versions(read_cursor(cursor, int), _LIMIT)
    return page.show(
        "catalog.html",
        one=shown[0],
        catalog=read_catalog(shown[0].document, shown[0].version),
        changes=_changes(shown[1].document, shown[0].document) if len(shown) > 1 else [],
        present=not wanted,
        versions=versions.rows,
        next=write_cursor(versions.rows[-1].version) if versions.more else None,
    )


def _changes(before: str, after: str) -> list[str]:
    """Return the lines that differ, each with three around it; ``-``, ``+`` or a space says which it is."""
    return [*difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")][2:]


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_catalog]
