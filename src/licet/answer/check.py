"""The check: may this user, or this customer, use this feature, and why? Decided from the snapshot, without a wait."""

import asyncio
import datetime as dt
import itertools
import time
from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence
from typing import TypeVar

import msgspec

from licet.answer.follow import Follower
from licet.answer.ports import Deliveries
from licet.answer.snapshot import Latest, Look, Resolution, Snapshot, interval
from licet.domain import ids
from licet.domain.catalog import Catalog, WhenStale
from licet.domain.decision import Asked, Decision, Freshness, Known, decide, decide_stale, names_of
from licet.domain.errors import Fault, InvalidInput, RevisionNotReached
from licet.domain.ids import CustomerRef
from licet.observe.metrics import Metrics
from licet.store.values import Question

# How long a question waits for what it wants included.
PATIENCE_S = 2.0
# Each that waits holds a connection.
WAITING = 1000
# How long many questions are worked on before other requests have their turn, and how many between looks at the clock.
TURN_S = 0.001
SLICE = 50
# A batch remembers whom it met up to so many; to free ten thousand at once holds the loop for 8 ms.
REMEMBERED = 1000
# An event that is not consumed yet is looked up no more often than this.
_LOOK_AGAIN_S = 0.02
T = TypeVar("T")
Who = tuple[str | None, str | None]  # user, customer


class Wanted(msgspec.Struct, frozen=True):
    """What an answer must include: a revision, and what became of an event."""

    min_revision: int | None = None
    after_event: str | None = None


