"""The decision: may this customer use this feature, and why? Never a bare bool."""

import datetime as dt
import enum
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from licet.domain.catalog import Catalog, GrantValue, WhenStale
from licet.domain.license import Status


class Reason(enum.StrEnum):
    """Why. The order is the order in which they are looked for: the first that holds is the answer.

    ``stale`` stands apart: the answer was too old, and the feature's ``when_stale`` said what then.
    """

    UNKNOWN_FEATURE = "unknown_feature"
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_CUSTOMER = "unknown_customer"
    BLOCKED = "blocked"
    OVERRIDE = "override"
    LICENSED = "licensed"
    GRACE = "grace"
    TERMS_NOT_SIGNED = "terms_not_signed"
    SUSPENDED = "suspended"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_LICENSED = "not_licensed"
    STALE = "stale"

    __hash__ = str.__hash__  # an enumeration's own is written in Python: 0.2 µs a look-up


MESSAGES: dict[Reason, str] = {
    Reason.UNKNOWN_FEATURE: "This feature does not exist.",
    Reason.UNKNOWN_USER: "We do not know which company this user belongs to.",
    Reason.UNKNOWN_CUSTOMER: "We do not know this company.",
    Reason.BLOCKED: "This feature is blocked for your company at the moment.",
    Reason.OVERRIDE: "This feature is open to you for a limited time.",
    Reason.LICENSED: "This feature is included in your plan.",
    Reason.GRACE: "Your license for this feature has ended; it stays open for a short time.",
    Reason.TERMS_NOT_SIGNED: "This feature starts once the terms of service are signed.",
    Reason.SUSPENDED: "This feature is suspended because the terms of service were withdrawn.",
    Reason.NOT_YET_VALID: "Your license for this feature has not started yet.",
    Reason.EXPIRED: "Your license for this feature has expired.",
    Reason.REVOKED: "Your license for this feature has ended.",
    Reason.NOT_LICENSED: "This feature is not part of your plan.",
    Reason.STALE: "Your plan cannot be confirmed at the moment.",
}
_UNKNOWN = (Reason.UNKNOWN_FEATURE, Reason.UNKNOWN_USER, Reason.UNKNOWN_CUSTOMER)
_ALLOWING = frozenset({Reason.OVERRIDE, Reason.LICENSED, Reason.GRACE})
_ENDED = frozenset({Reason.EXPIRED, Reason.REVOKED})
_RANK = {reason: rank for rank, reason in enumerate(Reason)}
_NEARNESS = _RANK | dict.fromkeys(_ALLOWING, -1)


class Effect(enum.StrEnum):
    """What an override does, as it stands in the place of a license's status."""

    GRANTED = "granted"
    BLOCKED = "blocked"


class Override(msgspec.Struct, frozen=True, gc=False):
    """A grant or a block in ``[starts_at, ends_at)``. ``what``: a SKU, or ``feature:NAME``, maybe with a ``value``."""

    what: str
    override_id: uuid.UUID
    effect: Effect
    starts_at: dt.datetime
    ends_at: dt.datetime
    value: float | None
    since: dt.datetime

    @property
    def sku(self) -> str | None:
        """The SKU that it names; None where it names a feature."""
        return None if self.what.startswith("feature:") else self.what

    def stands(self, now: dt.datetime) -> bool:
        """Tell whether it is in force."""
        return self.starts_at <= now < self.ends_at


class Held(msgspec.Struct, frozen=True, gc=False):
    """A license as a decision sees it: the row recorded last of one customer and SKU. ``since`` is its valid time.

    ``lapsed``, of one that ended: from a state that gave access, and its customer is not deleted. Grace may follow.
    """

    sku: str
    license_id: uuid.UUID
    status: Status
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    quantity: int | None
    since: dt.datetime
    lapsed: bool = True

    def grace_ends(self, grace: Mapping[str, dt.timedelta]) -> dt.datetime | None:
        """Return when access goes on to after the end of the license, None where it does not."""
        length = grace.get(self.sku)
        ends = self.ends_at
        if self.status is Status.ENDED and self.lapsed:
            ends = self.since if ends is None else min(ends, self.since)
        elif self.status is not Status.ACTIVE:
            return None
        if length is None or ends is None:
            return None
        return ends + length if self.starts_at is None or self.starts_at < ends else None


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer. ``message`` may be shown to an end user. ``until`` is when this answer ends by itself.

    ``revision`` is the last write that the answer includes; ``age_ms`` the time since it was last known to be so.
    """

    allowed: bool
    reason: Reason
    message: str
    customer: str | None
    user: str | None
    feature: str
    value: GrantValue | None = None
    sku: str | None = None
    license_id: uuid.UUID | None = None
    override_id: uuid.UUID | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    revision: int
    age_ms: int
    lag_ms: int | None = None


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One question as it reached us: a feature, and the user or customer named (either may be None)."""

    feature: str
    user: str | None
    customer: str | None


