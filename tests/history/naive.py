"""The model of all that decides: each fact as it came, looked up by the definition of both times; nothing is cut."""

import dataclasses
import datetime as dt
import math
from collections.abc import Callable
from typing import Any

from licet.store.overrides import Wanted

BASE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CATALOGS = {
    "narrow": '[source]\nterms = "not_required"\n[features.mail]\n[features.extra]\n'
    '[skus.A]\nflag = "A"\nuntil = "Until"\ngrace_days = 1\ngrants = { mail = 5 }\n[skus.B]\nflag = "B"\n',
    "wide": '[source]\nterms = "not_required"\n[features.mail]\n[features.extra]\n'
    '[skus.A]\nflag = "A"\nuntil = "Until"\ngrants = { mail = 5 }\n[skus.B]\nflag = "B"\ngrace_days = 2\n'
    "grants = { mail = 9, extra = true }\n",
}
GRACE = {("narrow", "A"): 1, ("wide", "B"): 2}
GRANTS: dict[str, dict[str, dict[str, Any]]] = {
    "narrow": {"mail": {"A": 5}, "extra": {}},
    "wide": {"mail": {"A": 5, "B": 9}, "extra": {"B": True}},
}
UNTIL = BASE + dt.timedelta(hours=30)


@dataclasses.dataclass(frozen=True)
class Belief:
    """A fact, true from ``since`` on until the next one of the same subject that the same revision believed."""

    subject: tuple[str, ...]
    since: dt.datetime
    value: Any
    revision: int


class Naive:
    """Keeps each fact as it came. What was believed at a revision is what had come by then; nothing is ever cut."""

    def __init__(self) -> None:
        self.facts: list[Belief] = []

    def add(self, subject: tuple[str, ...], since: dt.datetime, value: Any, revision: int) -> None:
        mine = [one for one in self.facts if one.subject == subject]
        if mine and since <= mine[-1].since:
            since = mine[-1].since + dt.timedelta(microseconds=1)
        self.facts.append(Belief(subject, since, value, revision))

    def fact(self, subject: tuple[str, ...], as_of: dt.datetime | None, revision: int) -> Belief | None:
        known = [one for one in self.facts if one.subject == subject and one.revision <= revision]
        if as_of is not None:
            known = [one for one in known if one.since <= as_of]
        return known[-1] if known else None

    def at(self, subject: tuple[str, ...], as_of: dt.datetime | None, revision: int) -> Any:
        known = self.fact(subject, as_of, revision)
        return known.value if known is not None else None

    def subjects(self, kind: str) -> set[tuple[str, ...]]:
        return {one.subject for one in self.facts if one.subject[0] == kind}


@dataclasses.dataclass(frozen=True)
class Said:
    """What one customer's part of the answer is, and until when it is so."""

    reason: str
    value: Any = None
    customer: str | None = None
    until: dt.datetime | None = None


def nearest(one: Said) -> tuple[Any, ...]:
    """What allows before what refuses; the larger value; the reasons' order; what lasts longer."""
    order = ("blocked", "override", "licensed", "grace", "expired", "revoked", "not_licensed")
    rank = order.index(one.reason)
    lasts = -one.until.timestamp() if one.until is not None else -math.inf
    return (-1 if one.customer is not None else rank, -(one.value or 0), rank, lasts, one.customer or "")


Fact = Callable[..., Belief | None]


def answer_of(me: str, number: int, feature: str, catalog: str, fact: Fact, clock: dt.datetime) -> Said:
    """Answer for one customer: a block of the feature; else the nearest to yes of each SKU's and of a grant."""
    standing = _standing(number, fact, clock)
    if (f"feature:{feature}", "block") in standing:
        return Said("blocked")
    found = []
    for sku, value in GRANTS[catalog][feature].items():
        if (sku, "block") in standing:
            found.append(Said("blocked"))
        elif (grant := standing.get((sku, "grant"))) is not None:
            found.append(Said("override", value, me, grant.ends_at))
        elif (held := fact("license", str(number), sku)) is not None:
            deleted = fact("deleted", str(number))
            graced = GRACE.get((catalog, sku), 0) if deleted is None or not deleted.value else 0
            found.append(_licensed(held, value, me, dt.timedelta(days=graced), clock))
    if (grant := standing.get((f"feature:{feature}", "grant"))) is not None:
        found.append(Said("override", True if grant.value is None else grant.value, me, grant.ends_at))
    return min(found, key=nearest, default=Said("not_licensed"))


def _licensed(held: Belief, value: Any, me: str, grace: dt.timedelta, clock: dt.datetime) -> Said:
    status, until = held.value
    if status == "active" and (until is None or clock < until):
        return Said("licensed", value, me, until)
    reason, begun = ("expired", until) if status == "active" else ("revoked", min(held.since, until or held.since))
    return Said("grace", value, me, begun + grace) if clock < begun + grace else Said(reason)


def _standing(number: int, fact: Fact, clock: dt.datetime) -> dict[tuple[str, str], Wanted]:
    """The overrides in force, of several alike the one that lasts longest."""
    found: dict[tuple[str, str], Wanted] = {}
    for known in (fact("override", "0"), fact("override", "1")):
        if known is None or known.value is None:
            continue
        customer, what, one = known.value
        if customer == number and one.starts_at <= clock < one.ends_at:
            other = found.get((what, one.effect))
            if other is None or (one.ends_at, one.value or 0) > (other.ends_at, other.value or 0):
                found[what, one.effect] = one
    return found
