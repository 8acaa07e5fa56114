"""The rules of a decision: what one customer's licenses mean for one feature at one time. Those of the service."""

import datetime as dt
import math
from collections.abc import Mapping

import msgspec

from licet_sdk.decision import MESSAGES, Value, moment
from licet_sdk.pages import ROW
from licet_sdk.wire import Feature

# SKU, status, starts, ends, quantity; of an override SKU or feature:NAME, effect, starts, ends, value.
Term = tuple[str, str, int | None, int | None, int | float | None]
TIMED = frozenset({"active", "granted", "blocked"})
_ALLOWING = frozenset({"override", "licensed", "grace"})
_ENDED = frozenset({"expired", "revoked"})
_RANK = {reason: rank for rank, reason in enumerate(MESSAGES)}
_NEARNESS = _RANK | dict.fromkeys(_ALLOWING, -1)
_EFFECT = {"granted": "override", "blocked": "blocked"}
_STATUS = {"pending_terms": "terms_not_signed", "suspended": "suspended", "ended": "revoked", "void": "revoked"}


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a profile means for one feature. ``told`` begins the decision: allowed, reason, message, value, SKU, until.

    ``order`` puts the best first. ``at`` is where the license's bytes begin, -1 where there is none; ``floor`` the
    earliest that its state can have begun. ``stale`` is the verdict to give instead once the data is too old. ``until``
    (s since 1970) is when time alone may make another of it.
    """

    allowed: bool
    told: tuple[bool, str, str, Value | None, str | None, dt.datetime | None]
    order: tuple[int, float, int, float]
    at: int = -1
    floor: int = 0
    stale: "Verdict | None" = None
    until: float = -math.inf


def plain(reason: str, value: Value | None = None) -> Verdict:
    """Answer without a license behind it, allowed where there is a value."""
    allowed = value is not None
    return Verdict(allowed, (allowed, reason, MESSAGES[reason], value, None, None), _order(reason, 0, None))


_Judged = tuple[tuple[int, float, int, float], str, Value, str | None, int | None, int, int]


def judge(terms: tuple[Term, ...], feature: Feature, now: int, name: str, grace: Mapping[str, int]) -> Verdict:
    """Judge the feature of this name; ``now``, and when the grace of an SKU ends, are in microseconds since 1970."""
    held = {term[0]: (at * ROW.size, *term[1:4]) for at, term in enumerate(terms) if term[1] not in _EFFECT}
    judged: list[_Judged] = []
    coming: list[int | None] = []
    forced, named = {}, ""
    if len(held) < len(terms):
        forced, named = _forced(terms, now), f"feature:{name}"
        coming += [term[2] for term in terms if term[1] == "granted" and _bears(term[0], feature, name)]
    if blocked := forced.get((named, "blocked")):
        return _best([_by_override("blocked", True, None, *blocked)], coming, feature, now)
    for sku, value in feature.grants:
        if forced and (effect := next((one for one in ("blocked", "granted") if (sku, one) in forced), None)):
            judged.append(_by_override(effect, value, sku, *forced[sku, effect]))
            continue
        at, status, starts, ends = held.get(sku, (-1, "", None, None))
        reason = _in_time(starts, ends, now) if status == "active" else _STATUS.get(status, "")
        if not reason:  # not held, or in a state that only a later service knows: no access
            continue
        floor = 0
        if status == "active":
            floor = max(time for time in (0, starts, ends) if time is not None and time <= now)
            coming.append(starts)
        if reason in _ENDED and now < grace.get(sku, 0):
            reason, ends = "grace", grace[sku]
        judged.append((_order(reason, value, ends), reason, value, sku, ends, at, floor))
    if granted := forced.get((named, "granted")):
        own = terms[granted[0]][4]
        judged.append(_by_override("granted", True if own is None else own, None, *granted))
    return _best(judged, coming, feature, now)


def _best(judged: list[_Judged], coming: list[int | None], feature: Feature, now: int) -> Verdict:
    best = plain("not_licensed")
    if judged:
        order, reason, value, sku, ends, at, floor = min(judged, key=lambda one: one[0]) if judged[1:] else judged[0]
        yes = reason in _ALLOWING
        until = ends if yes or reason == "blocked" else _next(coming, now)
        told = (yes, reason, MESSAGES[reason], value if yes else None, sku, None if until is None else moment(until))
        best = Verdict(yes, told, order if yes else _order(reason, 0, None), at, floor)
    if feature.when_stale == ("closed" if best.allowed else "open") and best.told[1] != "blocked":
        least = min((value for _, value in feature.grants), default=True)
        best = msgspec.structs.replace(best, stale=plain("stale", None if best.allowed else least))
    return best


def _next(coming: list[int | None], now: int) -> int | None:
    return min((start for start in coming if start is not None and start > now), default=None)


def _forced(terms: tuple[Term, ...], now: int) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return the overrides in force by name and effect, of several the one that lasts longest: place, start, end."""
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    for at, (what, effect, starts, ends, value) in enumerate(terms):
        if effect in _EFFECT and starts is not None and ends is not None and starts <= now < ends:
            known = found.get((what, effect))
            if known is None or (ends, value or 0) > (known[2], terms[known[0]][4] or 0):
                found[what, effect] = (at, starts, ends)
    return found


def _by_override(effect: str, value: Value, sku: str | None, place: int, starts: int, ends: int) -> _Judged:
    reason = _EFFECT[effect]
    return _order(reason, value, ends), reason, value, sku, ends, place * ROW.size, starts


def _bears(what: str, feature: Feature, name: str) -> bool:
    return what == f"feature:{name}" or any(what == sku for sku, _ in feature.grants)


def _in_time(starts: int | None, ends: int | None, now: int) -> str:
    if starts is not None and now < starts:
        return "not_yet_valid"
    return "expired" if ends is not None and now >= ends else "licensed"


def _order(reason: str, value: Value, ends: int | None) -> tuple[int, float, int, float]:
    return (_NEARNESS[reason], -value, _RANK[reason], -ends if ends is not None else -math.inf)