class Freshness(msgspec.Struct, frozen=True, gc=False):
    """What the answer includes and how old it is, in milliseconds."""

    revision: int
    age_ms: int
    lag_ms: int | None


class Known(msgspec.Struct, frozen=True, gc=False):
    """A customer that the question resolved to, with its licenses and overrides."""

    customer_id: str
    licenses: Sequence[Held]
    overrides: Sequence[Override] = ()


def decide(asked: Asked, customers: Sequence[Known], catalog: Catalog, now: dt.datetime, fresh: Freshness) -> Decision:
    """Answer the question for the customers that it resolved to.

    A user of several customers is allowed if any allows; of several refusals the nearest to "yes" is told.
    """
    if asked.feature not in catalog.features:
        return _plain(Reason.UNKNOWN_FEATURE, asked, fresh)
    if not customers:
        by_user = asked.user is not None
        return _plain(Reason.UNKNOWN_USER if by_user else Reason.UNKNOWN_CUSTOMER, asked, fresh)
    decisions = [_decide_one(asked, known, catalog, now, fresh) for known in customers]
    return decisions[0] if len(decisions) == 1 else min(decisions, key=_preference)


def decide_stale(decision: Decision, catalog: Catalog) -> Decision:
    """Say what an answer comes to that is older than the limit, as its feature's ``when_stale`` has it.

    ``closed`` refuses what was allowed. ``open`` allows what was refused, with the smallest value that an SKU grants,
    but never the unknown or the blocked. A refusal under ``closed`` and an allowance under ``open`` keep their reason.
    """
    if decision.reason in _UNKNOWN or decision.reason is Reason.BLOCKED:
        return decision
    policy = catalog.features[decision.feature].when_stale
    if policy is WhenStale.LAST_KNOWN or decision.allowed is (policy is WhenStale.OPEN):
        return decision
    values = [value for _, value in catalog.grants[decision.feature]]
    return msgspec.structs.replace(
        decision,
        allowed=not decision.allowed,
        reason=Reason.STALE,
        message=MESSAGES[Reason.STALE],
        value=None if decision.allowed else min(values, default=True),
        sku=None,
        license_id=None,
        override_id=None,
        since=None,
        until=None,
    )


def names_of(catalog: Catalog, features: Iterable[str]) -> set[str]:
    """Return the names under which licenses and overrides bear on any of these features."""
    return set().union(*(catalog.names.get(one, ()) for one in features))


def _preference(decision: Decision) -> tuple[int, float, int, float, str]:
    ends_at = decision.until if decision.allowed else None  # of a refusal it is the next start
    return (*_order(decision.reason, decision.value, ends_at), decision.customer or "")


def _order(reason: Reason, value: GrantValue | None, ends_at: dt.datetime | None) -> tuple[int, float, int, float]:
    """Put the best first: what allows, or is nearest to it; the largest value; `Reason`'s order; what lasts longest."""
    return (_NEARNESS[reason], -(value or 0), _RANK[reason], -ends_at.timestamp() if ends_at is not None else -math.inf)


# Reason, value, what it rests on, when that ends.
_Judged: TypeAlias = tuple[Reason, GrantValue, Held | Override, dt.datetime | None]


def _decide_one(asked: Asked, known: Known, catalog: Catalog, now: dt.datetime, fresh: Freshness) -> Decision:
    held = {one.sku: one for one in known.licenses}
    grants = catalog.grants[asked.feature]
    judged: list[_Judged] = [
        (_reason(one := held[sku], now), value, one, one.ends_at) for sku, value in grants if sku in held
    ]
    if catalog.grace:
        judged = [_graced(*one, catalog.grace, now) for one in judged]
    if known.overrides:
        judged = _overridden(judged, known.overrides, asked.feature, grants, now)
    if not judged:
        return _plain(Reason.NOT_LICENSED, asked, fresh, known.customer_id)
    reason, value, on, ends_at = (
        judged[0] if len(judged) == 1 else min(judged, key=lambda one: _order(one[0], one[1], one[3]))
    )
    allowed = reason in _ALLOWING
    return Decision(
        allowed=allowed,
        reason=reason,
        message=MESSAGES[reason],
        customer=known.customer_id,
        user=asked.user,
        feature=asked.feature,
        value=value if allowed else None,
        sku=on.sku,
        license_id=on.license_id if isinstance(on, Held) else None,
        override_id=on.override_id if isinstance(on, Override) else None,
        since=_since(on, now),
        until=ends_at if allowed or reason is Reason.BLOCKED else _next_start(judged, known.overrides, now),
        revision=fresh.revision,
        age_ms=fresh.age_ms,
        lag_ms=fresh.lag_ms,
    )


