"""What others are told: a customer's full state at a revision, what differs from before, and what made it so.

The state is the one believed at that revision, judged at the moment of its commit, however late it is told. The state
before is what the revision before believed, judged at the same moment; where time itself is the cause, a tick before
the first boundary. So a change names what its own cause did, and nothing else.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.decision import Asked, Freshness, Held, Known, decide
from licet.domain.license import Status, state_of
from licet.queue.message import Header
from licet.queue.ports import Announcement
from licet.store.steps import Believed, Touch
from licet.store.values import OverrideRow

TYPE = "licet.license-change.v1"
_TICK = dt.timedelta(microseconds=1)
_LICENSE = ("license_id", "status", "starts_at", "ends_at", "quantity", "since")
# Neither author nor reason: who made one stands in the cause, once.
_OVERRIDE = ("sku", "feature", "effect", "kind", "value", "starts_at", "ends_at", "since")
_DECISION = ("allowed", "reason", "value", "sku", "license_id", "override_id", "since", "until")
_encode = msgspec.json.Encoder().encode
State = Mapping[str, Mapping[str, Any]]


def announcement(touch: Touch, catalogs: Mapping[int, Catalog]) -> Announcement:
    """Say what a revision did to a customer; of one that is erased, only that it is no more."""
    return Announcement(touch.customer_id, None if touch.gone else _value(touch, catalogs), _headers(touch))


def _value(touch: Touch, catalogs: Mapping[int, Catalog]) -> bytes:
    began = touch.at if touch.first is None else touch.first - _TICK
    before = _state(touch.customer_id, touch.before, catalogs[touch.former], began)
    after = _state(touch.customer_id, touch.after, catalogs[touch.catalog], touch.at)
    return _encode(
        {
            "customer": touch.customer_id,
            "epoch": touch.position.epoch,
            "revision": touch.position.revision,
            "at": touch.at,
            "catalog_version": touch.catalog,
            "cause": touch.cause,
            **{place: after[place] for place in ("skus", "overrides", "features")},
            "aliases": touch.after.aliases,
            "changes": _changes(before, after),
        }
    )


def _state(customer_id: str, believed: Believed, catalog: Catalog, now: dt.datetime) -> State:
    known = Known(customer_id, believed.licenses, [one.stands() for one in believed.overrides])
    fresh = Freshness(0, 0, None)
    decisions = {one: decide(Asked(one, None, customer_id), [known], catalog, now, fresh) for one in catalog.features}
    return {
        "skus": {one.sku: {"state": _at(one, one.status, now), **_fields(one, _LICENSE)} for one in believed.licenses},
        "overrides": {
            str(one.override_id): {"state": _at(one, Status.ACTIVE, now), **_fields(one, _OVERRIDE)}
            for one in believed.overrides
        },
        "features": {name: _fields(decision, _DECISION) for name, decision in decisions.items()},
        "aliases": dict.fromkeys(believed.aliases, True),
    }


def _at(one: Held | OverrideRow, status: Status, now: dt.datetime) -> str:
    return state_of(status, one.starts_at, one.ends_at, now)


def _changes(before: State, after: State) -> list[dict[str, Any]]:
    """List what differs; null where it is not there."""
    return [
        {"what": what, "name": name, "before": before[place].get(name), "after": after[place].get(name)}
        for what, place in (("sku", "skus"), ("override", "overrides"), ("feature", "features"), ("alias", "aliases"))
        for name in sorted(before[place].keys() | after[place].keys())
        if before[place].get(name) != after[place].get(name)
    ]


def _headers(touch: Touch) -> list[Header]:
    """The id is of (epoch, revision, customer); the revision's tag tells a restored store's from those that it lost."""
    headers = [
        ("ce_specversion", "1.0"),
        ("ce_type", TYPE),
        ("ce_source", "licet"),
        ("ce_id", f"{touch.position.text()}.{touch.customer_id}"),
        ("ce_time", touch.at.isoformat()),
        ("ce_subject", touch.customer_id),
        *(() if touch.gone else (("content-type", "application/json"),)),
    ]
    return [(name, text.encode()) for name, text in headers]


def _fields(of: msgspec.Struct, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}
