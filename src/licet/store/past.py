"""What the store returns of other moments: what it believed then, what stands behind an answer, what happened."""

import datetime as dt
from typing import Any

import msgspec

from licet.store.values import LicenseRow, Name, OverrideRow


class When(msgspec.Struct, frozen=True):
    """A moment: ``as_of`` is what was true then (None: what was recorded last), ``known_at`` what the store believed.

    ``known_at`` is a time, or a revision; None: what it believes now.
    """

    as_of: dt.datetime | None = None
    known_at: dt.datetime | int | None = None


class HeldThen(msgspec.Struct, frozen=True):
    """A customer's licenses and overrides at a moment."""

    customer_id: str
    licenses: list[LicenseRow]
    overrides: list[OverrideRow]


class Then(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a question was about at a moment. ``clock`` is what starts and ends are held against.

    ``revision`` is the one that was believed, ``head`` the last there is; ``as_of`` is None where it is not before
    the revision's own time, ``recorded_at``. ``belongs``: whether the user belonged to any customer.
    """

    head: int
    revision: int
    recorded_at: dt.datetime | None
    as_of: dt.datetime | None
    clock: dt.datetime
    catalog_version: int
    named: str | None
    belongs: bool
    customers: list[HeldThen]


class NamesThen(msgspec.Struct, frozen=True):
    """What a customer was called at a moment. ``users`` are the first hundred of ``user_count``."""

    aliases: list[Name]
    domains: list[Name]
    users: list[Name]
    user_count: int


class RecordLine(msgspec.Struct, frozen=True, kw_only=True):
    """The Salesforce record as it is now: whom to ask."""

    id: str
    name: str | None
    account_manager: str | None
    sales_engineer: str | None
    deleted: bool


class CatalogLine(msgspec.Struct, frozen=True):
    """The catalog version that opened a license."""

    version: int
    author: str
    applied_at: dt.datetime
    revision: int


class DeliveryLine(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery behind an answer. ``fields`` is the record as it said it, None once its payload is pruned."""

    event_id: str | None
    source: str | None
    log: str
    partition: int
    offset: int
    sequence: int
    revision: int
    received_at: dt.datetime | None
    source_time: dt.datetime | None
    recorded_at: dt.datetime | None
    outcome: str
    reason: str | None
    rule: str
    fields: dict[str, Any] | None


class Behind(msgspec.Struct, frozen=True):
    """What stands behind an answer about a customer; each is None where there is none."""

    record: RecordLine | None
    catalog: CatalogLine | None
    delivery: DeliveryLine | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a customer: before and after, who did it, and what it came from.

    ``kind``: delivery, license, override, membership, domain, alias, catalog. ``at`` is when it was recorded.
    """

    at: dt.datetime | None
    revision: int
    kind: str
    id: str
    before: Any
    after: Any
    author: str | None
    cause: dict[str, Any]
