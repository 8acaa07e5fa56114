"""The safety brake: of many licenses that end at once, those past the threshold keep their access."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consume.deliveries import split
from consume.test_verify import bring_under, by_hand, verified
from licet.bootstrap.desks import brake_desk, customer_desk
from licet.consume.brake import Wish
from licet.queue.message import Record
from licet.settings import Settings
from licet.store.migrate import default_catalog
from licet.store.ports import StoreUnavailable
from licet.store.projection import PostgresProjection, PostgresTransaction
from sim.store import MemoryProjection, MemoryStore
from support.web import Stage, stage
from support.world import TESTER, Applying, Log, Road, at, brake, fresh, rows, states

FEATURE = "inbound-email-security"  # of SKU1
CATALOG = """
[source]
domain = "Domain"
[source.aliases]
tenant = "Tenant"
[features.inbound-email-security]
[skus.SKU1]
flag = "SKU1"
until = "Until"
grants = { inbound-email-security = true }
"""


def desk(url: str, **said: Any) -> int:
    """Do what a person decides; returns how many licenses it reached."""
    wish = Wish(reason="a test", by=TESTER, **said)
    return sum(count for count, _ in brake_desk(Settings(database_url=url)).steps(wish))


def held(url: str) -> set[tuple[str, str]]:
    found = rows(
        url, "SELECT customer_id, sku FROM override WHERE kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded)"
    )
    return {(row["customer_id"], row["sku"]) for row in found}


@contextmanager
def braked(url: str, log: Log, most: int | None = None, share: float = 0, floor: int = 0) -> Iterator[Road]:
    road = Road(url, log.name, brake=brake(most, share, floor))
    yield road
    road.close()


@pytest.fixture
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        yield built


def test_a_bad_load_that_ends_three_in_ten_licenses(there: Stage) -> None:
    """2,000 customers; 600 licenses end in batches, grants among them. Past a fifth access is kept, until released."""
    log, url = Log(), there.url
    names = [f"c{number:04}" for number in range(2000)]
    deals = [log.change({"Id": name, "SignedTos": True, "SKU1": True}) for name in names]
    load: list[Any] = []
    for number, name in enumerate(names[:600]):
        how = ({"SKU1": False}, {"SKU1": False}, {"SignedTos": False}, {"IsDeleted": True})[number % 4]
        load.append(log.change({"Id": name, **how}))
        if number % 3 == 0:
            load.append(log.change({"Id": names[1000 + number], "SKU2": True}))
    with braked(url, log, share=0.2, floor=50) as road:
        for batch in (*split(deals, [500]), *split(load, [170])):
            assert set(road.apply(*batch)) == {"applied"}
        told = [(one.held > 0, one.tripped) for one in road.batches[4:]]
    assert told == [(False, False)] * 3 + [(True, True)] + [(True, False)]
    assert [states(url, name)["SKU1"] for name in names[:4]] == ["ended", "ended", "suspended", "ended"]
    # The first 400 are a fifth of 2,000 and end; the rest is held, whatever ended it.
    assert held(url) == {(name, "SKU1") for name in names[400:600]}
    answers = {
        name: there.web.check(FEATURE, customer=name) for name in (*names[396:404], *names[590:600], names[1999])
    }
    assert [answers[name]["allowed"] for name in answers] == [False] * 4 + [True] * 15
    assert {answers[name]["reason"] for name in names[400:404]} == {"override"}
    assert there.web.check("account-takeover-protection", customer=names[1000])["reason"] == "licensed"
    status = there.web.get("/v1/brake", limit=1)
    assert {name: status[name] for name in status if name not in ("items", "next")} == {
        "on": True,
        "window_s": 3600,
        "limit": 400,
        "ends": 600,
        "active": 1600,
        "held": {"SKU1": 200},
    }
    assert [one["customer"] for one in there.web.get("/v1/brake", ended="true", limit=2)["items"]] == names[:2]
    assert verified(url).faults == []

    assert desk(url) == 200
    answers = {name: there.web.check(FEATURE, customer=name) for name in (*names[400:404], names[599], names[600])}
    assert [one["allowed"] for one in answers.values()] == [False] * 5 + [True]
    assert held(url) == set()
    assert verified(url).faults == []


_DEAL = {"SignedTos": True, "SKU1": True, "SKU2": True}
_FIELDS = {
    "SKU1": st.sampled_from([True, False, None]),
    "SKU2": st.booleans(),
    "SignedTos": st.sampled_from([True, True, False]),
    "IsDeleted": st.booleans(),
}
# Three customers begin with all, and then something changes, so that most examples end and grant more than once.
_CHANGES = st.lists(
    st.tuples(st.integers(0, 2), st.fixed_dictionaries({}, optional=_FIELDS)), min_size=10, max_size=40
).map(lambda changes: [(customer, _DEAL) for customer in range(3)] + changes)
Changes = list[tuple[int, dict[str, Any]]]


def naive(changes: Changes, most: int) -> set[tuple[int, str]]:
    """What is held in the end, told without a store: what allowed and does not, past the threshold, and stays so."""
    fields: dict[int, dict[str, Any]] = {}
    live: dict[tuple[int, str], bool] = {}
    ends, kept = 0, set()
    for customer, payload in changes:
        known = fields.setdefault(customer, {})
        if known.get("IsDeleted") and payload.get("IsDeleted") is not False:
            continue
        known |= {name: value for name, value in payload.items() if value is not None}
        for key in ((customer, "SKU1"), (customer, "SKU2")):
            was = live.get(key, False)
            live[key] = bool(known.get(key[1]) and known.get("SignedTos") and not known.get("IsDeleted"))
            if live[key]:
                kept.discard(key)
            elif was:
                ends += 1
                kept |= {key} if ends > most else set()
    return kept


def records_of(changes: Changes, log: Log, tag: str) -> list[Record]:
    """Each change is a second newer than the one before."""
    return [
        log.change(
            {"Id": f"{tag}-{customer}", "SystemModstamp": at(number / 3600).isoformat(), **payload}, received=at(1)
        )
        for number, (customer, payload) in enumerate(changes)
    ]


@pytest.mark.storm
@settings(max_examples=150, deadline=None)
@given(changes=_CHANGES, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3), most=st.integers(1, 6))
def test_what_is_held_is_what_ended_past_the_threshold_however_the_log_is_cut(
    changes: Changes, sizes: list[int], most: int
) -> None:
    """The licenses themselves are those of a store without a brake."""
    told = []
    for one, cut in ((brake(most=most), sizes), (None, [100])):
        memory = MemoryStore(default_catalog())
        road = Applying(MemoryProjection(memory), "log", brake=one)
        for batch in split(records_of(changes, Log("log"), "c"), cut):
            road.apply(*batch)
        rows_of = [
            (row.sku, row.customer_id, row.terms, row.valid_from, row.valid_to, row.opened_by)
            for row in memory.licenses.values()
            if row.recorded_to is None
        ]
        told.append(sorted(map(str, rows_of)))
        assert set(memory.holds) == (
            {(f"c-{customer}", sku) for customer, sku in naive(changes, most)} if one else set()
        )
    assert told[0] == told[1]


@pytest.mark.storm
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=_CHANGES, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3), most=st.integers(1, 6))
def test_and_so_it_is_in_postgresql_where_the_ledger_folds_again_all_the_same(
    shared_database: str, changes: Changes, sizes: list[int], most: int
) -> None:
    by_hand(shared_database, "DELETE FROM brake_minute")
    log, tag = Log(), fresh("c")
    with braked(shared_database, log, most=most) as road:
        for batch in split(records_of(changes, log, tag), sizes):
            road.apply(*batch)
    mine = {(customer, sku) for customer, sku in held(shared_database) if customer.startswith(tag)}
    assert mine == {(f"{tag}-{customer}", sku) for customer, sku in naive(changes, most)}
    assert verified(shared_database).faults == []


class Breaking(PostgresProjection):
    """Loses its connection once, when a batch is written and not yet committed."""

    broken = False

    @contextmanager
    def transaction(self, deliveries: int) -> Iterator[PostgresTransaction]:
        with super().transaction(deliveries) as transaction:
            yield transaction
            if not self.broken:
                self.broken = True
                raise StoreUnavailable("the connection is lost")


def test_a_batch_that_is_tried_again_and_a_change_that_comes_again_are_counted_and_held_once(
    database: str, log: Log
) -> None:
    deals = [log.change({"Id": name, "SignedTos": True, "SKU1": True}) for name in "abcd"]
    ends = [log.change({"Id": name, "SKU1": False}, event_id=f"end-{name}") for name in "abcd"]
    with braked(database, log, most=1) as road:
        road.apply(*deals)
        projection = Breaking(database)
        road.applier._projection = projection
        with pytest.raises(StoreUnavailable):
            road.apply(*ends)
        assert held(database) == set()
        road.apply(*ends)
        again = [log.change({"Id": name, "SKU1": False}, event_id=f"end-{name}") for name in "abcd"]
        resync = [log.change({"Id": name, "SKU1": False}) for name in "abcd"]
        replay = log.change({"Id": "b", "SKU1": False}, event_id="end-b", replay_of=f"{log.name}/0/5")
        road.apply(*again, *resync, replay)
        projection.close()
    assert held(database) == {(name, "SKU1") for name in "bcd"}
    assert rows(database, "SELECT sum(ends)::int AS ends FROM brake_minute") == [{"ends": 4}]
    assert rows(database, "SELECT count(*) AS n FROM override") == [{"n": 3}]


def test_two_workers_count_together(database: str) -> None:
    logs = [Log(), Log()]
    with braked(database, logs[0], most=3) as one, braked(database, logs[1], most=3) as two:
        for road, log, tag in ((one, logs[0], "one"), (two, logs[1], "two")):
            road.apply(*(log.change({"Id": f"{tag}-{n}", "SignedTos": True, "SKU1": True}) for n in range(4)))
        for number in range(4):
            for road, log, tag in ((one, logs[0], "one"), (two, logs[1], "two")):
                road.apply(log.change({"Id": f"{tag}-{number}", "SKU1": False}))
        tripped = [applied.tripped for road in (one, two) for applied in road.batches]
    assert held(database) == {("two-1", "SKU1")} | {(f"{tag}-{n}", "SKU1") for tag in ("one", "two") for n in (2, 3)}
    assert tripped.count(True) == 1


def test_the_share_is_of_what_gave_access_when_the_window_began_and_a_floor_stands_below_it(
    database: str, log: Log
) -> None:
    with braked(database, log, share=0.5, floor=3) as road:
        road.apply(*(log.change({"Id": f"c{n}", "SignedTos": True, "SKU1": True}) for n in range(12)))
        for number in range(9):
            road.apply(log.change({"Id": f"c{number}", "SKU1": False}))
    assert held(database) == {(f"c{n}", "SKU1") for n in (6, 7, 8)}, "half of twelve, though six were left by then"
    with braked(database, Log(log.name), share=0.5, floor=100) as road:
        road.applier.assign(log.name, [0])
        road.apply(*[log.change({"Id": f"c{n}", "SKU1": False}) for n in range(9, 12)])
    assert len(held(database)) == 3


def test_what_gave_no_access_is_no_end_and_neither_is_what_a_person_does(database: str, log: Log) -> None:
    bring_under(database, CATALOG, 0)
    with braked(database, log, most=1) as road:
        road.apply(
            log.change({"Id": "past", "SKU1": True, "SignedTos": True, "Until": "2020-01-01"}),
            log.change({"Id": "poor", "SKU1": True, "SignedTos": False}),
            log.change({"Id": "cut", "SKU1": True, "SignedTos": True}),
            log.change({"Id": "dear", "SKU1": True, "SignedTos": True}),
        )
        road.apply(log.change({"Id": "past", "SKU1": False}), log.change({"Id": "poor", "SKU1": False}))
        customer_desk(Settings(database_url=database)).erase("dear", "asked for", TESTER)
        assert rows(database, "SELECT * FROM brake_minute") == []
        road.apply(log.change({"Id": "cut", "Until": "2020-01-01"}))
    assert rows(database, "SELECT ends FROM brake_minute") == [{"ends": 1}], "an end moved into the past is an end"


def test_a_later_grant_ends_the_hold(there: Stage) -> None:
    log, url = Log(), there.url
    ways = {"flag": "SKU1", "terms": "SignedTos", "gone": "IsDeleted"}
    with braked(url, log, most=1) as road:
        road.apply(*(log.change({"Id": name, "SignedTos": True, "SKU1": True}) for name in ("first", "back", *ways)))
        road.apply(
            log.change({"Id": "first", "SKU1": False}),
            log.change({"Id": "back", "IsDeleted": True}),
            *(log.change(stamped(1, Id=name, **{field: field == "IsDeleted"})) for name, field in ways.items()),
        )
        assert held(url) == {(name, "SKU1") for name in ("back", *ways)}
        customer_desk(Settings(database_url=url)).restore("back", "a mistake", TESTER)
        assert held(url) == {(name, "SKU1") for name in ways}
        said = there.web.check(FEATURE, customer="gone", explain="true")
        assert (said["decision"]["reason"], said["decision"]["allowed"]) == ("override", True)
        assert said["sentences"][1].startswith("SKU1 has ended, but is held by the safety brake until ")
        assert "because 5 licenses ended within an hour; Salesforce said so" in said["sentences"][1]
        road.apply(*(log.change(stamped(2, Id=name, **{field: field != "IsDeleted"})) for name, field in ways.items()))
    assert held(url) == set()
    assert {there.web.check(FEATURE, customer=name)["reason"] for name in ways} == {"licensed"}
    ended = rows(url, "SELECT DISTINCT author, ended_by, end_reason FROM override WHERE ended_by IS NOT NULL")
    assert [(row["author"], row["ended_by"]) for row in ended] == [("safety brake", "safety brake")]
    kinds = [(one["kind"], one["author"]) for one in there.web.get("/v1/customers/flag/timeline")["items"]]
    assert kinds.count(("override", "safety brake")) == 2, "its beginning and its end"
    assert verified(url).faults == []


def stamped(hours: float, **fields: Any) -> dict[str, Any]:
    return {**fields, "SystemModstamp": at(hours).isoformat()}


def test_a_deleted_customer_keeps_its_names_while_it_is_held(there: Stage) -> None:
    log, url = Log(), there.url
    bring_under(url, CATALOG, 0)
    deal = {"SignedTos": True, "SKU1": True}
    asked = {"customer": "tenant:2"}, {"user": "ada@two.example"}

    def reasons() -> list[str]:
        return [there.web.check(FEATURE, **one)["reason"] for one in asked]

    with braked(url, log, most=1) as road:
        named = [
            stamped(1, Id=f"c{n}", Tenant=str(n), Domain=f"{w}.example", **deal) for n, w in ((1, "one"), (2, "two"))
        ]
        road.apply(*map(log.change, named))
        road.apply(*(log.change(stamped(2, Id=f"c{n}", IsDeleted=True)) for n in (1, 2)))
    assert held(url) == {("c2", "SKU1")}
    assert reasons() == ["override"] * 2
    assert there.web.check(FEATURE, customer="tenant:1")["reason"] == "unknown_customer"
    bring_under(url, CATALOG + "[features.other]\n", 3)
    assert reasons() == ["override"] * 2, "a new catalog takes nothing from it"
    assert verified(url).faults == []
    assert desk(url, restore=True) == 1
    assert there.web.check(FEATURE, customer="tenant:1")["reason"] == "override"
    assert there.web.check(FEATURE, user="bob@one.example")["allowed"]
    assert desk(url, restore=True) == 0
    assert desk(url, keep=["c1"]) == 2
    assert reasons() == ["unknown_customer", "unknown_user"]
    assert there.web.check(FEATURE, customer="tenant:1")["reason"] == "override"
    kept = rows(
        url,
        "SELECT kind, author, ends_at > now() + interval '71 hours' AS long FROM override"
        " WHERE upper_inf(valid) AND upper_inf(recorded)",
    )
    assert kept == [{"kind": "override", "author": TESTER.name, "long": True}]
    assert verified(url).faults == []


def test_who_is_erased_is_not_held_and_not_restored(database: str, log: Log) -> None:
    with braked(database, log, most=1) as road:
        road.apply(*(log.change({"Id": name, "SignedTos": True, "SKU1": True}) for name in ("a", "b")))
        road.apply(*(log.change({"Id": name, "SKU1": False}) for name in ("a", "b")))
    for name in ("a", "b"):
        customer_desk(Settings(database_url=database)).erase(name, "asked for", TESTER)
    assert held(database) == set()
    assert desk(database, restore=True) == 0
    assert verified(database).faults == []
