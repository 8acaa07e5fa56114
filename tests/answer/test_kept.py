"""An answer kept is the answer that would be made anew, whatever changed and whatever time it is."""

import asyncio
import copy
import datetime as dt
import struct
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.answer.check import Checker
from licet.answer.kept import KeptAnswers
from licet.answer.snapshot import Latest, Snapshot
from licet.domain.catalog import read_catalog
from licet.domain.decision import Asked, Freshness
from licet.domain.errors import Unavailable
from licet.domain.principal import Principal, Scope
from licet.edge.check import Check
from licet.observe.metrics import Metrics
from licet.store.records import CustomerRecord, NameRecord, Position, Records
from support.asgi import Answer, request
from support.properties import quick

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CATALOGS = [
    read_catalog(
        f'[features.mail]\n[features.boxes]\n[skus.A]\nflag="a"\ngrace_days={n - 1}\n'
        f'grants={{{a}}}\n[skus.B]\nflag="b"\ngrants={{{b}}}',
        n,
    )
    for n, (a, b) in enumerate([("mail=true", "boxes=5"), ("mail=true, boxes=9", "boxes=5"), ("", "mail=true")], 1)
]
CUSTOMERS = ["c0", "c1", "c2"]
ALIASES = ["t:0", "t:1"]
USERS = ["u0", "ada@one.example"]
DOMAINS = ["one.example"]


class World:
    """The web process's side of a check on a clock of its own, and a model of what the store says."""

    def __init__(self) -> None:
        self.now = NOON
        self.age = 0.0
        self.latest = Latest(lambda: self.age)
        self.latest.matched_at = 0.0
        self.epoch = uuid.uuid4()
        self.catalog = CATALOGS[0]
        self.customers: dict[str, CustomerRecord] = {}
        self.names: dict[str, dict[str, str | None]] = {"users": {}, "domains": {}}
        self.revision = 0
        self.reload()
        metrics = Metrics()
        self.checker = self.checker_on(self.latest, metrics)
        self.kept = KeptAnswers(self.latest, lambda: self.now, most=6)
        self.check = Check(self.checker, self.latest, self.kept, Anyone(), metrics)  # type: ignore[arg-type]

    def checker_on(self, latest: Latest, metrics: Metrics) -> Checker:
        return Checker(latest, clock=lambda: self.now, metrics=metrics, patience=None)  # type: ignore[arg-type]

    def position(self) -> Position:
        self.revision += 1
        return Position(self.epoch, self.revision, self.revision)

    def built(self) -> Snapshot:
        """What a load would make of the store."""
        snapshot = Snapshot(Position(self.epoch, self.revision, self.revision), self.catalog)
        names = ([NameRecord(*pair) for pair in self.names[kind].items() if pair[1]] for kind in ("users", "domains"))
        records = Records(list(self.customers.values()), *names)
        snapshot.apply(snapshot.prepare(records), snapshot.position)
        return snapshot

    def reload(self) -> None:
        self.latest.snapshot = self.built()

    def change(self, records: Records, *, catalog: int | None = None) -> None:
        self.catalog = CATALOGS[catalog] if catalog is not None else self.catalog
        for one in records.customers:
            self.customers[one.customer_id] = one
            if one.gone:
                del self.customers[one.customer_id]
        for kind in ("users", "domains"):
            self.names[kind].update({one.name: one.customers for one in getattr(records, kind)})
        snapshot = self.latest.get()
        snapshot.apply(snapshot.prepare(records), self.position(), self.catalog)

    def ask(self, query: str, **headers: str) -> Answer:
        answer = asyncio.run(request(Asks(self.check, query), method="GET", path="/v1/check", headers=headers.items()))
        assert answer is not None
        return answer

    def anew(self, asked: Asked) -> Any:
        """The decision of a process that has just started."""
        latest = Latest(lambda: self.age)
        latest.snapshot, latest.matched_at, latest.lag_ms = self.built(), self.latest.matched_at, self.latest.lag_ms
        return msgspec.to_builtins(self.checker_on(latest, Metrics()).decide(asked))


class Anyone:
    """An authenticator that lets everybody read."""

    def recall(self, _: bytes | None) -> Principal:
        return Principal("anyone", "anyone", frozenset({Scope.READ}))


