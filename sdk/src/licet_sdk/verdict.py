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
    """``order`` puts the best first. ``at`` is where the license's bytes begin, -1 where there is none.

    ``stale`` is the verdict to give instead once the data is too old, where the feature wants another.
    """

    allowed: bool
    reason: str
    message: str
    order: tuple[int, float, float]
    value: Value | None = None
    sku: str | None = None
    at: int = -1
    floor: int = 0
    until: dt.datetime | None = None
    stale: "Verdict | None" = None


def plain(reason: str) -> Verdict:
    """Refuse without a license behind it."""
    return Verdict(False, reason, MESSAGES[reason], _order(reason, 0, None))


def judge(terms: tuple[Term, ...], feature: Feature, now: int) -> Verdict:
    """Judge; ``now`` is in microseconds since 1970."""
    held = {term[0]: (at * ROW.size, *term[1:4]) for at, term in enumerate(terms)}
    verdicts, coming = [plain("not_licensed")], []
    for sku, value in feature.grants:
        at, status, starts, ends = held.get(sku, (-1, "", None, None))
        reason = _in_time(starts, ends, now) if status == "active" else _STATUS.get(status, "")
        if not reason:  # not held, or in a state that only a later service knows: no access
            continue
        floor, until = 0, None
        if status == "active":
            floor = max(time for time in (0, starts, ends) if time is not None and time <= now)
            coming += [starts] if starts is not None and starts > now else []
        if reason == "licensed":
            until = moment(ends) if ends is not None else None
        order = _order(reason, value, ends)
        verdicts.append(Verdict(reason == "licensed", reason, MESSAGES[reason], order, value, sku, at, floor, until))
    best = min(verdicts, key=_by_order)
    if not best.allowed:
        until = moment(min(coming)) if coming else None
        best = msgspec.structs.replace(best, value=None, until=until, order=_order(best.reason, 0, None))
    if feature.when_stale == ("closed" if best.allowed else "open"):
        value = None if best.allowed else min((value for _, value in feature.grants), default=True)
        stale = Verdict(not best.allowed, "stale", MESSAGES["stale"], best.order, value)
        best = msgspec.structs.replace(best, stale=stale)
    return best


def _in_time(starts: int | None, ends: int | None, now: int) -> str:
    if starts is not None and now < starts:
        return "not_yet_valid"
    return "expired" if ends is not None and now >= ends else "licensed"


def _order(reason: str, value: Value, ends: int | None) -> tuple[int, float, float]:
    return (_RANK[reason], -value, -ends if ends is not None else -math.inf)


def _by_order(verdict: Verdict) -> tuple[int, float, float]:
    return verdict.order
