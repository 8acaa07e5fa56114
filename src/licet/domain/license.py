"""Licenses: what a customer's fields grant, and how one state follows another without losing the first.

Every row stands in two times. ``valid``: when the state was true. ``recorded``: the revisions in which Licet believed
it. A transition at moment v in revision r closes the row's ``recorded`` at r, writes its copy with ``valid`` cut at v,
and opens the next row; a row opened in the same revision is cut in place.
"""

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Mapping

import msgspec

from licet.domain import fields as read
from licet.domain.catalog import Catalog, Sku
from licet.domain.fields import Fields

_TICK = dt.timedelta(microseconds=1)


class Status(enum.StrEnum):
    """What a license is. Only ``active`` gives access, and only between its start and its end."""

    ACTIVE = "active"
    PENDING_TERMS = "pending_terms"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a license says: its status, its own start and end (UTC, end exclusive), its quantity."""

    status: Status
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None
    quantity: int | None = None

    def allows(self, at: dt.datetime) -> bool:
        """Tell whether it gives access at a moment."""
        return state_of(self.status, self.starts_at, self.ends_at, at) == Status.ACTIVE.value


def state_of(status: Status, starts_at: dt.datetime | None, ends_at: dt.datetime | None, now: dt.datetime) -> str:
    """Say what a license is at a moment: its status, or where that is active, perhaps not_yet_valid or expired."""
    if status is Status.ACTIVE and starts_at is not None and now < starts_at:
        return "not_yet_valid"
    if status is Status.ACTIVE and ends_at is not None and now >= ends_at:
        return "expired"
    return status.value


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What opened or closed a row: a delivery's sequence number, or a catalog version. Exactly one is set."""

    delivery: int | None = None
    catalog: int | None = None


class License(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row: a license in one state. ``row`` is its number in the store, or None while it is not there.

    ``valid_to`` and ``recorded_to`` are exclusive; None means still open.
    """

    row: int | None = None
    license_id: uuid.UUID
    customer_id: str
    sku: str
    terms: Terms
    valid_from: dt.datetime
    valid_to: dt.datetime | None = None
    recorded_from: int
    recorded_to: int | None = None
    opened_by: Cause
    closed_by: Cause | None = None


class Moment(msgspec.Struct, frozen=True):
    """When and why a transition happens: ``at`` is valid time, ``revision`` recorded time."""

    at: dt.datetime
    revision: int
    cause: Cause


class Transition(msgspec.Struct, frozen=True, gc=False):
    """The rows after a transition: ``opened`` is the current one; ``past`` replaces the one before it, if any.

    ``closes`` tells that the stored row before must have its ``recorded`` closed.
    """

    opened: License
    past: License | None = None
    closes: License | None = None


def derive(fields: Fields, catalog: Catalog, *, deleted: bool, before: Mapping[str, License]) -> dict[str, Terms]:
    """Say what the fields grant now, per SKU of which they speak. ``before`` holds the open rows."""
    signed = catalog.source.terms_field is None or read.flag(fields, catalog.source.terms_field) is True
    wanted = {}
    for name, sku in catalog.skus.items():
        terms = _terms(fields, sku, catalog, signed=signed, deleted=deleted, before=before.get(name))
        if terms is not None:
            wanted[name] = terms
    if deleted:
        for name, row in before.items():
            wanted.setdefault(name, _ended(row.terms))
    return wanted


def _terms(
    fields: Fields, sku: Sku, catalog: Catalog, *, signed: bool, deleted: bool, before: License | None
) -> Terms | None:
    on = read.flag(fields, sku.flag)
    if deleted or on is False:
        return _ended(before.terms) if before is not None else None
    if on is None:
        return None
    if signed:
        status = Status.ACTIVE
    elif before is not None and before.terms.status in (Status.ACTIVE, Status.SUSPENDED):
        status = Status.SUSPENDED
    else:
        status = Status.PENDING_TERMS
    return Terms(
        status,
        read.starts(fields, sku.from_, catalog),
        read.ends(fields, sku.until, catalog),
        read.quantity(fields, sku.quantity),
    )


def _ended(terms: Terms) -> Terms:
    return Terms(Status.ENDED, terms.starts_at, terms.ends_at, terms.quantity)


def transition(
    before: License | None,
    customer_id: str,
    sku: str,
    terms: Terms,
    moment: Moment,
    new_id: Callable[[], uuid.UUID],
) -> Transition | None:
    """Move a license to ``terms``; None where it is there already.

    A license that ended and is granted again is another license, with another id.
    """
    if before is not None and before.terms == terms:
        return None
    again = before is None or before.terms.status is Status.ENDED
    at = moment.at
    if before is not None and at <= before.valid_from:
        at = before.valid_from + _TICK
    opened = License(
        license_id=new_id() if again or before is None else before.license_id,
        customer_id=customer_id,
        sku=sku,
        terms=terms,
        valid_from=at,
        recorded_from=moment.revision,
        opened_by=moment.cause,
    )
    if before is None:
        return Transition(opened)
    past = msgspec.structs.replace(before, row=None, recorded_from=moment.revision, valid_to=at, closed_by=moment.cause)
    return Transition(opened, past, closes=before if before.row is not None else None)
