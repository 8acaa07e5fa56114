"""The typed routes of the API: reading (scope ``read``) and what people change (scope ``write``)."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, put
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter, QueryParameter
from litestar.types import Guard

from licet.answer import views
from licet.answer.history import History
from licet.answer.reading import Reading
from licet.answer.views import Listing
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.principal import Principal, Scope
from licet.edge.past import read_when
from licet.manage.directory import Directory
from licet.store.past import Event
from licet.store.values import NameKind, Sender, Written

_MAX_TEXT = 255

Reads = NamedDependency[Reading]
Past = NamedDependency[History]
Names = NamedDependency[Directory]
Caller = NamedDependency[Principal]
Customer = Annotated[
    str, PathParameter(description="A customer's id (15 or 18 characters, or verbatim) or an alias, `tenant:4711`.")
]
User = Annotated[str, PathParameter(description="A user's id, or an e-mail address (kept in lower case).")]
Domain = Annotated[str, PathParameter(description="An e-mail domain of one company; public ones are refused.")]
Alias = Annotated[str, PathParameter(description="Another name of the customer, `system:value`.")]
EventId = Annotated[str, PathParameter(description="The event's id, as the webhook's 202 named it.")]
Cursor = Annotated[str | None, QueryParameter(description="The `next` of the page before.")]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many items, 1 to 200.")]
NamePart = Annotated[str | None, QueryParameter(description="A part of the name, in any case.")]
AsOf = Annotated[str | None, QueryParameter(description="What was true at this time, RFC 3339.")]
KnownAt = Annotated[
    str | None, QueryParameter(description="What the store believed at this time, RFC 3339, or at this revision.")
]
OneCustomer = Annotated[
    str | None, QueryParameter(description="Only this customer's deliveries, where one id stands for several.")
]


class NameWritten(msgspec.Struct, frozen=True):
    """What a write came to. A check that includes ``revision`` includes the write; a second time nothing is written."""

    customer: str
    name: str
    revision: int


def needs(scope: Scope) -> Guard:
    """Make the guard that lets only callers with the scope pass."""

    def guard(connection: ASGIConnection[Any, Principal, Any, Any], _: BaseRouteHandler) -> None:
        connection.user.require(scope)

    return guard


@get("/v1/customers", summary="Search customers by name")
async def list_customers(
    reading: Reads, name: NamePart = None, cursor: Cursor = None, limit: Limit = 50
) -> Listing[views.CustomerLine]:
    """Customers whose name holds the text, ordered by name."""
    return await reading.customers(_storable("name", name) if name else None, cursor, limit)


@get("/v1/customers/{customer:str}", summary="Show a customer")
async def get_customer(
    reading: Reads, history: Past, customer: Customer, as_of: AsOf = None, known_at: KnownAt = None
) -> views.CustomerView:
    """SKUs, licenses, features and people in one answer, as of one revision.

    At another moment `name`, `people` but for the users, and `unmapped` are the record's present ones.
    """
    if as_of is None and known_at is None:
        return await reading.customer(customer)
    return await history.customer(customer, read_when(as_of, known_at))


@get("/v1/customers/{customer:str}/timeline", summary="Tell all that happened to a customer")
async def list_events(history: Past, customer: Customer, cursor: Cursor = None, limit: Limit = 50) -> Listing[Event]:
    """Deliveries, licenses, overrides, users, domains, aliases, catalog effects, newest first, with before and after.

    Deliveries that changed nothing are in it, with their rule and reason.
    """
    return await history.timeline(customer, cursor, limit)


@get("/v1/customers/{customer:str}/licenses", summary="List a customer's licenses with their history")
async def list_licenses(
    reading: Reads, customer: Customer, cursor: Cursor = None, limit: Limit = 50
) -> Listing[views.LicenseView]:
    """Every row that was ever believed, with both times, the one written last first."""
    return await reading.licenses(customer, cursor, limit)


@get("/v1/customers/{customer:str}/users", summary="List a customer's users")
async def list_users(
    reading: Reads, customer: Customer, cursor: Cursor = None, limit: Limit = 50
) -> Listing[views.NameView]:
    """Users that are members of the customer; those who only have an address at its domain are not listed."""
    return await reading.users(customer, cursor, limit)


@get("/v1/skus", summary="List the SKUs", sync_to_thread=False)
def list_skus(reading: Reads) -> Listing[views.SkuView]:
    """SKUs of the current catalog, the Salesforce fields they come from, what they grant."""
    return reading.skus()


@get("/v1/features", summary="List the features", sync_to_thread=False)
def list_features(reading: Reads) -> Listing[views.FeatureView]:
    """Features of the current catalog, and the SKUs that grant them."""
    return reading.features()


@get("/v1/sources", summary="List the senders")
async def list_sources(reading: Reads) -> Listing[Sender]:
    """When each was last heard, when and why it was last refused, and which of its fields nothing maps."""
    return await reading.sources()


@get("/v1/changes/{event_id:path}", summary="Tell what became of a change")
async def get_change(reading: Reads, event_id: EventId, customer: OneCustomer = None) -> views.ChangeView:
    """The outcome is `null` while the change is not consumed, or was never received."""
    return await reading.change(_storable("event_id", event_id.removeprefix("/")), customer)


@put("/v1/customers/{customer:str}/users/{user:path}", summary="Make a user a member")
async def put_user(directory: Names, caller: Caller, customer: Customer, user: User) -> NameWritten:
    """An explicit membership goes before the e-mail domain. A user may be a member of several customers."""
    return _answered(await directory.put(NameKind.MEMBER, customer, user.removeprefix("/"), caller))


@delete("/v1/customers/{customer:str}/users/{user:path}", summary="End a membership", status_code=200)
async def delete_user(directory: Names, caller: Caller, customer: Customer, user: User) -> NameWritten:
    """Nothing is written where the user is no member."""
    return _answered(await directory.delete(NameKind.MEMBER, customer, user.removeprefix("/"), caller))


@put("/v1/customers/{customer:str}/domains/{domain:str}", summary="Give a customer an e-mail domain")
async def put_domain(directory: Names, caller: Caller, customer: Customer, domain: Domain) -> NameWritten:
    """Users with an address there resolve to the customer. Verify that the domain is the customer's before."""
    return _answered(await directory.put(NameKind.DOMAIN, customer, domain, caller))


