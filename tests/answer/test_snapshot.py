"""The snapshot says what the store says, whatever happened; and it is small."""

import datetime as dt
import gc
import itertools
import tracemalloc
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.answer.snapshot import Snapshot
from licet.domain import ids
from licet.domain.catalog import read_catalog
from licet.domain.decision import Asked, Freshness, Held, Known, decide
from licet.domain.license import Status
from licet.manage.catalog import CatalogDesk
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.records import CustomerRecord, Position, Records
from support.properties import quick
from support.web import Stage, stage
from support.world import TESTER

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "custom-fields.toml"
FEATURES = ("inbound-email-security", "mailboxes", "teleportation")
NOON = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
# What the snapshot must say, asked of the store itself in one statement: an independent way to the same answer.
ORACLE = """
WITH named AS (
    SELECT customer_id FROM customer WHERE customer_id = CASE WHEN %(alias)s::text IS NULL THEN %(customer)s ELSE
        (SELECT customer_id FROM customer_alias
         WHERE alias = %(alias)s AND upper_inf(valid) AND upper_inf(recorded)) END
), member AS (
    SELECT customer_id FROM user_membership WHERE user_id = %(user)s AND upper_inf(valid) AND upper_inf(recorded)
), belongs AS (
    SELECT customer_id FROM member
    UNION SELECT customer_id FROM customer_domain
    WHERE domain = %(domain)s AND upper_inf(valid) AND upper_inf(recorded) AND NOT EXISTS (SELECT FROM member)
    UNION SELECT customer_id FROM named WHERE %(user)s::text IS NULL
)
SELECT (SELECT customer_id FROM named), belongs.customer_id, sku, license_id, status, starts_at, ends_at, quantity,
       lower(valid)
FROM belongs LEFT JOIN license ON license.customer_id = belongs.customer_id AND upper_inf(valid) AND upper_inf(recorded)
"""


class Clock:
    now = NOON

    def __call__(self) -> dt.datetime:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def custom(postgres: str, template: str) -> Iterator[Stage]:
    """A deployment with dates, values, and an alias and a domain from fields."""
    with stage(postgres, template, clock=CLOCK) as built:
        assert CatalogDesk(PostgresCatalogs(built.url)).apply(EXAMPLE.read_text(), TESTER)
        yield built


def by_the_store(url: str, user: str | None, customer: str | None, feature: str) -> tuple[Any, ...]:
    """Decide from the store's rows."""
    alias = customer if customer is not None and ":" in customer else None
    said = {"user": user, "domain": ids.email_domain(user) if user else None, "customer": customer, "alias": alias}
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(ORACLE, said).fetchall()
        found = connection.execute("SELECT document FROM catalog_version WHERE upper_inf(recorded)").fetchone()
        named = connection.execute(
            "SELECT customer_id FROM customer WHERE customer_id = coalesce((SELECT customer_id FROM customer_alias"
            " WHERE alias = %(alias)s AND upper_inf(valid) AND upper_inf(recorded)), %(customer)s)",
            said,
        ).fetchone()
    assert found is not None
    known: dict[str, list[Held]] = {}
    for _, customer_id, *license_ in rows:
        if customer is None or (named is not None and customer_id == named[0]):
            held = known.setdefault(customer_id, [])
            if license_[0] is not None:
                sku, number, status, *rest = license_
                held.append(Held(sku, number, Status(status), *rest))
    unknown_customer = customer is not None and named is None and (user is None or bool(rows))
    asked = Asked(feature, None if unknown_customer else user, customer)
    customers = () if unknown_customer else tuple(Known(one, held) for one, held in known.items())
    decision = decide(asked, customers, read_catalog(found[0]), CLOCK.now, Freshness(0, 0, None))
    return decision.allowed, decision.reason.value, decision.customer, decision.value, decision.sku, decision.license_id


names = st.integers(0, 2)
day = st.sampled_from([None, "2026-06-01", "2026-06-14", "2026-06-15", "2026-07-01"])
deal = st.fixed_dictionaries(
    {},
    optional={
        "SKU1__c": st.booleans(),
        "SKU2__c": st.booleans(),
        "SKU1_From__c": day,
        "SKU1_Until__c": day,
        "Tenant_Id__c": st.sampled_from(["x", "y"]),
        "EmailDomain__c": st.sampled_from(["one", "two"]),
        "IsDeleted": st.booleans(),
    },
)
put = st.tuples(
    st.sampled_from(["PUT", "PUT", "DELETE"]), names, st.sampled_from(["users", "domains", "aliases"]), names
)


