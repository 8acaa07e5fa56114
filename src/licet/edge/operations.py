"""The API of the catalog (reading: ``read``), the safety brake (``support``), audit, whole customers (``admin``)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from litestar import Response, get, post, put
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from licet.answer.audit import AuditSearch, list_audit
from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.consume.brake import BrakeActed, BrakeDesk, Wish
from licet.consume.customers import Acted, CustomerDesk
from licet.consume.plan import PlanPage, Plans
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.principal import Scope
from licet.edge.api import Caller, Cursor, Customer, Limit, needs
from licet.manage.catalog import CatalogDesk
from licet.store.standing import BrakeView
from licet.store.values import Action, AuditEntry, CatalogVersion, Page, Reconciliation

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description='The version to replace, `"3"`.')]
OfCustomer = Annotated[str | None, QueryParameter(description="Only what was done to this customer (its id).")]
OfActor = Annotated[
    str | None, QueryParameter(max_length=255, description="Only by this one: a part of its name, or a key's id.")
]
OfAction = Annotated[Action | None, QueryParameter(description="Only this.")]

Ended = Annotated[bool, QueryParameter(description="List what ended before any was held, not what is held.")]

_READ, _ADMIN = [needs(Scope.READ)], [needs(Scope.ADMIN)]


class Operations(msgspec.Struct, frozen=True):
    """What the routes are wired to. ``refold`` brings existing customers under the current catalog; it blocks."""

    versions: Callable[[int | None, int], Awaitable[Page]]
    catalog: CatalogDesk
    plans: Plans
    customers: CustomerDesk
    audit: AuditSearch
    reconciliations: Callable[[int | None, int], Awaitable[Page]]
    brake: Callable[[bool, str, int], Awaitable[BrakeView]]
    brake_desk: BrakeDesk
    refold: Callable[[], object]


Wired = NamedDependency[Operations]


class CatalogText(msgspec.Struct, frozen=True):
    """A catalog, as TOML."""

    document: str


class Why(msgspec.Struct, frozen=True):
    """Why; it is kept with the author."""

    reason: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """All holds, or those of one ``customer`` (its id). Those of ``keep`` (ids) become overrides of the caller."""

    reason: str
    customer: str | None = None
    keep: list[str] = []


@get("/v1/catalog", summary="Show the catalog", guards=_READ)
async def get_catalog(operations: Wired) -> Response[CatalogVersion]:
    """The current version: its text, who applied it and when, and whether it has reached every customer."""
    current: CatalogVersion = (await operations.versions(None, 1)).rows[0]
    return Response(current, headers={"etag": f'"{current.version}"'})


@get("/v1/catalog/versions", summary="List the versions of the catalog", guards=_READ)
async def list_versions(operations: Wired, cursor: Cursor = None, limit: Limit = 50) -> Listing[CatalogVersion]:
    """The current version first."""
    page = await operations.versions(read_cursor(cursor, int), limit)
    return Listing(page.rows, write_cursor(page.rows[-1].version) if page.more else None)


@post("/v1/catalog/plan", summary="Plan a catalog", status_code=200, guards=_ADMIN)
async def plan_catalog(operations: Wired, data: JSONBody[CatalogText], cursor: Cursor = None) -> PlanPage:
    """Which customers would gain and lose what, some hundred customers a page. Nothing is written."""
    after = read_cursor(cursor, str) or ""
    page = await asyncio.to_thread(operations.plans.page, data.document, after)
    return msgspec.structs.replace(page, next=write_cursor(page.next) if page.next is not None else None)


@put("/v1/catalog", summary="Apply a catalog", guards=_ADMIN)
async def put_catalog(
    operations: Wired, caller: Caller, data: JSONBody[CatalogText], if_match: IfMatch = None
) -> Response[CatalogVersion]:
    """Make it the next version, where `If-Match` still names the current one (409 otherwise).

    Existing customers follow after the answer; `reached` of `GET /v1/catalog` tells when all have. The present text
    makes no new version, and lets customers follow that an interruption left behind.
    """
    version, desk = matched_version(if_match), operations.catalog
    await asyncio.to_thread(desk.apply, data.document, caller.actor, version)
    current = await asyncio.to_thread(desk.show)
    follow = BackgroundTask(asyncio.to_thread, operations.refold)
    return Response(current, headers={"etag": f'"{current.version}"'}, background=follow)


def matched_version(if_match: str | None) -> int:
    """Read a version as an ``ETag`` gave it. Raises ``InvalidInput``."""
    version = re.fullmatch(r'"?([0-9]{1,15})"?', if_match or "")
    if version is None:
        raise InvalidInput.of(Fault("If-Match", shown(if_match), 'the version that is to be replaced, such as "3"'))
    return int(version[1])


@get("/v1/audit", summary="List what people did", guards=_ADMIN)
async def get_audit(
    operations: Wired,
    customer: OfCustomer = None,
    actor: OfActor = None,
    action: OfAction = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Listing[AuditEntry]:
    """Who did what, from where, before and after, and why; the last first."""
    return await list_audit(operations.audit, customer, actor, action, cursor, limit)


@get("/v1/reconciliations", summary="List comparisons with Salesforce", guards=_READ)
async def list_reconciliations(operations: Wired, cursor: Cursor = None, limit: Limit = 50) -> Listing[Reconciliation]:
    """What `licet reconcile` came to: how many customers were off, by kind; the last first."""
    page = await operations.reconciliations(read_cursor(cursor, int), limit)
    return Listing(page.rows, write_cursor(page.rows[-1].reconciliation) if page.more else None)


@post("/v1/customers/{customer:str}/restore", summary="Restore a deleted customer", status_code=200, guards=_ADMIN)
async def restore_customer(operations: Wired, caller: Caller, customer: Customer, data: JSONBody[Why]) -> Acted:
    """Lift the tombstone: the licenses are at once what the kept fields say. 409 where it is not deleted."""
    return await asyncio.to_thread(operations.customers.restore, customer, data.reason, caller.actor)


@post("/v1/customers/{customer:str}/erase", summary="Erase a customer", status_code=200, guards=_ADMIN)
async def erase_customer(operations: Wired, caller: Caller, customer: Customer, data: JSONBody[Why]) -> Acted:
    """Empty what is kept of it: name, fields, payloads, dead letters, users, domains, aliases. No way back."""
    return await asyncio.to_thread(operations.customers.erase, customer, data.reason, caller.actor)


@get("/v1/brake", summary="Show the safety brake", guards=[needs(Scope.SUPPORT)])
async def get_brake(operations: Wired, ended: Ended = False, cursor: Cursor = None, limit: Limit = 50) -> BrakeView:
    """The threshold, what ended within the window, and what is held, license by license."""
    view = await operations.brake(ended, read_cursor(cursor, str) or "", limit)
    return msgspec.structs.replace(view, next=write_cursor(view.next) if view.next is not None else None)


@post("/v1/brake/release", summary="Let held ends take effect", status_code=200, guards=_ADMIN)
async def release_brake(operations: Wired, caller: Caller, data: JSONBody[Release]) -> BrakeActed:
    """End the safety brake's holds, up to 10,000 at a time."""
    wish = Wish(customer=data.customer, keep=data.keep, reason=data.reason, by=caller.actor)
    return await asyncio.to_thread(operations.brake_desk.act, [wish])


@post("/v1/brake/restore", summary="Hold what ended before", status_code=200, guards=_ADMIN)
async def restore_brake(operations: Wired, caller: Caller, data: JSONBody[Why]) -> BrakeActed:
    """Give access back to what ended before the safety brake held any, up to 10,000 at a time."""
    wish = Wish(restore=True, reason=data.reason, by=caller.actor)
    return await asyncio.to_thread(operations.brake_desk.act, [wish])


# One path takes several scopes, so each route names its own.
ROUTES = [get_catalog, list_versions, plan_catalog, put_catalog, get_audit, list_reconciliations]
ROUTES += [restore_customer, erase_customer, get_brake, release_brake, restore_brake]
