"""The snapshot: all that a decision reads, in memory, small enough for a million customers in one process.

A customer is one ``bytes``: the number of its set of terms (what its licenses say, which many customers share), then
24 bytes of each license's own, then its aliases. Dicts of strings and bytes hold nothing that a garbage collection
would have to walk through.
"""

import datetime as dt
import itertools
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.decision import Freshness, Held, Known, Override
from licet.domain.errors import Unavailable
from licet.domain.license import Status
from licet.store.records import (
    LICENSE_BYTES,
    CustomerRecord,
    NameRecord,
    Position,
    Records,
    Term,
    read_license,
    read_terms,
)
from licet.store.values import Question

T = TypeVar("T")
_NUMBER = 4
# Sets of terms that nobody has any more go with the next load. It is due when there are so many more than after the
# last one: the memory of some 50 MB.
_NEW_SETS = 100_000
# One look-up that a resolution made: where, under which name, and what was there.
Look = tuple[Mapping[str, Any], str, object]


class Resolution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a question resolved to.

    ``named``: the customer that the question names, None where it names none or an unknown one. ``belongs``: whether
    the user belongs to any customer. ``customers``: those that the answer is about. ``looked``: every look-up that
    led here; while each would find the same object, so would the question.
    """

    named: str | None
    belongs: bool
    customers: Sequence[tuple[str, bytes | None]]
    looked: Sequence[Look]


class Changes(msgspec.Struct, frozen=True):
    """Records, made ready to be applied within a moment. None: it is no more."""

    customers: dict[str, bytes]
    gone: Sequence[str]
    aliases: dict[str, str]
    dropped: Sequence[str]
    users: dict[str, str | None]
    domains: dict[str, str | None]


class Snapshot:
    """One consistent state of the store, moved on by ``apply``. Read and applied on one thread, between awaits whole.

    ``version`` is another object after each ``apply``.
    """

    def __init__(self, position: Position, catalog: Catalog) -> None:
        self.position = position
        self.catalog = catalog
        self.version = object()
        self.customers: dict[str, bytes] = {}
        self.aliases: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.domains: dict[str, str] = {}
        self._sets: list[tuple[Term, ...]] = []
        self._texts: list[str | None] = []
        self._numbers: dict[str | None, bytes] = {}
        self._most_sets = _NEW_SETS

    def loaded(self) -> None:
        """Say that all is in; from here on sets of terms that nobody has any more pile up."""
        self._most_sets = len(self._sets) + _NEW_SETS

    @property
    def crowded(self) -> bool:
        """Whether another load is due, to be rid of what nobody has any more."""
        return len(self._sets) > self._most_sets

    def prepare(self, records: Records) -> Changes:
        """Make records ready. For any thread, one at a time, while nothing is applied."""
        customers: dict[str, bytes] = {}
        aliases: dict[str, str] = {}
        gone: list[str] = []
        dropped: list[str] = []
        for one in records.customers:
            number = self._numbers.get(one.terms) or self._intern(one.terms)
            if one.gone:
                gone.append(one.customer_id)
            elif one.aliases is None:
                customers[one.customer_id] = number + (one.packed or b"")
            else:
                customers[one.customer_id] = number + (one.packed or b"") + one.aliases.encode()
                aliases.update(dict.fromkeys(one.aliases.split(" "), one.customer_id))
            before = self.customers.get(one.customer_id)
            if before is not None:
                dropped += [alias for alias in self._aliases(before) if self.aliases.get(alias) == one.customer_id]
        return Changes(
            customers,
            gone,
            aliases,
            dropped,
            {one.name: one.customers for one in records.users},
            {one.name: one.customers for one in records.domains},
        )

    def apply(self, changes: Changes, position: Position, catalog: Catalog | None = None) -> None:
        """Move on to a position: 10,000 customers within some 5 ms."""
        self.customers.update(changes.customers)
        for customer_id in changes.gone:
            self.customers.pop(customer_id, None)
        for alias in changes.dropped:
            del self.aliases[alias]
        self.aliases.update(changes.aliases)
        for names, changed in ((self.users, changes.users), (self.domains, changes.domains)):
            for name, customers in changed.items():
                if customers is None:
                    names.pop(name, None)
                else:
                    names[name] = customers
        self.position = position
        self.catalog = catalog or self.catalog
        self.version = object()

    def forget(self) -> None:
        """Let go of all names, for any thread: a million objects freed at once would hold the event loop for 90 ms."""
        for names in (self.customers, self.aliases, self.users, self.domains):
            while names:
                names.popitem()
            names.clear()

    def resolve(self, question: Question, *, proven: bool = True) -> Resolution:
        """Say whose licenses a question is about: a user by membership, else by the domain of the address.

        ``proven``: whether to note what was looked up.
        """
        looked: list[Look] = []

        def look(where: Mapping[str, Any], name: str) -> Any:
            found = where.get(name)
            if proven:
                looked.append((where, name, found))
            return found

        named = None
        ref = question.customer
        if ref is not None:
            named = ref.customer_id if ref.alias is None else look(self.aliases, ref.alias)
            if named is not None and look(self.customers, named) is None:
                named = None
        if question.user is None:
            belongs = (named,) if named is not None else ()
        else:
            customers = look(self.users, question.user)
            if customers is None and question.domain is not None:
                customers = look(self.domains, question.domain)
            belongs = tuple(customers.split(" ")) if customers is not None else ()
        asked = belongs if ref is None else [one for one in belongs if one == named]
        return Resolution(
            named=named,
            belongs=bool(belongs),
            customers=[(one, look(self.customers, one)) for one in asked],
            looked=looked,
        )

    def known(self, customer_id: str, kept: bytes | None, skus: Container[str]) -> Known:
        """Return a customer as a decision sees it, with its licenses and overrides of these; see ``names_of``."""
        licenses: list[Held] = []
        overrides: list[Override] = []
        if kept is not None:
            for place, term in enumerate(self._terms(kept)):
                if term.sku in skus:
                    license_id, since = read_license(kept, place, _NUMBER)
                    what, status, starts_at, ends_at = term.sku, term.status, term.starts_at, term.ends_at
                    if type(status) is Status:
                        licenses.append(
                            Held(what, license_id, status, starts_at, ends_at, term.quantity, since, term.lapsed)  # type: ignore[arg-type]  # a license counts in whole numbers
                        )
                    else:
                        overrides.append(
                            Override(what, license_id, status, starts_at, ends_at, term.quantity, since)  # type: ignore[arg-type]  # an override has both times
                        )
        return Known(customer_id, licenses, overrides)

    def record(self, customer_id: str, kept: bytes) -> CustomerRecord:
        """Return a customer as the feed told it. For any thread."""
        end = _NUMBER + LICENSE_BYTES * len(self._terms(kept))
        terms = self._texts[int.from_bytes(kept[:_NUMBER], "big")]
        return CustomerRecord(customer_id, terms, kept[_NUMBER:end], kept[end:].decode() or None)

    def whole(self, chunk: int) -> Iterator[Records]:
        """Return all of it as it is now, to be read by any thread while the snapshot moves on.

        It is copied at once, which takes some 30 ms with a million customers.
        """
        customers, users, domains = dict(self.customers), dict(self.users), dict(self.domains)
        return itertools.chain(
            (Records([self.record(*one) for one in some]) for some in _chunks(customers, chunk)),
            (Records(users=[NameRecord(*one) for one in some]) for some in _chunks(users, chunk)),
            (Records(domains=[NameRecord(*one) for one in some]) for some in _chunks(domains, chunk)),
        )

    def _terms(self, kept: bytes) -> tuple[Term, ...]:
        return self._sets[int.from_bytes(kept[:_NUMBER], "big")]

    def _aliases(self, kept: bytes) -> list[str]:
        text = kept[_NUMBER + LICENSE_BYTES * len(self._terms(kept)) :]
        return text.decode().split(" ") if text else []

    def _intern(self, terms: str | None) -> bytes:
        number = self._numbers[terms] = len(self._sets).to_bytes(_NUMBER, "big")
        self._sets.append(read_terms(terms))
        self._texts.append(terms)
        return number


def _chunks(of: Mapping[str, T], size: int) -> Iterator[list[tuple[str, T]]]:
    items = iter(of.items())
    while some := list(itertools.islice(items, size)):
        yield some


class Latest:
    """The snapshot in use, and how fresh it is. Belongs to the event loop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.snapshot: Snapshot | None = None
        self.matched_at = float("-inf")
        self.lag_ms: int | None = None

    def get(self) -> Snapshot:
        """Return the snapshot. Raises ``Unavailable`` before the first load has ended."""
        if self.snapshot is None:
            raise Unavailable("the snapshot is not loaded yet")
        return self.snapshot

    def age_s(self) -> float:
        """Return the seconds since the snapshot last matched the store; endless before the first load."""
        return self._monotonic() - self.matched_at

    def size(self) -> int:
        """Return how many customers are known."""
        return len(self.snapshot.customers) if self.snapshot is not None else 0

    def freshness(self) -> Freshness:
        """Say what an answer made now includes and how old it is."""
        return Freshness(self.get().position.revision, int(self.age_s() * 1000), self.lag_ms)


def interval(
    customers: Sequence[Known], catalog: Catalog, now: dt.datetime
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return from when (inclusive) until when (exclusive) no license, grace or override of these begins or ends.

    None: without end.
    """
    spans: list[Held | Override] = []
    for known in customers:
        spans += known.licenses
        spans += known.overrides
    moments = [moment for one in spans for moment in (one.starts_at, one.ends_at) if moment is not None]
    if catalog.grace:
        graces = [license_.grace_ends(catalog.grace) for known in customers for license_ in known.licenses]
        moments += [moment for moment in graces if moment is not None]
    if not moments:
        return None, None
    return max((one for one in moments if one <= now), default=None), min(
        (one for one in moments if one > now), default=None
    )