@delete("/v1/customers/{customer:str}/domains/{domain:str}", summary="Take an e-mail domain", status_code=200)
async def delete_domain(directory: Names, caller: Caller, customer: Customer, domain: Domain) -> NameWritten:
    """Nothing is written where the customer does not have it; 409 where a Salesforce field gives it."""
    return _answered(await directory.delete(NameKind.DOMAIN, customer, domain, caller))


@put("/v1/customers/{customer:str}/aliases/{alias:path}", summary="Give a customer an alias")
async def put_alias(directory: Names, caller: Caller, customer: Customer, alias: Alias) -> NameWritten:
    """409 where another customer has it."""
    return _answered(await directory.put(NameKind.ALIAS, customer, alias.removeprefix("/"), caller))


@delete("/v1/customers/{customer:str}/aliases/{alias:path}", summary="Take an alias", status_code=200)
async def delete_alias(directory: Names, caller: Caller, customer: Customer, alias: Alias) -> NameWritten:
    """Nothing is written where the customer does not have it; 409 where a Salesforce field gives it."""
    return _answered(await directory.delete(NameKind.ALIAS, customer, alias.removeprefix("/"), caller))


def _answered(kept_and_written: tuple[str, Written]) -> NameWritten:
    kept, written = kept_and_written
    return NameWritten(written.customer_id, kept, written.revision)


def _storable(field: str, text: str) -> str:
    if "\x00" in text or len(text) > _MAX_TEXT:
        raise InvalidInput.of(Fault(field, shown(text), f"at most {_MAX_TEXT} characters, none of them U+0000"))
    return text


READING = [list_customers, get_customer, list_licenses, list_events, list_users]
READING += [list_skus, list_features, get_change, list_sources]
CHANGING = [put_user, delete_user, put_domain, delete_domain, put_alias, delete_alias]