def _overridden(
    judged: Sequence[_Judged],
    overrides: Sequence[Override],
    feature: str,
    grants: Sequence[tuple[str, GrantValue]],
    now: dt.datetime,
) -> list[_Judged]:
    """Put overrides in force in the place of what they stand before: a block before a grant, both before a license.

    A block of the feature is all that counts. Of several of one effect the one that lasts longest stands.
    """
    standing: dict[tuple[str, Effect], Override] = {}
    for one in overrides:
        known = standing.get((one.what, one.effect))
        if one.stands(now) and (known is None or (one.ends_at, one.value or 0) > (known.ends_at, known.value or 0)):
            standing[one.what, one.effect] = one
    named = f"feature:{feature}"
    block, grant = standing.get((named, Effect.BLOCKED)), standing.get((named, Effect.GRANTED))
    if block is not None:
        return [(Reason.BLOCKED, True, block, block.ends_at)]
    after: list[_Judged] = []
    by_sku = {one[2].sku: one for one in judged if isinstance(one[2], Held)}
    for sku, value in grants:
        if (stop := standing.get((sku, Effect.BLOCKED))) is not None:
            after.append((Reason.BLOCKED, value, stop, stop.ends_at))
        elif (go := standing.get((sku, Effect.GRANTED))) is not None:
            after.append((Reason.OVERRIDE, value, go, go.ends_at))
        elif sku in by_sku:
            after.append(by_sku[sku])
    if grant is not None:
        after.append((Reason.OVERRIDE, True if grant.value is None else grant.value, grant, grant.ends_at))
    return after


def _graced(
    reason: Reason,
    value: GrantValue,
    on: Held | Override,
    ends_at: dt.datetime | None,
    grace: Mapping[str, dt.timedelta],
    now: dt.datetime,
) -> _Judged:
    grace_ends = on.grace_ends(grace) if reason in _ENDED and isinstance(on, Held) else None
    if grace_ends is not None and now < grace_ends:
        return Reason.GRACE, value, on, grace_ends
    return reason, value, on, ends_at


def _reason(license_: Held, now: dt.datetime) -> Reason:
    match license_.status:
        case Status.PENDING_TERMS:
            return Reason.TERMS_NOT_SIGNED
        case Status.SUSPENDED:
            return Reason.SUSPENDED
        case Status.ENDED:
            return Reason.REVOKED
    if license_.starts_at is not None and now < license_.starts_at:
        return Reason.NOT_YET_VALID
    if license_.ends_at is not None and now >= license_.ends_at:
        return Reason.EXPIRED
    return Reason.LICENSED


def _since(license_: Held | Override, now: dt.datetime) -> dt.datetime:
    """Return when the state that the answer names began. Start and end say nothing of a license that is not active."""
    if isinstance(license_, Override):
        return max(license_.since, license_.starts_at)
    if license_.status is not Status.ACTIVE:
        return license_.since
    passed = [moment for moment in (license_.starts_at, license_.ends_at) if moment is not None and moment <= now]
    return max([license_.since, *passed])


def _next_start(judged: Iterable[_Judged], overrides: Iterable[Override], now: dt.datetime) -> dt.datetime | None:
    """Return when a refusal by a license may end by itself: the next start of a license or of a grant."""
    starts = [one.starts_at for _, _, one, _ in judged if isinstance(one, Held) and one.status is Status.ACTIVE]
    starts += [one.starts_at for one in overrides if one.effect is Effect.GRANTED]
    return min((start for start in starts if start is not None and start > now), default=None)


def _plain(reason: Reason, asked: Asked, fresh: Freshness, customer: str | None = None) -> Decision:
    return Decision(
        allowed=False,
        reason=reason,
        message=MESSAGES[reason],
        customer=customer if customer is not None else asked.customer,
        user=asked.user,
        feature=asked.feature,
        revision=fresh.revision,
        age_ms=fresh.age_ms,
        lag_ms=fresh.lag_ms,
    )
