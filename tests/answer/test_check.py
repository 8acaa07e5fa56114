"""The check: each reason once, from a change as Salesforce sends it to the decision over HTTP."""

import contextlib
import datetime as dt
import itertools
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.bootstrap.desks import catalog_plans
from licet.domain.decision import MESSAGES, Reason
from licet.manage.catalog import CatalogDesk
from licet.settings import Settings
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.feed import PostgresFeed
from support.web import ADMIN, Stage, stage
from support.world import TESTER, fresh, rows

FEATURE = "inbound-email-security"
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "custom-fields.toml"


class Dial:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 6, 15, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture(scope="module")
def dial() -> Dial:
    return Dial()


@pytest.fixture(scope="module")
def custom(postgres: str, template: str, dial: Dial) -> Iterator[Stage]:
    """A deployment whose catalog has first and last days, quantities, values and an alias field."""
    with stage(postgres, template, clock=dial) as built:
        assert CatalogDesk(PostgresCatalogs(built.url)).apply(EXAMPLE.read_text(), TESTER)
        yield built


def test_a_license_with_signed_terms_allows_and_says_why_since_when_and_by_which_sku(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    decision = there.web.check(FEATURE, customer=customer)
    assert decision["allowed"] is True
    assert (decision["reason"], decision["sku"], decision["value"]) == ("licensed", "SKU1", True)
    assert (decision["customer"], decision["user"], decision["feature"]) == (customer, None, FEATURE)
    assert decision["message"] == MESSAGES[Reason.LICENSED]
    assert decision["since"] == "2026-03-01T12:00:00Z"
    assert decision["until"] is None
    stored = rows(there.url, "SELECT license_id FROM license WHERE customer_id = %(id)s", id=customer)
    assert decision["license_id"] == str(stored[0]["license_id"])


def test_an_answer_includes_the_write_before_it_and_says_so(there: Stage) -> None:
    customer = fresh("customer")
    for flag, allowed in ((True, True), (False, False), (True, True)):
        there.deal(customer, SKU1=flag)
        decision = there.web.check(FEATURE, customer=customer)
        assert decision["allowed"] is allowed
        assert decision["revision"] == rows(there.url, "SELECT revision FROM revision")[0]["revision"]
        assert 0 <= decision["age_ms"] < 2000


def test_terms_that_were_never_signed_refuse(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, signed=False, SKU1=True)
    assert there.web.check(FEATURE, customer=customer)["reason"] == "terms_not_signed"


def test_terms_that_were_withdrawn_suspend(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    there.deal(customer, signed=False)
    assert there.web.check(FEATURE, customer=customer)["reason"] == "suspended"


def test_a_flag_set_to_false_revokes(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    there.deal(customer, SKU1=False)
    decision = there.web.check(FEATURE, customer=customer)
    assert (decision["allowed"], decision["reason"], decision["sku"]) == (False, "revoked", "SKU1")


def test_what_was_never_sold_is_not_licensed(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU2=True)
    decision = there.web.check(FEATURE, customer=customer)
    assert (decision["allowed"], decision["reason"], decision["customer"]) == (False, "not_licensed", customer)


def test_a_block_stands_before_a_grant_and_a_grant_before_what_the_licenses_say(there: Stage) -> None:
    customer, grant, block = fresh("customer"), uuid.uuid4(), uuid.uuid4()
    there.deal(customer, SKU2=True)
    assert there.web.check(FEATURE, customer=customer)["reason"] == "not_licensed"

    def said(answer: httpx.Response) -> tuple[Any, ...]:
        assert answer.status_code == 200, answer.text
        one = there.web.check(FEATURE, customer=customer, min_revision=answer.json()["revision"])
        view = there.web.get(f"/v1/customers/{customer}")["features"]
        assert {of["feature"]: (of["reason"], of["override_id"]) for of in view}[FEATURE] == (
            one["reason"],
            one["override_id"],
        )
        return (one["reason"], one["allowed"], one["override_id"], one["license_id"], one["sku"])

    granted = {"customer": customer, "sku": "SKU1", "effect": "grant", "reason": "they bought it"}
    blocked = {"customer": customer, "feature": FEATURE, "effect": "block", "reason": "abuse"}
    assert said(there.web.ask("PUT", f"/v1/overrides/{grant}", json=granted)) == (
        ("override", True, str(grant), None, "SKU1")
    )
    answer = there.web.ask("PUT", f"/v1/overrides/{block}", json=blocked)
    assert said(answer) == ("blocked", False, str(block), None, None)
    ended = there.web.ask(
        "DELETE", f"/v1/overrides/{block}", params={"reason": "paid"}, headers=[("if-match", answer.headers["etag"])]
    )
    assert said(ended) == ("override", True, str(grant), None, "SKU1")


def test_a_deleted_customer_has_nothing_left(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    there.deal(customer, IsDeleted=True)
    assert there.web.check(FEATURE, customer=customer)["reason"] == "revoked"


def test_unknown_features_users_and_customers_are_refused_by_their_names(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    there.web.put(f"/v1/customers/{customer}/users/ada-{customer}")
    known = {"customer": customer, "user": f"ada-{customer}"}
    for who, feature, reason in (
        ({"customer": customer}, "teleportation", "unknown_feature"),
        ({"user": "nobody@nowhere.example"}, FEATURE, "unknown_user"),
        ({"customer": "no-such-customer"}, FEATURE, "unknown_customer"),
        ({"customer": "tenant:none"}, FEATURE, "unknown_customer"),
        ({"customer": customer, "user": "stranger"}, FEATURE, "unknown_user"),
        (known | {"customer": "no-such-customer"}, FEATURE, "unknown_customer"),
        ({"customer": "no-such-customer", "user": "stranger"}, FEATURE, "unknown_user"),
    ):
        decision = there.web.check(feature, **who)
        assert (decision["allowed"], decision["reason"]) == (False, reason), who
        assert (decision["customer"], decision["user"]) == (who.get("customer"), who.get("user"))
    assert there.web.check(FEATURE, **known)["reason"] == "licensed"


def test_a_salesforce_id_is_one_customer_in_both_its_lengths(there: Stage) -> None:
    there.deal("70130000001tcyI", SKU1=True)
    for name in ("70130000001tcyI", "70130000001tcyIAAQ"):
        decision = there.web.check(FEATURE, customer=name)
        assert (decision["allowed"], decision["customer"]) == (True, "70130000001tcyIAAQ")


def test_a_license_opens_on_its_first_day_and_ends_after_its_last_whatever_was_stored_when(
    custom: Stage, dial: Dial
) -> None:
    customer = fresh("customer")
    custom.send({"Id": customer, "SKU1__c": True, "SKU1_From__c": "2026-06-01", "SKU1_Until__c": "2026-06-30"})
    starts, ends = "2026-05-31T22:00:00Z", "2026-06-30T22:00:00Z"  # midnights in Paris
    tick = dt.timedelta(microseconds=1)
    for now, reason, since, until in (
        (dt.datetime.fromisoformat(starts) - tick, "not_yet_valid", None, starts),
        (dt.datetime.fromisoformat(starts), "licensed", starts, ends),
        (dt.datetime.fromisoformat(ends) - tick, "licensed", starts, ends),
        (dt.datetime.fromisoformat(ends), "expired", ends, None),
    ):
        dial.now = now
        decision = custom.web.check(FEATURE, customer=customer)
        assert (decision["reason"], decision["until"]) == (reason, until)
        assert since is None or decision["since"] == since
        state = "active" if reason == "licensed" else reason
        assert custom.web.get(f"/v1/customers/{customer}")["skus"][0]["state"] == state


def test_of_several_skus_any_allows_and_the_largest_value_wins(custom: Stage) -> None:
    customer = fresh("customer")
    custom.send({"Id": customer, "SKU1__c": True})
    assert custom.web.check("mailboxes", customer=customer)["value"] == 100
    custom.send({"Id": customer, "SKU2__c": True})
    decision = custom.web.check("mailboxes", customer=customer)
    assert (decision["value"], decision["sku"]) == (500, "SKU2")
    custom.send({"Id": customer, "SKU2__c": False})
    assert custom.web.check("mailboxes", customer=customer)["value"] == 100


def test_an_alias_from_a_salesforce_field_names_the_customer(custom: Stage) -> None:
    customer, tenant = fresh("customer"), fresh("4711")
    custom.send({"Id": customer, "SKU1__c": True, "Tenant_Id__c": tenant})
    decision = custom.web.check(FEATURE, customer=f"tenant:{tenant}")
    assert (decision["allowed"], decision["customer"]) == (True, customer)


def test_every_reason_is_reached_by_some_test_here() -> None:
    """Whoever adds a reason must show here how a customer comes to it."""
    text = Path(__file__).read_text()
    assert [reason for reason in Reason if f'"{reason.value}"' not in text] == []


def test_all_faults_of_a_question_are_told_at_once(there: Stage) -> None:
    answer = there.web.ask("GET", "/v1/check", params={"customer": "a b", "user": "c d"})
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["faults"]] == ["feature", "user", "customer"]


@pytest.mark.parametrize(
    ("query", "field", "found"),
    [
        ("feature=f", "customer", "nothing"),
        ("custmer=a&feature=f", "query", '"custmer"'),
        ("customer=a&feature=f&access_token=secret", "query", '"access_token"'),
        ("customer=a&customer=b&feature=f", "customer", "more than once"),
        ("customer=%ff&feature=f", "query", "no UTF-8"),
        ("user=ada+b@acme.example&feature=f", "user", "ada b@acme.example"),
        ("customer=&feature=f", "customer", '""'),
        ("customer=%00&feature=f", "customer", ""),
    ],
)
def test_a_question_that_cannot_be_read_is_refused_with_its_fault(
    there: Stage, query: str, field: str, found: str
) -> None:
    answer = there.web.ask("GET", f"/v1/check?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(fault["field"] == field and found in fault["found"] for fault in answer.json()["faults"])
    assert "secret" not in answer.text


def test_a_check_needs_a_key_with_the_scope_read(there: Stage) -> None:
    path = f"/v1/check?customer=a&feature={FEATURE}"
    assert there.web.ask("GET", path, key=None).status_code == 401
    assert there.web.ask("GET", path, key="wrong-key-of-nobody").status_code == 401
    twice = there.web.ask("GET", path, headers=[("authorization", f"Bearer {ADMIN}")])
    assert twice.status_code == 422


def test_each_check_is_counted_by_its_reason(there: Stage) -> None:
    def counted() -> float:
        lines = there.web.ask("GET", "/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith('licet_checks_total{reason="unknown_f'))

    before = counted()
    for _ in itertools.repeat(None, 3):
        there.web.check("teleportation", customer="anyone")
    assert counted() == before + 3


STALE_CATALOG = """
[features.last]
[features.closed]
when_stale = "closed"
[features.open]
when_stale = "open"
[skus.SKU1]
flag = "SKU1"
grants = { last = true, closed = true, open = 5 }
[skus.SKU2]
flag = "SKU2"
grants = { open = 9 }
"""


def test_an_answer_past_the_limit_follows_its_feature_and_is_never_open_for_the_unknown(
    postgres: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage(postgres, template) as there:
        assert CatalogDesk(PostgresCatalogs(there.url)).apply(STALE_CATALOG, TESTER)
        there.deal("paying", SKU1=True)
        there.deal("former", SKU1=True)
        there.deal("former", SKU1=False)
        there.deal("barred", SKU1=True)
        block = {"customer": "barred", "feature": "open", "effect": "block", "reason": "abuse"}
        assert there.web.ask("PUT", f"/v1/overrides/{uuid.uuid4()}", json=block).status_code == 200
        fresh = {feature: there.web.check(feature, customer="paying") for feature in ("last", "closed", "open")}
        assert all(decision["reason"] == "licensed" for decision in fresh.values())
        monkeypatch.setattr(there.web.follower._latest, "_monotonic", lambda: time.monotonic() + 61)
        for feature, customer, allowed, reason, value in (
            ("last", "paying", True, "licensed", True),
            ("last", "former", False, "revoked", None),
            ("closed", "paying", False, "stale", None),
            ("closed", "former", False, "revoked", None),
            ("open", "paying", True, "licensed", 5),
            ("open", "former", True, "stale", 5),
            ("open", "barred", False, "blocked", None),
            ("open", "nobody", False, "unknown_customer", None),
            ("unheard-of", "paying", False, "unknown_feature", None),
        ):
            answer = there.web.ask("GET", "/v1/check", params={"feature": feature, "customer": customer})
            decision = answer.json()
            found = (decision["allowed"], decision["reason"], decision["value"])
            assert found == (allowed, reason, value), (feature, customer)
            assert decision["message"] == MESSAGES[Reason(reason)]
            assert decision["age_ms"] >= 61_000
            assert "etag" not in answer.headers
        counted = there.web.ask("GET", "/metrics").text
        for policy, count in (("last_known", 2), ("closed", 2), ("open", 4)):
            assert f'licet_stale_answers_total{{when_stale="{policy}"}} {count}.0' in counted
        assert float(re.search(r"^licet_snapshot_age_seconds (\S+)", counted, re.MULTILINE)[1]) >= 61  # type: ignore[index]
        assert "licet_snapshot_customers 3.0" in counted


GRACE_CATALOG = """
[features.mail]
[skus.SKU1]
flag = "SKU1"
grace_days = 3650
grants = { mail = true }
"""


def test_grace_follows_an_end_of_access_and_neither_a_deletion_nor_terms_withdrawn(
    postgres: str, template: str
) -> None:
    with stage(postgres, template) as there:
        catalog = CatalogDesk(PostgresCatalogs(there.url))
        assert catalog.apply(GRACE_CATALOG, TESTER)
        for customer, changes, reason in (
            ("ended", ({"SKU1": True}, {"SKU1": False}), "grace"),
            ("deleted", ({"SKU1": True}, {"IsDeleted": True}), "revoked"),
            ("ended-then-deleted", ({"SKU1": True}, {"SKU1": False}, {"IsDeleted": True}), "revoked"),
            ("withdrawn", ({"SKU1": True}, {"SignedTos": False}), "suspended"),
            ("withdrawn-then-ended", ({"SKU1": True}, {"SignedTos": False}, {"SKU1": False}), "revoked"),
            ("never-signed", ({"SKU1": True, "SignedTos": False}, {"SKU1": False}), "revoked"),
        ):
            for change in changes:
                there.send({"Id": customer, "SignedTos": True, **change})
            decision = there.web.check("mail", customer=customer)
            assert (decision["reason"], decision["allowed"]) == (reason, reason == "grace"), customer
            [shown] = there.web.get(f"/v1/customers/{customer}")["features"]
            assert (shown["reason"], shown["until"]) == (reason, decision["until"]), customer
        with contextlib.closing(PostgresFeed(there.url)) as feed, feed.load() as load:
            told = {one.customer_id: one.terms for chunk in load.chunks for one in chunk.customers}
        assert {name for name, terms in told.items() if terms == "SKU1|ended|||"} == {"ended"}
        [lost] = catalog_plan(there.url, GRACE_CATALOG.replace("3650", "1"))
        assert (lost.customer, lost.effect, lost.before.reason, lost.after.reason) == (
            "ended",
            "loses",
            "grace",
            "revoked",
        )
        block = {"customer": "ended", "feature": "mail", "effect": "block", "reason": "abuse"}
        assert there.web.ask("PUT", f"/v1/overrides/{uuid.uuid4()}", json=block).status_code == 200
        assert catalog_plan(there.url, GRACE_CATALOG.replace("3650", "1")) == [], "what is blocked cannot be lost"


def catalog_plan(url: str, document: str) -> list[Any]:
    steps = catalog_plans(Settings(database_url=url)).steps(document, "", lambda *_: None)
    return [effect for step in steps for effect in step.effects]
