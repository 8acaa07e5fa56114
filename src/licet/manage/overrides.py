"""Overrides: what a person grants or blocks for a time, with a reason."""

import datetime as dt
import math
import uuid
from collections.abc import Callable
from typing import Annotated, Literal, Self

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.errors import Fault, Forbidden, InvalidInput
from licet.domain.ids import CustomerRef, shown
from licet.domain.principal import Actor, reason_faults
from licet.manage.ports import OverrideStore
from licet.store.overrides import May, Stored, Wanted

DEFAULT = dt.timedelta(hours=48)
SUPPORTED = dt.timedelta(days=14)
_YEARS = range(2000, 2200)
Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An override of one ``sku`` or one ``feature``. It starts now and lasts 48 hours where nothing else is said.

    ``value`` is of a granted feature only: without one it is on. What a SKU grants is the catalog's.
    """

    customer: str
    sku: str | None = None
    feature: str | None = None
    effect: Literal["grant", "block"]
    kind: Literal["override", "trial"] = "override"
    value: float | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    reason: str

    @classmethod
    def lasting(cls, of: Stored, ends_at: dt.datetime, reason: str) -> Self:
        """Draft what is there with another end and its reason. What the brake made is a person's then."""
        same = {name: getattr(of, name) for name in ("customer", "sku", "feature", "effect", "value", "starts_at")}
        kind: Literal["override", "trial"] = "trial" if of.kind == "trial" else "override"
        return cls(kind=kind, ends_at=ends_at, reason=reason, **same)


class Overrides:
    """Makes, replaces and ends overrides; both return the override and the revision that includes it.

    ``limited``: to grants of up to 14 days, made and ended. Both raise ``InvalidInput`` with every fault, ``NotFound``,
    ``Conflict``, ``Forbidden`` and ``Unavailable``.
    """

    def __init__(self, store: OverrideStore, catalog: Callable[[], Catalog], clock: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock

    async def put(
        self, override_id: uuid.UUID, draft: Draft, match: int | None, by: Actor, *, limited: bool = False
    ) -> tuple[Stored, int]:
        """Make an override, or replace its version ``match``."""
        now = self._clock()
        starts_at = draft.starts_at or now
        faults = [*_bounds("starts_at", starts_at), *(_bounds("ends_at", draft.ends_at) if draft.ends_at else [])]
        ends_at = draft.ends_at or (starts_at + DEFAULT if not faults else starts_at)
        faults += _faults(draft, self._catalog()) + reason_faults(draft.reason)
        if not faults and ends_at <= max(starts_at, now):
            faults.append(Fault("ends_at", shown(ends_at.isoformat()), "a time to come, after starts_at"))
        if faults:
            raise InvalidInput.of(*faults)
        said = {name: getattr(draft, name) for name in ("sku", "feature", "effect", "kind", "value", "reason")}
        wanted, may = Wanted(**said, starts_at=starts_at, ends_at=ends_at), _may(limited=limited)
        may(wanted)
        return await self._store.put(override_id, CustomerRef.parse(draft.customer), wanted, by, match, may)

    async def end(
        self, override_id: uuid.UUID, reason: str, match: int, by: Actor, *, limited: bool = False
    ) -> tuple[Stored, int]:
        """End an override's version ``match`` before its time."""
        if faults := reason_faults(reason):
            raise InvalidInput.of(*faults)
        return await self._store.end(override_id, by, reason, match, _may(limited=limited))


def _may(*, limited: bool) -> May:
    def may(of: Wanted) -> None:
        small = of.effect == "grant" and of.kind != "brake" and of.ends_at - of.starts_at <= SUPPORTED
        if limited and not small:
            raise Forbidden(f"the scope support makes and ends grants of up to {SUPPORTED.days} days; this takes admin")

    return may


def _faults(draft: Draft, catalog: Catalog) -> list[Fault]:
    faults = []
    if (draft.sku is None) is (draft.feature is None):
        faults.append(Fault("sku", "none or both", "either a sku or a feature"))
    if draft.sku is not None and draft.sku not in catalog.skus:
        faults.append(Fault("sku", shown(draft.sku), "a SKU; /v1/skus lists them"))
    if draft.feature is not None and draft.feature not in catalog.features:
        faults.append(Fault("feature", shown(draft.feature), "a feature; /v1/features lists them"))
    if draft.value is not None and (draft.feature is None or draft.effect == "block"):
        faults.append(Fault("value", shown(draft.value), "none: only the grant of a feature has one"))
    if draft.value is not None and not (math.isfinite(draft.value) and draft.value >= 0):
        faults.append(Fault("value", shown(draft.value), "a number from 0"))
    if draft.kind == "trial" and draft.effect == "block":
        faults.append(Fault("kind", shown(draft.kind), "override: a trial is a grant"))
    return faults


def _bounds(field: str, moment: dt.datetime) -> list[Fault]:
    if moment.year in _YEARS:
        return []
    return [Fault(field, shown(moment.isoformat()), f"a time in the years {_YEARS.start} to {_YEARS.stop - 1}")]
