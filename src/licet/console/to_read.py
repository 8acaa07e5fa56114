"""The operator's pages that are only read: sources, drift, the catalog, keys, the audit."""

import difflib
from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from licet.answer.audit import list_audit
from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.reading import Reading
from licet.console.desks import Desks, chosen, slice_of, whole
from licet.console.frame import HOME, UNSENT, Page
from licet.console.refusal import Refusal
from licet.domain.catalog import read_catalog
from licet.domain.errors import NotFound
from licet.domain.principal import Scope
from licet.store.values import Action

_LIMIT = 50


@get(f"{HOME}/sources")
async def get_sources(
    page: NamedDependency[Page], desks: NamedDependency[Desks], reading: NamedDependency[Reading]
) -> Response[str]:
    """List the senders, or say how to become one."""
    asked = page.asked("cursor")
    found = slice_of((await reading.sources()).items, lambda one: one.source, asked["cursor"], _LIMIT)
    return page.show("sources.html", found=found, at=page.address, open_door=desks.open_door)


@get(f"{HOME}/drift")
async def get_drift(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[str]:
    """List what comparisons with Salesforce came to, the last first."""
    asked = page.asked("cursor")
    found = await desks.reconciliations(read_cursor(asked["cursor"] or None, int), _LIMIT)
    following = write_cursor(found.rows[-1].reconciliation) if found.more else None
    return page.show("drift.html", rows=found.rows, next=following)


@get(f"{HOME}/keys")
async def get_keys(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[str]:
    """List the API keys; there is no secret to show."""
    page.visitor.principal.require(Scope.ADMIN)
    return await show_keys(page, desks)


async def show_keys(page: Page, desks: Desks, refused: Refusal = UNSENT) -> Response[str]:
    """Show the page of keys and sessions."""
    asked = page.asked("cursor")
    found = slice_of(
        await desks.keys(), lambda one: f"{one.created_at:%Y%m%d%H%M%S%f}{one.key_id}", asked["cursor"], _LIMIT
    )
    return page.show("keys.html", refused=refused, found=found)


@get(f"{HOME}/catalog")
async def get_catalog(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[str]:
    """Show a version (the current one unless the address names it) and what it changed; list all."""
    asked = page.asked("version", "cursor")
    wanted = whole("version", asked["version"])
    shown = (await desks.versions(wanted + 1 if wanted else None, 2)).rows
    if not shown or wanted not in (0, shown[0].version):
        raise NotFound(f"there is no version {wanted} of the catalog")
    before, after = (one.document.splitlines() for one in (shown[-1], shown[0]))
    versions = await desks.versions(read_cursor(asked["cursor"] or None, int), _LIMIT)
    return page.show(
        "catalog.html",
        one=shown[0],
        catalog=read_catalog(shown[0].document, shown[0].version),
        changes=[*difflib.unified_diff(before, after, lineterm="")][2:],
        present=not wanted,
        versions=versions.rows,
        next=write_cursor(versions.rows[-1].version) if versions.more else None,
    )


@get(f"{HOME}/audit")
async def get_audit(page: NamedDependency[Page], desks: NamedDependency[Desks]) -> Response[str]:
    """List what people did, the last first."""
    page.visitor.principal.require(Scope.ADMIN)
    asked = page.asked("customer", "actor", "action", "cursor")
    customer, actor, cursor = (asked[name] or None for name in ("customer", "actor", "cursor"))
    found = await list_audit(desks.audit, customer, actor, chosen("action", asked["action"], Action), cursor, _LIMIT)
    return page.show("audit.html", found=found, asked=asked, actions=list(Action), pretty=_pretty)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


HANDLERS = (get_sources, get_drift, get_keys, get_catalog, get_audit)