@pytest.mark.storm
@settings(quick, max_examples=12)
@given(st.lists(st.one_of(st.tuples(names, deal), put), min_size=2, max_size=8), st.integers(-20, 20), st.booleans())
def test_checks_say_what_the_store_says_after_any_history(
    custom: Stage, steps: list[tuple[Any, ...]], days: int, together: bool
) -> None:
    CLOCK.now = NOON + dt.timedelta(days=days)
    mark = uuid.uuid4().hex[:8]

    def own(fields: dict[str, Any]) -> dict[str, Any]:
        parts = {"Tenant_Id__c": f"{mark}{{}}", "EmailDomain__c": f"{{}}.{mark}.example"}
        return {name: parts[name].format(value) if name in parts else value for name, value in fields.items()}

    kinds = {"users": f"u{{}}@one.{mark}.example", "domains": f"d{{}}.{mark}.example", "aliases": f"tenant:{mark}{{}}"}
    for step in steps:
        if len(step) == 2:
            custom.send({"Id": f"{mark}-{step[0]}", **own(step[1])})
        else:
            method, customer, kind, name = step
            custom.web.ask(method, f"/v1/customers/{mark}-{customer}/{kind}/{kinds[kind].format(name)}")
        if not together:
            custom.web.check("mailboxes", customer="nobody")  # follows
    users = [None, f"u0@one.{mark}.example", f"u1@d1.{mark}.example", "nobody"]
    customers = [None, f"{mark}-0", f"{mark}-1", f"tenant:{mark}x", f"tenant:{mark}0"]
    for user, asked, feature in itertools.product(users, customers, FEATURES):
        if user is None and asked is None:
            continue
        who = {name: value for name, value in (("user", user), ("customer", asked)) if value is not None}
        said = custom.web.check(feature, **who)
        number = uuid.UUID(said["license_id"]) if said["license_id"] else None
        found = (said["allowed"], said["reason"], said["customer"], said["value"], said["sku"], number)
        assert found == by_the_store(custom.url, user, asked, feature), (who, feature)


def test_a_customer_with_three_skus_takes_less_than_three_hundred_bytes() -> None:
    count = 50_000

    def records() -> Iterator[CustomerRecord]:
        for number in range(count):
            ends = 1_800_000_000_000_000 + number % 365 * 86_400_000_000
            terms = f"SKU1|active||| SKU2|active||{ends}| SKU3|ended|||"
            yield CustomerRecord(f"0015g{number:013d}", terms, number.to_bytes(72, "big"))

    snapshot = Snapshot(Position(uuid.uuid4(), 1, 1), read_catalog(EXAMPLE.read_text()))
    gc.collect()
    tracemalloc.start()
    try:
        source = records()
        while some := list(itertools.islice(source, 1000)):
            snapshot.fill(Records(some))
            del some
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(snapshot.customers) == count
    assert taken / count < 300


def test_sets_of_terms_that_nobody_has_any_more_call_for_another_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licet.answer.snapshot._NEW_SETS", 3)
    snapshot = Snapshot(Position(uuid.uuid4(), 1, 1), read_catalog(EXAMPLE.read_text()))
    snapshot.prepare(Records([CustomerRecord("a", f"SKU1|active|||{number}", bytes(24)) for number in range(9)]))
    snapshot.loaded()
    assert not snapshot.crowded
    snapshot.prepare(Records([CustomerRecord("a", f"SKU1|active|||{number}", bytes(24)) for number in range(12)]))
    assert not snapshot.crowded
    snapshot.prepare(Records([CustomerRecord("a", "SKU1|ended|||", bytes(24))]))
    assert snapshot.crowded


def test_an_alias_goes_with_who_lost_it_and_stays_with_who_took_it() -> None:
    snapshot = Snapshot(Position(uuid.uuid4(), 1, 1), read_catalog(EXAMPLE.read_text()))
    snapshot.fill(Records([CustomerRecord("a", aliases="t:1 t:2 t:3"), CustomerRecord("b")]))
    before = snapshot.at_present()
    for records in itertools.permutations([CustomerRecord("a", aliases="t:1"), CustomerRecord("b", aliases="t:2")]):
        after = before.at_present()
        after.apply(after.prepare(Records(records)), before.position)
        assert dict(after.aliases) == {"t:1": "a", "t:2": "b"}
        after.apply(after.prepare(Records([CustomerRecord("a", gone=True)])), before.position)
        assert (dict(after.aliases), list(after.customers)) == ({"t:2": "b"}, ["b"])
    assert dict(before.aliases) == dict.fromkeys(["t:1", "t:2", "t:3"], "a")
