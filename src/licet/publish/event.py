"""What others are told: a customer's full state at a revision, what differs from before, and what made it so.

The state is the one believed at that revision, judged at the moment of its commit, however late it is told. ``before``
is what the revision before believed, judged at the same moment; where time itself is the cause, a tick before the first
boundary. So a change names what its own cause did, and nothing else.
"""

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from licet.domain.catalog import Catalog, read_catalog
from licet.domain.decision import Asked, Freshness, Held, Known, decide
from licet.domain.license import state_of
from licet.queue.message import Header
from licet.queue.ports import Announcement
from licet.store.steps import AliasThen, Applied, Believed, LicenseThen, Passed, Step, Touch

TYPE = "licet.license-change.v1"
_TICK = dt.timedelta(microseconds=1)
_JSON: Header = ("content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
T = TypeVar("T", bound="Believed | Applied | Passed")
State = Mapping[str, Any]


class Teller:
    """Makes announcements of steps. It keeps the catalogs that it has seen, so that a step brings only new ones."""

    def __init__(self) -> None:
        self._catalogs: list[Catalog] = []
        self._began: list[int] = []

    @property
    def known_catalog(self) -> int:
        """The last version known; 0 where none is."""
        return self._catalogs[-1].version if self._catalogs else 0

    def announcements(self, step: Step) -> list[Announcement]:
        """Make one announcement of each touch, in order."""
        for version, document, first in step.catalogs:
            self._catalogs.append(read_catalog(document, version))
            self._began.append(first)
        licenses, aliases = _by_customer(step.licenses), _by_customer(step.aliases)
        applied, passed = _by_customer(step.applied), _by_customer(step.passed)
        told = []
        for touch in step.touches:
            one = touch.customer_id
            then = _Then(touch, licenses[one], aliases[one], applied[one], passed[one])
            told.append(Announcement(one, None if touch.gone else self._value(then), _headers(touch)))
        return told

    def _value(self, then: "_Then") -> bytes:
        touch, revision = then.touch, then.touch.position.revision
        place = bisect.bisect_right(self._began, revision) - 1
        catalog, cause = self._catalogs[place], then.cause()
        former = self._catalogs[max(0, place - 1)] if cause["kind"] == "catalog" else catalog
        began = touch.at if not then.passed else then.passed[0].at - _TICK
        before, state = then.state(revision - 1, former, began), then.state(revision, catalog, touch.at)
        return _encode(
            {
                "customer": touch.customer_id,
                "revision": revision,
                "epoch": touch.position.epoch,
                "at": touch.at,
                "catalog_version": catalog.version,
                "cause": cause,
                **state,
                "changes": _changes(before, state),
            }
        )


class _Then:
    """A customer around the revision that touched it."""

    def __init__(
        self,
        touch: Touch,
        licenses: list[LicenseThen],
        aliases: list[AliasThen],
        applied: list[Applied],
        passed: list[Passed],
    ) -> None:
        self.touch = touch
        revision = touch.position.revision
        self.passed = [one for one in passed if one.revision == revision]
        self._applied = [one for one in applied if one.revision == revision]
        self._licenses, self._aliases = licenses, aliases

    def state(self, revision: int, catalog: Catalog, now: dt.datetime) -> State:
        """Say what was believed at a revision, judged at a moment."""
        held = sorted((one.held for one in self._licenses if one.at(revision)), key=lambda one: one.sku)
        return {
            "skus": {one.sku: _sku(one, now) for one in held},
            "features": _features(Known(self.touch.customer_id, held), catalog, now, revision),
            "aliases": sorted(one.alias for one in self._aliases if one.open and one.at(revision)),
        }

    def cause(self) -> dict[str, Any]:
        """Say what made the revision touch the customer."""
        revision = self.touch.position.revision
        if self.passed:
            said = [_fields(one, "kind", "id", "boundary", "at") for one in self.passed]
            return {"kind": "time", "boundaries": said}
        if self._applied:
            said = [_fields(one, "event_id", "source", "source_time", "received_at") for one in self._applied]
            return {"kind": "delivery", "deliveries": said}
        for license_ in self._licenses:
            if license_.first == revision and license_.catalog is not None:
                return {"kind": "catalog", "version": license_.catalog}
        for alias in self._aliases:
            if alias.first == revision and alias.origin == "person":
                return {"kind": "person", "author": alias.author}
        return {"kind": "other"}


def _sku(held: Held, now: dt.datetime) -> State:
    names = ("license_id", "status", "starts_at", "ends_at", "quantity", "since")
    return {"state": state_of(held.status, held.starts_at, held.ends_at, now), **_fields(held, *names)}


def _features(known: Known, catalog: Catalog, now: dt.datetime, revision: int) -> State:
    names = ("allowed", "reason", "value", "sku", "license_id", "since", "until")
    fresh = Freshness(revision, 0, None)
    return {
        name: _fields(decide(Asked(name, None, known.customer_id), [known], catalog, now, fresh), *names)
        for name in catalog.features
    }


def _changes(before: State, after: State) -> list[dict[str, Any]]:
    """List what differs: ``{"what": sku | feature | alias, "name", "before", "after"}``, null where it is not there."""
    found = []
    for what, place in (("sku", "skus"), ("feature", "features"), ("alias", "aliases")):
        old, new = _named(before[place]), _named(after[place])
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found.append({"what": what, "name": name, "before": old.get(name), "after": new.get(name)})
    return found


def _named(entries: Mapping[str, Any] | list[str]) -> Mapping[str, Any]:
    return entries if isinstance(entries, Mapping) else dict.fromkeys(entries, True)


def _headers(touch: Touch) -> list[Header]:
    """The id tells (epoch, revision, customer), and by the revision's tag a restored store's from the lost one's."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", TYPE.encode()),
        ("ce_source", b"licet"),
        ("ce_id", f"{touch.position.text()}.{touch.customer_id}".encode()),
        ("ce_time", touch.at.isoformat().encode()),
        ("ce_subject", touch.customer_id.encode()),
        *(() if touch.gone else (_JSON,)),
    ]


def _fields(of: msgspec.Struct, *names: str) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


def _by_customer(rows: Iterable[T]) -> Mapping[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for row in rows:
        found[row.customer_id].append(row)
    return found