NOTHING = Wanted()


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A decision, and how long it stands.

    It stands while the catalog is the same object (each load makes another one), each look-up finds the same object,
    and the time is in ``[begins, ends)`` (None: without end). Only its freshness (``revision``, ``age_ms``, ``lag_ms``)
    moves on.
    """

    decision: Decision
    catalog: Catalog
    looked: tuple[Look, ...]
    begins: dt.datetime | None
    ends: dt.datetime | None

    def stands(self, snapshot: Snapshot) -> bool:
        """Tell whether the snapshot, as it is now, leads to the same answer, the time set aside."""
        return snapshot.catalog is self.catalog and all(
            getattr(snapshot, where).get(name) is found for where, name, found in self.looked
        )


class _Meant(msgspec.Struct, frozen=True, gc=False):
    """Whom some questions mean. ``special``: with an override; it may name a feature, so that no two are alike."""

    question: Question
    found: Resolution
    known: Sequence[Known]
    special: bool
    decided: dict[str, Decision]


class Patience:
    """Lets questions wait until the snapshot includes what they want."""

    def __init__(self, latest: Latest, follower: Follower, ledger: Deliveries, limit_s: float = PATIENCE_S) -> None:
        self._latest = latest
        self._follower = follower
        self._ledger = ledger
        self._limit_s = limit_s
        self._waiting = 0

    async def wait(self, wanted: Wanted) -> None:
        """Return once answers include it. Raises ``RevisionNotReached``; ``Unavailable`` where the ledger is away.

        An event that Licet never received is waited for as one that is not consumed yet.
        """
        if wanted.after_event is None and self._includes(wanted.min_revision or 0):
            return
        if self._waiting >= WAITING:
            raise RevisionNotReached(f"{WAITING} questions wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limit_s):
                revision = await self._consumed(wanted.after_event) if wanted.after_event is not None else 0
                while not self._includes(max(revision, wanted.min_revision or 0)):
                    await self._follower.advanced()
        except TimeoutError as error:
            raise RevisionNotReached(f"the answer did not include it within {self._limit_s:g} s") from error
        finally:
            self._waiting -= 1

    def _includes(self, revision: int) -> bool:
        snapshot = self._latest.snapshot
        return snapshot is not None and snapshot.position.revision >= revision

    async def _consumed(self, event_id: str) -> int:
        """Return the revision of what became of an event, once it is consumed."""
        while (latest := (await self._ledger.change(event_id, None)).latest) is None:  # noqa: ASYNC110 no event tells it
            await asyncio.sleep(_LOOK_AGAIN_S)
        return latest.revision


class Checker:
    """Answers checks from the latest snapshot.

    ``stale_after_s``: an answer older than that follows its feature's ``when_stale``, and is counted.
    """

    def __init__(
        self,
        latest: Latest,
        *,
        clock: Callable[[], dt.datetime],
        metrics: Metrics,
        patience: Patience,
        stale_after_s: float = 60.0,
    ) -> None:
        self._latest = latest
        self._clock = clock
        self._patience = patience
        self._stale_ms = stale_after_s * 1000
        self._stale = {policy: metrics.stale_answers.labels(policy.value) for policy in WhenStale}

    async def check(self, asked: Asked, wanted: Wanted = NOTHING) -> Decision:
        """Decide once the answer includes what is wanted. Raises as ``wait`` and ``decide`` do."""
        if wanted != NOTHING:
            await self.wait(wanted)
        return self.decide(asked)

    async def wait(self, wanted: Wanted) -> None:
        """Return once answers include what is wanted. Raises ``RevisionNotReached`` and ``Unavailable``."""
        await self._patience.wait(wanted)

    def decide(self, asked: Asked) -> Decision:
        """Decide now. Raises ``InvalidInput`` with every fault of the question; ``Unavailable`` before the first load.

        A user and a customer together ask about the user as a member of that customer.
        """
        fresh = self._latest.freshness()
        answer = self.answer(asked, fresh)
        return answer.decision if not self.stale(fresh) else self._judge_stale(answer.decision, answer.catalog)

    async def check_many(self, asked: Sequence[Asked | InvalidInput]) -> AsyncIterator[list[Decision | InvalidInput]]:
        """Decide many, as of one revision, some at a time and in order; a fault stands in the place of its question.

        Who is meant is looked up once, whatever the number of features; and features that the same SKUs grant with the
        same values have the same answer, so it is decided once: a grid of 100 x 100 is some hundred decisions. Raises
        ``Unavailable``.
        """
        fresh, snapshot, now = self._latest.freshness(), self._latest.get().at_present(), self._clock()
        catalog, stale = snapshot.catalog, self.stale(fresh)
        features = catalog.grants.keys() & {one.feature for one in asked if isinstance(one, Asked)}
        first: dict[object, str] = {}
        alike = {one: first.setdefault(catalog.grants[one], one) for one in features}
        names = names_of(catalog, features)
        met: dict[Who, _Meant | InvalidInput] = {}

        def answer(one: Asked) -> Decision | InvalidInput:
            who = (one.user, one.customer)
            meant = met.get(who)
            if meant is None:
                meant = met[who] = _meet(who, snapshot, names)
            if isinstance(meant, InvalidInput) or not one.feature:
                return _fault(one)
            like = one.feature if meant.special else alike.get(one.feature, one.feature)
            decision = meant.decided.get(like)
            if decision is None:
                decision = decide_for(one, meant.question, meant.found, meant.known, catalog, now, fresh)
                meant.decided[like] = decision
            elif decision.feature != one.feature:
                decision = msgspec.structs.replace(decision, feature=one.feature)
            return self._judge_stale(decision, catalog) if stale else decision

        async for some in by_turns(asked):
            yield [answer(one) if isinstance(one, Asked) else one for one in some]
            if len(met) > REMEMBERED:
                met.clear()

    def answer(self, asked: Asked, fresh: Freshness) -> Answer:
        """Decide now, whatever the age, and tell how long the answer stands. Raises as ``decide`` does."""
        question = question_of(asked)
        snapshot, now = self._latest.get(), self._clock()
        catalog = snapshot.catalog
        found = snapshot.resolve(question)
        names = catalog.names.get(asked.feature, frozenset())
        customers = [snapshot.known(customer_id, bytes_, names) for customer_id, bytes_ in found.customers]
        decision = decide_for(asked, question, found, customers, catalog, now, fresh)
        begins, ends = interval(customers, catalog, now)
        return Answer(decision, catalog, tuple(found.looked), begins, ends)

    def stale(self, fresh: Freshness) -> bool:
        """Tell whether answers this fresh are older than the limit."""
        return fresh.age_ms > self._stale_ms

    def _judge_stale(self, decision: Decision, catalog: Catalog) -> Decision:
        """Say what an answer older than the limit comes to, and count it."""
        feature = catalog.features.get(decision.feature)
        if feature is not None:
            self._stale[feature.when_stale].inc()
        return decide_stale(decision, catalog)


def _meet(who: Who, snapshot: Snapshot, names: Container[str]) -> _Meant | InvalidInput:
    try:
        question = question_of(Asked("any", *who))
    except InvalidInput as error:
        return error
    found = snapshot.resolve(question, proven=False)
    known = [snapshot.known(*customer, names) for customer in found.customers]
    return _Meant(question, found, known, any(one.overrides for one in known), {})


def _fault(asked: Asked) -> InvalidInput:
    """Return what is wrong with a question that cannot be read."""
    try:
        question_of(asked)
    except InvalidInput as error:
        return error
    raise AssertionError(asked)


async def by_turns(items: Iterable[T]) -> AsyncIterator[Sequence[T]]:
    """Return items, some at a time; the others have their turn of the loop after each millisecond."""
    source, ends = iter(items), time.perf_counter() + TURN_S
    while some := list(itertools.islice(source, SLICE)):
        yield some
        if time.perf_counter() > ends:
            await asyncio.sleep(0)
            ends = time.perf_counter() + TURN_S


def decide_for(
    asked: Asked,
    question: Question,
    found: Resolution,
    customers: Sequence[Known],
    catalog: Catalog,
    now: dt.datetime,
    fresh: Freshness,
) -> Decision:
    """Decide for whom a question resolved to, the unknown told apart."""
    kept = _as_kept(asked, question)
    if _names_unknown_customer(question, found):
        nobody = decide(Asked(asked.feature, None, kept.customer), (), catalog, now, fresh)
        return msgspec.structs.replace(nobody, user=kept.user)
    return decide(kept, customers, catalog, now, fresh)


def _names_unknown_customer(question: Question, found: Resolution) -> bool:
    """Tell whether the customer is what is unknown: a user whom nobody knows comes first (``Reason``'s order)."""
    return question.customer is not None and found.named is None and (question.user is None or found.belongs)


def question_of(asked: Asked) -> Question:
    """Read whom a question is about. Raises ``InvalidInput`` with every fault."""
    faults: list[Fault] = []
    user = customer = None
    if asked.user is None and asked.customer is None:
        faults.append(Fault("customer", "nothing", "a customer, a user, or both"))
    if not asked.feature:
        faults.append(Fault("feature", "nothing", "the name of a feature; /v1/features lists them"))
    try:
        user = ids.user_id(asked.user) if asked.user is not None else None
    except InvalidInput as error:
        faults.extend(error.faults)
    try:
        customer = CustomerRef.parse(asked.customer) if asked.customer is not None else None
    except InvalidInput as error:
        faults.extend(error.faults)
    if faults:
        raise InvalidInput.of(*faults)
    return Question(user, ids.email_domain(user) if user is not None else None, customer)


def _as_kept(asked: Asked, question: Question) -> Asked:
    """Return the question with its names in the form that Licet keeps."""
    ref = question.customer
    return Asked(asked.feature, question.user, (ref.customer_id or ref.alias) if ref is not None else None)
