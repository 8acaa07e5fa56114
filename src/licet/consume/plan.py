"""``licet catalog plan``: what a catalog would change, customer by customer, before it is applied.

Each customer is folded under the proposed catalog as a refold would fold it, and both sides are decided by the rules
that answer checks. Nothing is written.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from licet.consume.fold import Customer
from licet.consume.names import moved_names
from licet.domain import fields as read
from licet.domain.catalog import Catalog, GrantValue, read_catalog
from licet.domain.decision import Asked, Freshness, Held, Known, Reason, decide
from licet.domain.license import Cause, License, Moment, Status
from licet.store.ports import CustomerState, Exceptions

CHUNK = 500
_FRESH = Freshness(0, 0, None)


class PlanStore(Protocol):
    """One moment of the store, for reading."""

    def catalog(self) -> Catalog:
        """Return the current catalog."""
        ...

    def count(self, after: str) -> int:
        """Count the customers beyond an id."""
        ...

    def states(self, after: str, limit: int) -> Mapping[str, CustomerState]:
        """Return the next customers beyond an id, in the order of their ids."""
        ...

    def exceptions(self, ids: Collection[str]) -> Mapping[str, Exceptions]:
        """Return what a decision reads of these customers beside their licenses."""
        ...


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a check answers. ``since`` and the license's id are left out: a license that begins gets new ones."""

    allowed: bool
    reason: Reason
    value: GrantValue | None
    sku: str | None
    until: dt.datetime | None


class Effect(msgspec.Struct, frozen=True, gc=False):
    """One thing that a catalog changes for one customer: a ``feature``, or an ``alias`` or ``domain`` of a field's.

    ``before`` and ``after`` are null for a name. A name that two customers' fields give goes to one of them only.
    """

    customer: str
    name: str | None
    kind: Literal["feature", "alias", "domain"]
    what: str
    effect: Literal["gains", "loses", "changes"]
    before: Told | None = None
    after: Told | None = None


class Step(msgspec.Struct, frozen=True):
    """How many customers were looked at, up to which, and what would change for them."""

    customers: int
    last: str
    effects: Sequence[Effect]


class Totals:
    """What a plan comes to."""

    def __init__(self) -> None:
        self.customers = self.affected = 0
        self.effects = {"gains": 0, "loses": 0, "changes": 0}

    def add(self, step: Step) -> None:
        """Count a step."""
        self.customers += step.customers
        self.affected += len({effect.customer for effect in step.effects})
        for effect in step.effects:
            self.effects[effect.effect] += 1


class PlanPage(msgspec.Struct, frozen=True):
    """What a catalog would change against ``base``, the current version, for ``customers`` customers looked at.

    ``next`` is the cursor of the next page; a page may be empty and not the last. Compare ``base`` between pages.
    """

    base: int
    customers: int
    items: Sequence[Effect]
    next: str | None


class Plans:
    """Plans catalogs. Raises ``InvalidInput`` with every fault of the document, and ``Unavailable``."""

    def __init__(
        self, open_: Callable[[], AbstractContextManager[PlanStore]], clock: Callable[[], dt.datetime]
    ) -> None:
        self._open = open_
        self._clock = clock

    def steps(self, document: str, after: str, begins: Callable[[int, int], None]) -> Iterator[Step]:
        """Look at every customer beyond an id; ``begins`` hears the current version and how many there are."""
        proposed = read_catalog(document)
        with self._open() as store:
            current, now = store.catalog(), self._clock()
            begins(current.version, store.count(after))
            while states := store.states(after, CHUNK):
                step = plan(states, store.exceptions(states), current, proposed, now)
                yield step
                after = step.last

    def page(self, document: str, after: str) -> PlanPage:
        """Look at the next ``CHUNK`` customers beyond an id."""
        proposed = read_catalog(document)
        with self._open() as store:
            current = store.catalog()
            states = store.states(after, CHUNK)
            step = plan(states, store.exceptions(states), current, proposed, self._clock())
        more = step.customers == CHUNK
        return PlanPage(current.version, step.customers, step.effects, step.last if more else None)


def plan(
    states: Mapping[str, CustomerState],
    exceptions: Mapping[str, Exceptions],
    current: Catalog,
    proposed: Catalog,
    now: dt.datetime,
) -> Step:
    """Say what changes for these customers when ``proposed`` follows ``current``. Pure."""
    found = [
        effect for name, state in states.items() for effect in _effects(state, exceptions[name], current, proposed, now)
    ]
    return Step(len(states), max(states, default=""), found)


def _effects(
    state: CustomerState, exceptions: Exceptions, current: Catalog, proposed: Catalog, now: dt.datetime
) -> Iterator[Effect]:
    customer, open_ = Customer(state.customer_id, state), state.licenses
    before = _told(customer, exceptions, current, proposed, now)
    customer.relicense(proposed, Moment(now, 0, Cause(catalog=0)), uuid.uuid4)
    # A license that the catalog ends is followed by grace where it gave access before.
    dry = {sku for sku, row in open_.items() if row.terms.status not in (Status.ACTIVE, Status.ENDED)}
    void = frozenset(customer.open) if customer.deleted else exceptions.void | dry
    after = _told(customer, Exceptions(void, exceptions.overrides), proposed, current, now)
    name = read.text(customer.fields, proposed.source.name)
    for feature, was in before.items():
        comes = after[feature]
        if was != comes:
            effect: Literal["gains", "loses", "changes"] = (
                "changes" if was.allowed is comes.allowed else "gains" if comes.allowed else "loses"
            )
            yield Effect(customer.customer_id, name, "feature", feature, effect, was, comes)
    for moved in moved_names(customer.customer_id, customer.held, customer.names_under(proposed)):
        yield Effect(customer.customer_id, name, moved.kind, moved.name, "gains" if moved.held else "loses")


def _told(
    customer: Customer, exceptions: Exceptions, catalog: Catalog, other: Catalog, now: dt.datetime
) -> dict[str, Told]:
    """Decide every feature of either catalog."""
    held = [_held(row, exceptions.void) for row in customer.open.values()]
    known = [Known(customer.customer_id, held, exceptions.overrides)]
    told = {}
    for feature in sorted(catalog.features.keys() | other.features.keys()):
        said = decide(Asked(feature, None, customer.customer_id), known, catalog, now, _FRESH)
        told[feature] = Told(said.allowed, said.reason, said.value, said.sku, said.until)
    return told


def _held(row: License, void: Collection[str]) -> Held:
    terms, lapsed = row.terms, row.sku not in void
    times = (terms.starts_at, terms.ends_at)
    return Held(row.sku, row.license_id, terms.status, *times, terms.quantity, row.valid_from, lapsed)
