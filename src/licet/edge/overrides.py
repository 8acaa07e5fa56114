"""The API of overrides. Reading: scope ``read``. Writing: ``support`` for grants of up to 14 days, else ``admin``."""

import uuid
from typing import Annotated

import msgspec
from litestar import Response, delete, get, put
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import CustomerRef, shown
from licet.domain.principal import Scope
from licet.edge.api import Caller, Cursor, Limit, needs
from licet.edge.operations import matched_version
from licet.manage.overrides import Draft, Overrides
from licet.manage.ports import OverrideReader
from licet.store.overrides import Stored

Desk = NamedDependency[Overrides]
Reader = NamedDependency[OverrideReader]
OverrideId = Annotated[str, PathParameter(description="The override's id, a UUID that its maker chose.")]
Replaces = Annotated[
    str | None, HeaderParameter(name="If-Match", description='The `ETag` of the override as it is, `"3"`.')
]
OfCustomer = Annotated[str | None, QueryParameter(description="Only this customer's: an id or an alias.")]
Reason = Annotated[str, QueryParameter(description="Why; it is kept with the author.")]


class OverrideWritten(msgspec.Struct, frozen=True):
    """What a write came to. A check that includes ``revision`` includes the write."""

    override: Stored
    revision: int


@get("/v1/overrides", summary="List the overrides", guards=[needs(Scope.READ)])
async def list_overrides(
    override_reader: Reader, customer: OfCustomer = None, cursor: Cursor = None, limit: Limit = 50
) -> Listing[Stored]:
    """Those that were not ended early, also those whose time has passed or is to come."""
    ref = CustomerRef.parse(customer) if customer is not None else None
    page = await override_reader.search(ref, read_cursor(cursor, uuid.UUID), limit)
    return Listing(page.rows, write_cursor(page.rows[-1].override_id) if page.more else None)


@get("/v1/overrides/{override_id:str}", summary="Show an override", guards=[needs(Scope.READ)])
async def get_override(override_reader: Reader, override_id: OverrideId) -> Response[Stored]:
    """As it is, or as it was ended."""
    found = await override_reader.get(_id(override_id))
    return Response(found, headers=_tag(found))


@put("/v1/overrides/{override_id:str}", summary="Grant or block for a time", guards=[needs(Scope.SUPPORT)])
async def put_override(
    overrides: Desk, caller: Caller, override_id: OverrideId, data: JSONBody[Draft], if_match: Replaces = None
) -> Response[OverrideWritten]:
    """Make it; to replace it, `If-Match` names it as it is (409 where it no longer is). A trial is extended so."""
    match = matched_version(if_match) if if_match is not None else None
    limited = Scope.ADMIN not in caller.scopes
    written, revision = await overrides.put(_id(override_id), data, match, caller.actor, limited=limited)
    return Response(OverrideWritten(written, revision), headers=_tag(written))


@delete("/v1/overrides/{override_id:str}", summary="End an override", status_code=200, guards=[needs(Scope.SUPPORT)])
async def end_override(
    overrides: Desk, caller: Caller, override_id: OverrideId, reason: Reason, if_match: Replaces = None
) -> OverrideWritten:
    """End it before its time, where `If-Match` names it as it is (409 otherwise)."""
    limited = Scope.ADMIN not in caller.scopes
    ended = await overrides.end(_id(override_id), reason, matched_version(if_match), caller.actor, limited=limited)
    return OverrideWritten(*ended)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise InvalidInput.of(Fault("override_id", shown(text), "a UUID")) from error


def _tag(of: Stored) -> dict[str, str]:
    return {"etag": f'"{of.version}"'}


# One path takes several scopes, so each route names its own.
ROUTES = [list_overrides, get_override, put_override, end_override]
