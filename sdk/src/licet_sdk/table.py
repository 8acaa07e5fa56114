"""The table: who holds what, compact enough for a million customers.

Customers whose licenses agree in SKU, status, times and quantity share one ``Profile``, which remembers its verdicts
until the next moment at which time alone changes one. A customer costs three objects, none of them tracked by the
garbage collector: its id, its ``Holding`` and the bytes of its licenses.
"""

import itertools
import math
import uuid
from collections.abc import Iterator

import msgspec

from licet_sdk.decision import ROW, Held
from licet_sdk.verdict import TIMED, Term, Verdict, judge
from licet_sdk.wire import Changes, Feature, Head, License, Record, write

_PRUNE_FROM = 1_000
_DAY = 86_400_000_000


class Profile(msgspec.Struct, gc=False):
    """The licenses of all customers that hold the same. ``until`` (s since 1970) bounds its verdicts in time."""

    terms: tuple[Term, ...] = ()
    until: float = -math.inf
    verdicts: dict[str, Verdict] = {}


class Holding(Held, frozen=True, gc=False):
    """One customer, with a row per term of the profile; ``aliases`` are joined by spaces."""

    id: str
    profile: Profile
    aliases: str


class Table:
    """All that the service told. Names (ids and aliases) lead to customers; users and domains to ids, space between.

    One writer at a time; ``turn`` is None while it writes, and another object after each write.
    """

    def __init__(self, head: Head) -> None:
        self.position, self.revision, self.catalog = head.position, head.revision, head.catalog
        self.turn: object = object()
        self.holdings: dict[str | None, Holding] = {}
        self.users: dict[str, str] = {}
        self.domains: dict[str, str] = {}
        self._shared: dict[tuple[Term, ...], Profile] = {}
        self._judged: dict[Verdict, Verdict] = {}  # profiles share equal verdicts: fewer objects to fetch from memory
        self._prune_at = _PRUNE_FROM

    def apply(self, changes: Changes, position: str) -> None:
        """Move to the position, as one: a name that moves between customers is never without one on the way."""
        self.turn = None
        records = itertools.chain(changes.customers, changes.users, changes.domains)
        for before in [self.put(record) for record in records]:
            if before is not None:
                self._drop_names(before)
        if changes.catalog is not None:
            self.catalog = changes.catalog
            for profile in self._shared.values():
                profile.until = -math.inf
        self.revision, self.position, self.turn = changes.revision, position, object()

    def put(self, record: Record) -> Holding | None:
        """Replace a customer, a user or a domain by its present state; returns the customer before."""
        if not isinstance(record.c, str):
            names, name = (self.users, record.u) if record.u is not None else (self.domains, record.d or "")
            # One id alone stays the object it is: that of the customer costs nothing more.
            names[name] = " ".join([held.id if (held := self.holdings.get(one)) else one for one in record.c])
            if not record.c:
                del names[name]
            return None
        before = self.holdings.get(record.c)
        if record.gone:
            self.holdings.pop(record.c, None)
            return before
        licenses = sorted(record.l, key=_sku)
        profile = self._profile(tuple([(one.sku, one.status, one.starts, one.ends, one.quantity) for one in licenses]))
        holding = Holding(b"".join(map(_row, licenses)), record.c, profile, " ".join(record.a))
        for name in (record.c, *record.a):
            self.holdings[name] = holding
        return before

    def _drop_names(self, before: Holding) -> None:
        after = self.holdings.get(before.id)
        kept = after.aliases.split() if after is not None else ()
        for alias in before.aliases.split():
            owner = self.holdings.get(alias)
            if alias not in kept and owner is not None and owner.id == before.id:
                del self.holdings[alias]

    def _profile(self, terms: tuple[Term, ...]) -> Profile:
        found = self._shared.get(terms)
        if found is None:
            if len(self._shared) >= self._prune_at:
                self._shared = {one.profile.terms: one.profile for one in self.holdings.values()}
                self._judged = {}
                self._prune_at = _PRUNE_FROM + 2 * len(self._shared)
            found = self._shared[terms] = Profile(terms)
        return found

    def members(self, user: str) -> list[Holding]:
        """Return the customers that a user belongs to: by membership, else by the domain of its address."""
        domain = user.rpartition("@")[2] if "@" in user else ""
        named = self.users.get(user) or self.domains.get(domain, "")
        return [self.holdings[one] for one in named.split() if one in self.holdings]

    def verdict(self, holding: Holding, feature: str, now: float) -> Verdict:
        """Judge one feature of the catalog at ``now`` (s since 1970), once until time alone changes a verdict.

        Where grace follows a license that its flag ended, the verdict is the customer's own, and made each time.
        """
        micros, profile = round(now * 1e6), holding.profile
        grace = self._grace(holding) if self.catalog.grace else {}
        if now >= profile.until:
            times = [time for term in profile.terms if term[1] in TIMED for time in term[2:4] if time is not None]
            times += grace.values()
            profile.verdicts = {}
            profile.until = min((time for time in times if time > micros), default=math.inf) / 1e6
        found = profile.verdicts.get(feature)
        if found is None:
            of = self.catalog.features[feature]
            judged = judge(profile.terms, of, micros, feature, grace)
            if grace and self._own(profile, of):
                return judged
            found = profile.verdicts[feature] = self._judged.setdefault(judged, judged)
        return found

    def _own(self, profile: Profile, feature: Feature) -> bool:
        ended = {term[0] for term in profile.terms if term[1] == "ended" and term[0] in self.catalog.grace}
        return any(sku in ended for sku, _ in feature.grants)

    def _grace(self, holding: Holding) -> dict[str, int]:
        """Return when the grace after each license ends (µs since 1970)."""
        found = {}
        for at, (sku, status, starts, until, _) in enumerate(holding.profile.terms):
            since = ROW.unpack_from(holding.rows, at * ROW.size)[1] if status == "ended" else None
            ends: int | None = min((time for time in (until, since) if time is not None), default=None)
            if status in ("active", "ended") and ends is not None and (starts is None or starts < ends):
                found[sku] = ends + self.catalog.grace.get(sku, 0) * _DAY
        return found

    def lines(self) -> Iterator[bytes]:
        """Return the lines of a snapshot after its head, as of this moment: what changes later is not in them."""
        customers = [holding for name, holding in self.holdings.items() if name == holding.id]
        users, domains = list(self.users.items()), list(self.domains.items())
        return itertools.chain(
            (write(Record(c=one.id, a=one.aliases.split(), l=_licenses(one))) for one in customers),
            (write(Record(u=user, c=ids.split())) for user, ids in users),
            (write(Record(d=domain, c=ids.split())) for domain, ids in domains),
            [write(Record(end=True, customers=len(customers), users=len(users), domains=len(domains)))],
        )


def _licenses(one: Holding) -> list[License]:
    kept = zip(one.profile.terms, ROW.iter_unpack(one.rows), strict=True)
    return [License(*term, str(uuid.UUID(bytes=license_id)), since) for term, (license_id, since) in kept]


def _sku(license_: License) -> str:
    return license_.sku


def _row(license_: License) -> bytes:
    return ROW.pack(bytes.fromhex(license_.license_id.replace("-", "")), license_.since)