class Asks:
    """Gives a request its query string."""

    def __init__(self, check: Check, query: str) -> None:
        self._check = check
        self._query = query.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._check({**scope, "query_string": self._query}, receive, send)


hours = st.integers(-3, 3)
term = st.tuples(
    st.sampled_from(["active", "active", "active", "pending_terms", "ended"]),
    st.none() | hours,
    st.none() | hours | hours.map(lambda hour: hour - 24),  # a grace of a day may end now
)
exception = st.tuples(st.sampled_from(["granted", "blocked"]), hours, hours)


def micros(hour: int | None) -> str:
    return "" if hour is None else str(int((NOON + dt.timedelta(hours=hour)).timestamp()) * 1_000_000)


def record(customer: str, terms: dict[str, tuple[str, int | None, int | None]], aliases: list[str]) -> CustomerRecord:
    text = " ".join(f"{sku}|{one[0]}|{micros(one[1])}|{micros(one[2])}|" for sku, one in sorted(terms.items()))
    packed = b"".join(struct.pack(">16sq", f"{customer}-{sku}".rjust(16).encode(), 0) for sku in sorted(terms))
    return CustomerRecord(customer, text or None, packed or None, " ".join(aliases) or None)


@st.composite
def changes(draw: st.DrawFn, world: World) -> Records:
    """A delta as the feed tells it: who loses an alias is in it, too."""
    aliases = {one: (world.customers[one].aliases or "").split() for one in world.customers}
    records = {}
    for customer in draw(st.lists(st.sampled_from(CUSTOMERS), unique=True, max_size=2)):
        if draw(st.integers(0, 4)) == 0:
            if customer in world.customers:
                records[customer] = CustomerRecord(customer, gone=True)
            continue
        wanted = draw(st.lists(st.sampled_from(ALIASES), unique=True))
        for other in set(aliases) - {customer}:
            if set(aliases[other]) & set(wanted):
                aliases[other] = [one for one in aliases[other] if one not in wanted]
                before = records.get(other, world.customers.get(other))
                assert before is not None
                if not before.gone:
                    records[other] = msgspec.structs.replace(before, aliases=" ".join(aliases[other]) or None)
        aliases[customer] = wanted
        terms = draw(st.dictionaries(st.sampled_from(["A", "B"]), term))
        terms |= draw(st.just({}) | st.dictionaries(st.sampled_from(["feature:mail", "feature:boxes"]), exception))
        records[customer] = record(customer, terms, wanted)
    members = st.lists(st.sampled_from(CUSTOMERS), unique=True).map(lambda ids: " ".join(sorted(ids)) or None)
    names = [
        [NameRecord(name, draw(members)) for name in draw(st.lists(st.sampled_from(pool), unique=True, max_size=1))]
        for pool in (USERS, DOMAINS)
    ]
    return Records(list(records.values()), *names)


QUESTIONS = [
    (user, customer, feature)
    for user in (None, *USERS, "bob@one.example", "nobody")
    for customer in (None, *CUSTOMERS, *ALIASES)
    for feature in ("mail", "boxes", "none")
    if user or customer
]


@quick
@given(st.data())
def test_a_kept_answer_equals_one_made_anew_after_any_changes_and_steps_of_the_clock(data: st.DataObject) -> None:
    world = World()
    asked_before = data.draw(st.lists(st.sampled_from(QUESTIONS), min_size=2, max_size=5))
    for _ in range(data.draw(st.integers(3, 9))):
        match data.draw(st.sampled_from(["change", "change", "clock", "catalog", "reload", "age"])):
            case "change":
                world.change(data.draw(changes(world)))
            case "clock":
                world.now = NOON + dt.timedelta(hours=data.draw(hours), microseconds=data.draw(st.integers(-1, 1)))
            case "catalog":
                world.change(Records(), catalog=data.draw(st.integers(0, 2)))
            case "age":
                world.age += 0.25
            case _:
                world.reload()
        for user, customer, feature in asked_before:
            who = [f"{name}={value}" for name, value in (("user", user), ("customer", customer)) if value]
            answer = world.ask("&".join([*who, f"feature={feature}"]))
            assert answer.json == world.anew(Asked(feature, user, customer))
            again = world.ask("&".join([*who, f"feature={feature}"]), **{"if-none-match": answer.headers["etag"]})
            assert (again.status, again.body) == (304, b"")


