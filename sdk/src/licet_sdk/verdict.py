"""The rules of a decision: what one customer's licenses mean for one feature at one time. Those of the service."""

import datetime as dt
import math

import msgspec

from licet_sdk.decision import MESSAGES, ROW, Value, moment
from licet_sdk.wire import Feature

Term = tuple[str, str, int | None, int | None, int | None]  # sku, status, starts, ends, quantity
_RANK = {reason: rank for rank, reason in enumerate(MESSAGES)}
_STATUS = {"pending_terms": "terms_not_signed", "suspended": "suspended", "ended": "revoked"}


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a profile means for one feature. ``told`` begins the decision: allowed, reason, message, value, SKU, until.

    ``order`` puts the best first. ``at`` is where the license's bytes begin, -1 where there is none; ``floor`` the
    earliest that its state can have begun. ``stale`` is the verdict to give instead once the data is too old.
    """

    allowed: bool
    told: tuple[bool, str, str, Value | None, str | None, dt.datetime | None]
    order: tuple[int, float, float]
    at: int = -1
    floor: int = 0
    stale: "Verdict | None" = None


def plain(reason: str, value: Value | None = None) -> Verdict:
    """Answer without a license behind it, allowed where there is a value."""
    allowed = value is not None
    return Verdict(allowed, (allowed, reason, MESSAGES[reason], value, None, None), _order(reason, 0, None))


def judge(terms: tuple[Term, ...], feature: Feature, now: int) -> Verdict:
    """Judge; ``now`` is in microseconds since 1970."""
    held = {term[0]: (at * ROW.size, *term[1:4]) for at, term in enumerate(terms)}
    judged, coming = [], []
    for sku, value in feature.grants:
        at, status, starts, ends = held.get(sku, (-1, "", None, None))
        reason = _in_time(starts, ends, now) if status == "active" else _STATUS.get(status, "")
        if not reason:  # not held, or in a state that only a later service knows: no access
            continue
        floor = 0
        if status == "active":
            floor = max(time for time in (0, starts, ends) if time is not None and time <= now)
            coming += [starts] if starts is not None and starts > now else []
        judged.append((_order(reason, value, ends), reason, value, sku, ends, at, floor))
    best = plain("not_licensed")
    if judged:
        order, reason, value, sku, ends, at, floor = min(judged, key=lambda one: one[0])
        yes = reason == "licensed"
        until = ends if yes else min(coming, default=None)
        told = (yes, reason, MESSAGES[reason], value if yes else None, sku, None if until is None else moment(until))
        best = Verdict(yes, told, order if yes else _order(reason, 0, None), at, floor)
    if feature.when_stale == ("closed" if best.allowed else "open"):
        least = min((value for _, value in feature.grants), default=True)
        best = msgspec.structs.replace(best, stale=plain("stale", None if best.allowed else least))
    return best


def _in_time(starts: int | None, ends: int | None, now: int) -> str:
    if starts is not None and now < starts:
        return "not_yet_valid"
    return "expired" if ends is not None and now >= ends else "licensed"


def _order(reason: str, value: Value, ends: int | None) -> tuple[int, float, float]:
    return (_RANK[reason], -value, -ends if ends is not None else -math.inf)
