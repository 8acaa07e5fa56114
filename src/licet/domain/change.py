"""The customer change: what one delivery says about one customer, parsed once and frozen."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from licet.domain import ids
from licet.domain.catalog import Catalog, Role
from licet.domain.errors import Fault, InvalidInput
from licet.domain.fields import read_moment, whole
from licet.domain.ids import shown
from licet.domain.payload import hash_of

MAX_EVENT_ID = 255


class CustomerChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of one customer.

    ``fields`` holds every field as it was sent, but for those that name the change itself; nulls are kept.
    ``source_time`` is Salesforce's, or None where the sender has none. Times are UTC.
    """

    event_id: str
    source: str
    customer_id: str
    received_at: dt.datetime
    source_time: dt.datetime | None
    is_deleted: bool | None
    organization_id: str | None
    fields: Mapping[str, Any]
    payload_hash: bytes


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Which change this is: ``event_id`` within ``source``, received at the door at ``received_at`` (UTC)."""

    event_id: str
    source: str
    received_at: dt.datetime


def sent_event_id(payload: Mapping[str, Any], catalog: Catalog) -> str | None:
    """Return the sender's own event id, or None where the payload carries none."""
    value = payload.get(catalog.source.event_id)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > MAX_EVENT_ID:
        raise InvalidInput.of(
            Fault(
                catalog.source.event_id,
                shown(value),
                f"a string of 1 to {MAX_EVENT_ID} characters, or no such field",
            )
        )
    return value


class Checked(msgspec.Struct, frozen=True):
    """What the fields that name a change say, once all of its fields were found well formed."""

    customer_id: str
    organization_id: str | None
    source_time: dt.datetime | None


def check_change(payload: Mapping[str, Any], catalog: Catalog) -> Checked:
    """Check a strict JSON object as a change. Raises ``InvalidInput`` with every fault at once."""
    faults: list[Fault] = []
    source = catalog.source
    customer_id = _customer_id(payload.get(source.id), source.id, faults)
    organization = _organization(payload.get(source.organization), source.organization, faults)
    source_time = _source_time(payload.get(source.modified), source.modified, faults)
    for field, role in catalog.roles.items():
        value = payload.get(field)
        if value is not None and type(value) is not role.kind and not _fits(value, role, catalog):
            faults.append(Fault(field, shown(value), role.expected))
    if faults:
        raise InvalidInput.of(*faults)
    return Checked(customer_id, organization, source_time)


def read_change(payload: dict[str, Any], identity: Identity, catalog: Catalog) -> CustomerChange:
    """Read a strict JSON object as a change. Raises ``InvalidInput`` with every fault at once."""
    checked = check_change(payload, catalog)
    envelope = catalog.source.envelope
    return CustomerChange(
        event_id=identity.event_id,
        source=identity.source,
        customer_id=checked.customer_id,
        received_at=identity.received_at,
        source_time=checked.source_time,
        is_deleted=payload.get(catalog.source.deleted),
        organization_id=checked.organization_id,
        fields={
            name: whole(value) if type(value) is float and catalog.roles.get(name) is Role.QUANTITY else value
            for name, value in payload.items()
            if name not in envelope
        },
        payload_hash=hash_of(payload),
    )


def _customer_id(value: object, field: str, faults: list[Fault]) -> str:
    try:
        if isinstance(value, str):
            return ids.canonical_customer_id(value)
    except InvalidInput:
        pass
    faults.append(
        Fault(
            field,
            "nothing" if value is None else shown(value),
            "an id of 1 to 128 letters, digits, '.', '_' or '-'",
        )
    )
    return ""


def _organization(value: object, field: str, faults: list[Fault]) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and ids.is_salesforce_id(value):
        return ids.canonical_customer_id(value)
    faults.append(Fault(field, shown(value), "a 15- or 18-character Salesforce id"))
    return None


def _source_time(value: object, field: str, faults: list[Fault]) -> dt.datetime | None:
    if value is None:
        return None
    if isinstance(value, str) and "T" in value:
        moment = read_moment(value, None)
        if moment is not None:
            return moment
    faults.append(Fault(field, shown(value), "a time with a zone (2026-11-23T09:00:00.000Z)"))
    return None


def _fits(value: object, role: Role, catalog: Catalog) -> bool:
    """Judge a value whose type alone does not tell."""
    if role is Role.QUANTITY:
        return whole(value) is not None
    return role.kind is None and isinstance(value, str) and read_moment(value, catalog.zone) is not None
