"""The table: who holds what, compact enough for a million customers.

Customers whose licenses agree in SKU, status, times and quantity share one profile, and with it its verdicts, each
until time alone may change it. A customer costs its names and licenses as bytes (``pages.py``), and a slot per name.
"""

import itertools
import math
import uuid
from collections.abc import Iterator

import msgspec

from licet_sdk.pages import ROW, Pages
from licet_sdk.slots import Place, Slots, copied, hash_of
from licet_sdk.verdict import TIMED, Term, Verdict, judge, plain
from licet_sdk.wire import Changes, Feature, Head, License, Record, write

_SPARE = 1_000  # profiles that nobody holds, and verdicts that nobody may need, before they are let go
_DAY = 86_400_000_000
_ASK = plain("unavailable")  # stands where nothing was judged: its time is up


class Table:
    """All that the service told. Names (ids and aliases) lead to customers; users and domains to ids, space between.

    One writer at a time; ``turn`` is None while it writes, and another object after each write. ``front`` is what
    readers need for most answers, without a lock: the slots, verdicts by feature and profile's number, the pages.
    """

    def __init__(self, head: Head) -> None:
        self.position, self.revision, self.catalog = head.position, head.revision, head.catalog
        self.turn: object = object()
        self.pages = Pages()
        self.slots = Slots(self.pages)
        self._verdicts: dict[str, list[Verdict]] = {}
        self.front = (*self.slots.block, self._verdicts, self.pages.pages)
        self.users: dict[str, str] = {}
        self.domains: dict[str, str] = {}
        self._profiles: list[tuple[Term, ...]] = [()]
        self._numbers: dict[tuple[Term, ...], int] = {}
        self._holders = [0]  # customers of each profile
        self._left: list[int] = []  # numbers whose profile nobody holds any more
        self._free: list[int] = []  # of these the ones that no verdict stands for
        self._judged: dict[Verdict, Verdict] = {}  # profiles share equal verdicts: fewer objects to fetch from memory

    def apply(self, changes: Changes, position: str) -> None:
        """Move to the position, as one: a name that moves between customers is never without one on the way."""
        self.turn = None
        gone = set()
        for row, names in [self.put(record) for record in (*changes.customers, *changes.users, *changes.domains)]:
            listed = self.pages.names(row) if names else []
            for name in names:
                if name not in listed:
                    self.slots.drop(name, row)
            if names and not listed:
                gone.add(row)
        self.pages.free += gone
        if changes.catalog is not None:
            self.catalog = changes.catalog
            self._forget()
        self.publish()
        self.revision, self.position, self.turn = changes.revision, position, object()

    def publish(self) -> None:
        """Let readers see what was put."""
        self.front = (*self.slots.block, self._verdicts, self.pages.pages)

    def put(self, record: Record) -> tuple[int, list[str]]:
        """Replace a customer, a user or a domain by its present state; returns a customer's row and names before."""
        if not isinstance(record.c, str):
            kept, name = (self.users, record.u) if record.u is not None else (self.domains, record.d or "")
            kept[name] = " ".join(record.c)
            if not record.c:
                del kept[name]
            return 0, []
        held, row = self.slots.find(record.c)
        before = self.pages.names(row) if held else []
        if record.gone:
            if held:
                self.pages.write(row, b"")
                self.slots.drop(record.c, row)
                self._leave(held)
            return row, before
        licenses = sorted(record.l, key=_sku)
        number = self._number(tuple([(one.sku, one.status, one.starts, one.ends, one.quantity) for one in licenses]))
        names = [record.c, *record.a]
        written = " ".join(names).encode() + b"\n" + b"".join(map(_row, licenses))
        if held:
            self.pages.write(row, written)
            self._leave(held)
        else:
            row = self.pages.add(written)
        for name in names:
            self.slots.put(name, (number, row))
        return row, before

    def _number(self, terms: tuple[Term, ...]) -> int:
        """Return the number of a profile, for one more customer."""
        number = self._numbers.get(terms)
        if number is None:
            if len(self._left) > _SPARE + len(self._numbers):
                self._forget()
            if self._free:
                number = self._free.pop()
                self._profiles[number] = terms
            else:
                number = len(self._profiles)
                self._profiles.append(terms)
                self._holders.append(0)
            self._numbers[terms] = number
        self._holders[number] += 1
        return number

    def _leave(self, number: int) -> None:
        self._holders[number] -= 1
        if not self._holders[number]:
            del self._numbers[self._profiles[number]]
            self._profiles[number] = ()
            self._left.append(number)

    def _forget(self) -> None:
        """Judge all anew. Who still reads the front of before finds no number there that means another profile now."""
        self._verdicts, self._judged, self.slots.block = {}, {}, copied(self.slots.block)
        self._free += self._left
        self._left.clear()

    def members(self, user: str) -> list[Place]:
        """Return the places of a user's customers: by membership, else by the domain of its address."""
        domain = user.rpartition("@")[2] if "@" in user else ""
        named = self.users.get(user) or self.domains.get(domain, "")
        return [place for one in named.split() if (place := self.slots.find(one))[0]]

    def verdict(self, place: Place, feature: str, now: float) -> Verdict:
        """Judge one feature of the catalog at ``now`` (s since 1970), once until time alone changes a verdict.

        Where grace follows a license that its flag ended, the verdict is the customer's own, and made each time.
        """
        number, kept = place[0], self._verdicts.setdefault(feature, [])
        kept += [_ASK] * (len(self._profiles) - len(kept))
        if now >= kept[number].until:
            micros, terms, of = round(now * 1e6), self._profiles[number], self.catalog.features[feature]
            grace = self._grace(place) if self.catalog.grace else {}
            judged = judge(terms, of, micros, feature, grace)
            if grace and self._own(terms, of):
                return judged
            times = [time for term in terms if term[1] in TIMED for time in term[2:4] if time is not None]
            until = min((time for time in (*times, *grace.values()) if time > micros), default=math.inf) / 1e6
            judged = msgspec.structs.replace(judged, until=until)
            if len(self._judged) > _SPARE + len(self._profiles):
                self._judged = {}
            kept[number] = self._judged.setdefault(judged, judged)
        return kept[number]

    def _own(self, terms: tuple[Term, ...], feature: Feature) -> bool:
        ended = {term[0] for term in terms if term[1] == "ended" and term[0] in self.catalog.grace}
        return any(sku in ended for sku, _ in feature.grants)

    def _grace(self, place: Place) -> dict[str, int]:
        """Return when the grace after each license ends (µs since 1970)."""
        found, rows = {}, self.pages.of(place[1]).rows(place[1])
        for at, (sku, status, starts, until, _) in enumerate(self._profiles[place[0]]):
            since = ROW.unpack_from(rows, at * ROW.size)[1] if status == "ended" else None
            ends: int | None = min((time for time in (until, since) if time is not None), default=None)
            if status in ("active", "ended") and ends is not None and (starts is None or starts < ends):
                found[sku] = ends + self.catalog.grace.get(sku, 0) * _DAY
        return found

    def lines(self) -> Iterator[bytes]:
        """Return the lines of a snapshot after its head, as of this moment: what changes later is not in them."""
        customers = _customers(Pages(self.pages.pages), self._profiles.copy(), self.slots.pairs())
        users, domains = list(self.users.items()), list(self.domains.items())
        return itertools.chain(
            customers,
            (write(Record(u=user, c=ids.split())) for user, ids in users),
            (write(Record(d=domain, c=ids.split())) for domain, ids in domains),
            [write(Record(end=True, customers=len(self.pages), users=len(users), domains=len(domains)))],
        )


def _customers(pages: Pages, profiles: list[tuple[Term, ...]], pairs: Iterator[tuple[int, Place]]) -> Iterator[bytes]:
    for key, (number, row) in pairs:
        names = pages.names(row) if number else []
        if names and hash_of(names[0]) == key:  # else the slot of an alias
            kept = zip(profiles[number], ROW.iter_unpack(pages.of(row).rows(row)), strict=True)
            licenses = [License(*term, str(uuid.UUID(bytes=license_id)), since) for term, (license_id, since) in kept]
            yield write(Record(c=names[0], a=names[1:], l=licenses))


def _sku(license_: License) -> str:
    return license_.sku


def _row(license_: License) -> bytes:
    return ROW.pack(bytes.fromhex(license_.license_id.replace("-", "")), license_.since)
