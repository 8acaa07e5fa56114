"""What the read API returns. Times are RFC 3339 in UTC; ``null`` means: none, or not known."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from licet.domain.catalog import GrantValue, WhenStale
from licet.domain.decision import Reason
from licet.domain.errors import Fault
from licet.domain.license import Status
from licet.store.values import OverrideRow

T = TypeVar("T")


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list. ``next`` is the cursor of the next page, ``null`` on the last."""

    items: Sequence[T]
    next: str | None = None


class NameView(msgspec.Struct, frozen=True):
    """An alias, a domain or a user. ``origin``: ``source`` (a Salesforce field gave it) or ``person`` (``author``)."""

    name: str
    origin: str
    author: str
    since: dt.datetime


class PeopleView(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands behind the customer. ``users`` are the first hundred of ``user_count``."""

    account_manager: str | None
    sales_engineer: str | None
    users: Sequence[NameView]
    user_count: int


class LicenseView(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a license. ``starts_at`` and ``ends_at`` are the license's own times.

    ``valid_from`` and ``valid_to`` say when this state was true, ``recorded_from`` and ``recorded_to`` the revisions
    in which Licet believed it; ends are exclusive, ``null`` is open.
    """

    license_id: uuid.UUID
    sku: str
    status: Status
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    quantity: int | None
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    recorded_from: int
    recorded_to: int | None
    opened_by_delivery: int | None
    opened_by_catalog: int | None
    closed_by_delivery: int | None
    closed_by_catalog: int | None


class SkuState(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU of a customer. ``state``: a license's status, ``not_yet_valid``, ``expired`` or ``not_licensed``.

    ``in_catalog`` is false for a SKU that the catalog no longer has; it grants nothing.
    """

    sku: str
    title: str
    state: str
    license_id: uuid.UUID | None
    quantity: int | None
    since: dt.datetime | None
    until: dt.datetime | None
    grants: Sequence[str]
    in_catalog: bool


class FeatureState(msgspec.Struct, frozen=True, kw_only=True):
    """A feature of a customer, as a check would answer now."""

    feature: str
    title: str
    allowed: bool
    reason: Reason
    message: str
    value: GrantValue | None
    sku: str | None
    license_id: uuid.UUID | None
    override_id: uuid.UUID | None
    since: dt.datetime | None
    until: dt.datetime | None


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with all that Licet knows of it, as of one revision.

    ``terms_signed`` is ``null`` where it is not known or the organisation has no such field. ``unmapped`` are the
    fields that the catalog does not know, SKU flags among them; they take effect when the catalog learns them.
    """

    id: str
    name: str | None
    deleted: bool
    terms_signed: bool | None
    people: PeopleView
    aliases: Sequence[NameView]
    domains: Sequence[NameView]
    skus: Sequence[SkuState]
    features: Sequence[FeatureState]
    overrides: Sequence[OverrideRow]
    licenses: Sequence[LicenseView]
    unmapped: dict[str, Any]
    created_at: dt.datetime
    updated_at: dt.datetime
    catalog_version: int
    revision: int


class Glance(msgspec.Struct, frozen=True):
    """A SKU or a feature of a customer; ``state`` as in ``SkuState``, or ``granted``, ``blocked``, ``trial``."""

    what: str
    state: str


class FoundLine(msgspec.Struct, frozen=True, kw_only=True):
    """A customer that a search found, and what it has. ``by``: id, alias, user, domain or name; ``matched``: which."""

    id: str
    name: str | None
    account_manager: str | None
    deleted: bool
    by: str
    matched: str
    has: Sequence[Glance]


class CustomerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the customer list."""

    id: str
    name: str | None
    account_manager: str | None
    deleted: bool
    updated_at: dt.datetime


class SkuView(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU of the catalog: the Salesforce fields it comes from, the features it grants (``true`` or a value)."""

    sku: str
    title: str
    flag: str
    from_: str | None = msgspec.field(name="from")
    until: str | None
    quantity: str | None
    grants: dict[str, GrantValue]


class Grant(msgspec.Struct, frozen=True):
    """A SKU that grants a feature, and the value it gives (``true``: on)."""

    sku: str
    value: GrantValue


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A feature of the catalog, and the SKUs that grant it. ``when_stale``: what an answer that is too old becomes."""

    feature: str
    title: str
    when_stale: WhenStale
    granted_by: Sequence[Grant]


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """An arrival of a change at ``log``/``partition``/``offset``, and how it ended in which revision.

    ``sequence`` is its number in the ledger, ``replay_of`` that of the original. A dead one tells its faults.
    """

    log: str
    partition: int
    offset: int
    sequence: int
    source: str | None
    customer: str | None
    received_at: dt.datetime | None
    source_time: dt.datetime | None
    outcome: str
    reason: str | None
    rule: str
    revision: int
    recorded_at: dt.datetime | None
    replay_of: int | None
    faults: Sequence[Fault] | None


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change: the outcome of its last delivery, but for duplicates and reused event ids.

    ``outcome``: ``applied``, ``ignored``, ``superseded`` or ``dead``, with ``reason`` and the ``rule`` that said so; a
    check that includes ``revision`` includes the change. ``outcome`` is ``null`` while the change is not consumed, or
    was never received; ``note`` says so. ``deliveries`` are the last hundred, the last one first.
    """

    event_id: str
    outcome: str | None
    reason: str | None
    rule: str | None
    revision: int | None
    customer: str | None
    note: str | None
    deliveries: Sequence[DeliveryView]
