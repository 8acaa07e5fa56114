"""The snapshot: all that a decision reads, in memory, small enough for a million customers in one process.

A customer is one ``bytes``: the number of its set of terms (what its licenses say, which many customers share), then
24 bytes of each license's own, then its aliases. Dicts of strings and bytes hold nothing that a garbage collection
would have to walk through. They are many small ones (``Names``): one of a million names holds the event loop for 30 ms
when it grows or is copied, and for 90 when it is freed.
"""

import copy
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
# Of a million names 250 each, which is copied in 10 µs. A prime, as a part's own table goes by the hash's last bits.
_PARTS = 4093
# Sets of terms that nobody has any more go with the next load. It is due when there are so many more than after the
# last one: the memory of some 50 MB.
_NEW_SETS = 100_000
# One look-up that a resolution made: in which names of the snapshot, under which name, and what was there.
Look = tuple[str, str, object]


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


class Names(Mapping[str, T]):
    """What stands behind each name. Once others have it, it never changes: ``changed`` makes another one.

    Both share all parts that have no news, so that to keep what was costs nothing, and no step of a change takes long.
    """

    def __init__(self, parts: list[dict[str, T]] | None = None) -> None:
        self._parts: list[dict[str, T]] = [{} for _ in range(_PARTS)] if parts is None else parts

    def __getitem__(self, name: str) -> T:
        return self._parts[hash(name) % _PARTS][name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return what stands behind a name, else the default."""
        return self._parts[hash(name) % _PARTS].get(name, default)

    def __iter__(self) -> Iterator[str]:
        return itertools.chain(*self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def fill(self, more: Mapping[str, T]) -> None:
        """Add names, for who has shown it to nobody yet."""
        for name, value in more.items():
            self._parts[hash(name) % _PARTS][name] = value

    def changed(self, news: Mapping[str, T | None]) -> "Names[T]":
        """Return it with these in place of what was; None: it is no more."""
        if not news:
            return self
        parts, own = list(self._parts), set[int]()
        for name, value in news.items():
            at = hash(name) % _PARTS
            if at not in own:
                own.add(at)
                parts[at] = dict(parts[at])
            if value is None:
                parts[at].pop(name, None)
            else:
                parts[at][name] = value
        return Names(parts)

    def chunks(self, size: int) -> Iterator[list[tuple[str, T]]]:
        """Return all, some at a time."""
        items = itertools.chain.from_iterable(map(dict.items, self._parts))
        while some := list(itertools.islice(items, size)):
            yield some

    def parts(self) -> Sequence[object]:
        """Return what it is made of, to be let go of one by one."""
        return list(self._parts)


class Changes(msgspec.Struct, frozen=True):
    """The names as they will be, made ready to be applied at once."""

    customers: Names[bytes]
    aliases: Names[str]
    users: Names[str]
    domains: Names[str]


class Snapshot:
    """One consistent state of the store, moved on by ``apply``. Read and applied on one thread, between awaits whole.

    ``version`` is another object after each ``apply``.
    """

    def __init__(self, position: Position, catalog: Catalog) -> None:
        self.position = position
        self.catalog = catalog
        self.version = object()
        self.customers = Names[bytes]()
        self.aliases, self.users, self.domains = Names[str](), Names[str](), Names[str]()
        self._sets: list[tuple[Term, ...]] = []
        self._texts: list[str] = []
        self._numbers = Names[bytes]()
        self._most_sets = _NEW_SETS

    def loaded(self) -> None:
        """Say that all is in; from here on sets of terms that nobody has any more pile up."""
        self._most_sets = len(self._sets) + _NEW_SETS

    @property
    def crowded(self) -> bool:
        """Whether another load is due, to be rid of what nobody has any more."""
        return len(self._sets) > self._most_sets

    def fill(self, records: Records) -> None:
        """Take in records of what is not in it yet, while it is being loaded."""
        for names, news in zip(self._names(), self._news(records), strict=True):
            names.fill(news)

    def prepare(self, records: Records) -> Changes:
        """Make records ready. For any thread, one at a time, while nothing is applied."""
        pairs = zip(self._names(), self._news(records), strict=True)
        return Changes(*(names.changed(news) for names, news in pairs))

    def apply(self, changes: Changes, position: Position, catalog: Catalog | None = None) -> None:
        """Move on to a position, within some microseconds."""
        self.customers, self.aliases = changes.customers, changes.aliases
        self.users, self.domains = changes.users, changes.domains
        self.position = position
        self.catalog = catalog or self.catalog
        self.version = object()

    def at_present(self) -> "Snapshot":
        """Return it as it is now, which is never moved on."""
        return copy.copy(self)

    def forget(self) -> None:
        """Let go of all names, for any thread: a million freed at once would hold the event loop for 90 ms."""
        parts = [part for names in self._names() for part in names.parts()]
        nothing = Names[Any]([{}] * _PARTS)
        self.apply(Changes(nothing, nothing, nothing, nothing), self.position)
        while parts:
            parts.pop()
            time.sleep(0)  # another thread's turn

    def resolve(self, question: Question, *, proven: bool = True) -> Resolution:
        """Say whose licenses a question is about: a user by membership, else by the domain of the address.

        ``proven``: whether to note what was looked up.
        """
        looked: list[Look] = []

        def look(where: str, name: str) -> Any:
            found = getattr(self, where).get(name)
            if proven:
                looked.append((where, name, found))
            return found

        named = None
        ref = question.customer
        if ref is not None:
            named = ref.customer_id if ref.alias is None else look("aliases", ref.alias)
            if named is not None and look("customers", named) is None:
                named = None
        if question.user is None:
            belongs = (named,) if named is not None else ()
        else:
            customers = look("users", question.user)
            if customers is None and question.domain is not None:
                customers = look("domains", question.domain)
            belongs = tuple(customers.split(" ")) if customers is not None else ()
        asked = belongs if ref is None else [one for one in belongs if one == named]
        return Resolution(
            named=named,
            belongs=bool(belongs),
            customers=[(one, look("customers", one)) for one in asked],
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
        return CustomerRecord(customer_id, terms or None, kept[_NUMBER:end], kept[end:].decode() or None)

    def whole(self, chunk: int) -> Iterator[Records]:
        """Return all of it as it is now, to be read by any thread while the snapshot moves on."""
        return itertools.chain(
            (Records([self.record(*one) for one in some]) for some in self.customers.chunks(chunk)),
            (Records(users=[NameRecord(*one) for one in some]) for some in self.users.chunks(chunk)),
            (Records(domains=[NameRecord(*one) for one in some]) for some in self.domains.chunks(chunk)),
        )

    def _names(self) -> Sequence[Names[Any]]:
        return self.customers, self.aliases, self.users, self.domains

    def _news(self, records: Records) -> Sequence[dict[str, Any]]:
        """Return what stands behind which names now, in the order of ``_names``; None: nothing any more."""
        customers: dict[str, bytes | None] = {}
        aliases: dict[str, str | None] = {}
        for one in records.customers:
            number = self._numbers.get(one.terms or "") or self._intern(one.terms or "")
            before = self.customers.get(one.customer_id)
            for alias in self._aliases(before) if before is not None else ():
                if self.aliases.get(alias) == one.customer_id:
                    aliases.setdefault(alias, None)  # another may have it now
            if one.gone:
                customers[one.customer_id] = None
            elif one.aliases is None:
                customers[one.customer_id] = number + (one.packed or b"")
            else:
                customers[one.customer_id] = number + (one.packed or b"") + one.aliases.encode()
                aliases.update(dict.fromkeys(one.aliases.split(" "), one.customer_id))
        users, domains = ({one.name: one.customers for one in some} for some in (records.users, records.domains))
        return customers, aliases, users, domains

    def _terms(self, kept: bytes) -> tuple[Term, ...]:
        return self._sets[int.from_bytes(kept[:_NUMBER], "big")]

    def _aliases(self, kept: bytes) -> list[str]:
        text = kept[_NUMBER + LICENSE_BYTES * len(self._terms(kept)) :]
        return text.decode().split(" ") if text else []

    def _intern(self, terms: str) -> bytes:
        number = len(self._sets).to_bytes(_NUMBER, "big")
        self._numbers.fill({terms: number})
        self._sets.append(read_terms(terms))
        self._texts.append(terms)
        return number


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