def test_a_tag_does_not_outlive_the_moment_at_which_the_answer_changes_by_itself() -> None:
    world = World()
    world.change(Records([record("c0", {"A": ("active", 0, 2)}, [])]))
    first = world.ask("customer=c0&feature=mail")
    assert first.json["allowed"] is True
    match = {"if-none-match": f'W/"other", {first.headers["etag"]}'}
    world.age = 3.5
    again = world.ask("customer=c0&feature=mail", **match)
    assert (again.status, again.headers["licet-age-ms"], again.headers["licet-revision"]) == (304, "3500", "1")
    assert again.headers["etag"] == first.headers["etag"]
    world.now = NOON + dt.timedelta(hours=2)
    after = world.ask("customer=c0&feature=mail", **match)
    assert (after.status, after.json["reason"]) == (200, "expired")
    world.now = NOON - dt.timedelta(microseconds=1)
    assert world.ask("customer=c0&feature=mail", **match).json["reason"] == "not_yet_valid"


def test_a_change_of_somebody_else_leaves_the_tag_and_a_change_of_the_customer_does_not() -> None:
    world = World()
    world.change(Records([record("c0", {"A": ("active", None, None)}, [])]))
    tag = {"if-none-match": world.ask("customer=c0&feature=mail").headers["etag"]}
    world.change(Records([record("c1", {"A": ("ended", None, None)}, [])]))
    assert world.ask("customer=c0&feature=mail", **tag).status == 304
    world.change(Records([record("c0", {"A": ("ended", None, None)}, [])]))
    assert world.ask("customer=c0&feature=mail", **tag).status == 200


def test_what_is_kept_is_bounded_and_no_answer_outlives_a_load() -> None:
    world = World()
    for number in range(50):
        world.ask(f"customer=c{number}&feature=mail")
    assert len(world.kept._kept) == 6
    long = f"customer=c0&feature={'x' * 500}"
    assert world.ask(long).json["reason"] == "unknown_feature"
    assert world.kept.find(long.encode()) is None
    assert world.kept.find(b"customer=c49&feature=mail") is not None
    world.catalog = copy.copy(world.catalog)  # of the same version; another store may say otherwise
    world.reload()
    assert world.kept.find(b"customer=c49&feature=mail") is None


def test_a_question_that_cannot_be_read_is_kept_for_nobody() -> None:
    world = World()
    answer = world.checker.answer(Asked("mail", None, "c0"), Freshness(0, 0, None))
    assert world.kept.keep(None, answer).body(Freshness(7, 8, None)).endswith(b'"revision":7,"age_ms":8,"lag_ms":null}')
    assert world.kept._kept == {}


def test_before_the_first_load_a_check_says_come_back() -> None:
    world = World()
    world.latest.snapshot = None
    with pytest.raises(Unavailable, match="not loaded yet"):
        world.ask("customer=c0&feature=mail")
    with pytest.raises(Unavailable, match="not loaded yet"):
        world.checker.decide(Asked("mail", None, "c0"))


@pytest.mark.parametrize("moved", ["epoch", "catalog", "interval"])
def test_the_same_words_on_other_grounds_have_another_tag(moved: str) -> None:
    world = World()
    ends = 2
    world.change(Records([record("c0", {"A": ("suspended", None, ends)}, [])]))
    first = world.ask("customer=c0&feature=mail")
    assert first.json["until"] is None
    if moved == "epoch":
        world.epoch = uuid.uuid4()
        world.catalog = copy.copy(world.catalog)
        world.reload()
    elif moved == "catalog":
        world.change(Records(), catalog=1)
    else:
        world.change(Records([record("c0", {"A": ("suspended", None, ends + 1)}, [])]))
    again = world.ask("customer=c0&feature=mail", **{"if-none-match": first.headers["etag"]})
    assert again.status == 200
    assert {**again.json, "revision": 0} == {**first.json, "revision": 0}
