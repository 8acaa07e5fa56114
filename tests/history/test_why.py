"""Every answer, yes or no, leads to the delivery it comes from and to the account manager."""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest

from licet.answer.sentences import PHRASES, sentences
from licet.consume.refold import refold
from licet.domain.decision import Decision, Reason
from licet.domain.license import Cause, Moment
from licet.manage.catalog import CatalogDesk
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.values import OverrideRow
from support.web import Stage, stage
from support.world import TESTER

FIRST = """
[features.email]
title = "Inbound e-mail"
[features.takeover]
[skus.SKU1]
flag = "SKU1"
from = "From"
until = "Until"
grants = { email = true }
[features.report]
[skus.SKU3]
flag = "SKU3"
grace_days = 3650
grants = { report = true }
"""
SECOND = (
    FIRST
    + """
[skus.SKU2]
flag = "SKU2"
grants = { takeover = true }
"""
)
WHO: dict[str, Any] = {"AccountManager": "Ada Byron", "Name": "acme.example"}


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        desk = CatalogDesk(PostgresCatalogs(built.url))
        assert desk.apply(FIRST, TESTER)
        built.deal("yes", SKU1=True, **WHO)
        built.deal("poor", signed=False, SKU1=True, **WHO)
        built.deal("gone", SKU1=True, **WHO)
        built.deal("gone", SKU1=False)
        built.deal("hung", SKU1=True, **WHO)
        built.deal("hung", signed=False)
        built.deal("late", SKU1=True, From="2999-01-01", **WHO)
        built.deal("past", SKU1=True, Until="2020-01-01", **WHO)
        built.deal("none", SKU1=False, **WHO)
        built.deal("left", SKU3=True, **WHO)
        built.deal("left", SKU3=False)
        for customer, effect in (("barred", "block"), ("tries", "grant")):
            built.deal(customer, SKU1=effect == "block", **WHO)
            exception = {"customer": customer, "sku": "SKU1", "effect": effect, "reason": "a demo"}
            made = built.web.ask("PUT", f"/v1/overrides/{uuid.uuid4()}", json=exception)
            assert made.status_code in (200, 201), made.text
        built.deal("learnt", SKU2=True, **WHO)
        built.deal("learnt", Extra="later")
        assert desk.apply(SECOND, TESTER)
        list(refold(built.road.projection, _moment))
        yield built


def _moment(revision: int, cause: Cause) -> Moment:
    return Moment(dt.datetime.now(dt.UTC), revision, cause)


def explain(there: Stage, feature: str, **asked: str) -> Any:
    return there.web.get("/v1/check", feature=feature, explain="true", **asked)


# Reason → how to get it; "stale" is never the store's.
CASES = {
    "blocked": ("email", {"customer": "barred"}),
    "override": ("email", {"customer": "tries"}),
    "grace": ("report", {"customer": "left"}),
    "licensed": ("email", {"customer": "yes"}),
    "terms_not_signed": ("email", {"customer": "poor"}),
    "suspended": ("email", {"customer": "hung"}),
    "not_yet_valid": ("email", {"customer": "late"}),
    "expired": ("email", {"customer": "past"}),
    "revoked": ("email", {"customer": "gone"}),
    "not_licensed": ("email", {"customer": "none"}),
    "unknown_feature": ("teleportation", {"customer": "yes"}),
    "unknown_user": ("email", {"customer": "yes", "user": "eve"}),
    "unknown_customer": ("email", {"customer": "nobody"}),
}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_leads_to_its_delivery_and_its_account_manager(there: Stage, reason: Reason) -> None:
    assert reason in PHRASES
    if reason is Reason.STALE:
        return
    feature, who = CASES[reason]
    told = explain(there, feature, **who)
    assert told["decision"]["reason"] == reason
    lineage, sentences = told["lineage"], told["sentences"]
    assert len(sentences) == 3
    assert all(sentence.endswith(".") and "{" not in sentence and "None" not in sentence for sentence in sentences)
    if reason is Reason.UNKNOWN_CUSTOMER:  # nothing was ever received
        assert lineage["delivery"] is None
        assert lineage["record"] is None
        return
    change = there.web.get(f"/v1/changes/{lineage['delivery']['event_id']}")
    place = {name: lineage["delivery"][name] for name in ("log", "partition", "offset")}
    assert place.items() <= change["deliveries"][0].items()
    assert change["customer"] == who["customer"] == lineage["record"]["id"]
    assert lineage["account_manager"] == "Ada Byron"
    assert f"/{place['partition']}/{place['offset']})" in sentences[1]
    ours = {Reason.BLOCKED, Reason.OVERRIDE, Reason.UNKNOWN_FEATURE, Reason.UNKNOWN_USER}
    assert ("Salesforce said so" not in sentences[1]) if reason in ours else ("own word" not in sentences[1])
    asked = "bootstrap" if reason in (Reason.BLOCKED, Reason.OVERRIDE) else "Ada Byron"  # who made the exception
    assert asked in sentences[2]


def test_the_delivery_is_the_one_that_made_it_so(there: Stage) -> None:
    delivery = explain(there, "email", customer="gone")["lineage"]["delivery"]
    assert delivery["fields"] == {"Id": "gone", "SignedTos": True, "SKU1": False}
    assert explain(there, "email", customer="none")["lineage"]["delivery"]["fields"]["SKU1"] is False


def test_a_license_that_the_catalog_opened_leads_to_the_delivery_that_wrote_the_flag(there: Stage) -> None:
    told = explain(there, "takeover", customer="learnt")
    assert told["decision"]["reason"] == "licensed"
    assert told["lineage"]["opened_by_catalog"]["author"] == TESTER.name
    assert told["lineage"]["delivery"]["fields"]["SKU2"] is True
    assert f"catalog version 3 of {TESTER.name} opened it" in told["sentences"][1]


def test_what_a_salesperson_reads(there: Stage) -> None:
    what, why, change = explain(there, "email", customer="gone")["sentences"]
    assert what == "acme.example may not use Inbound e-mail."
    assert why.startswith(
        "SKU1 was ended on 1 March 2026, 12:00 UTC; Salesforce said so on 1 March 2026, 12:00 UTC (event "
    )
    assert change == "SKU1 can be sold, and set in Salesforce, by Ada Byron, the account manager."


@pytest.mark.parametrize("reason", ["override", "blocked", "grace"])
def test_an_exception_is_told_with_its_author_and_reason(reason: str) -> None:
    since = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    override = OverrideRow(
        override_id=uuid.uuid4(), sku="SKU1", feature=None, effect="grant", kind="trial", value=None,
        starts_at=since, ends_at=since, reason="a demo", author="cora", since=since,
    )  # fmt: skip
    decision = Decision(
        allowed=reason != "blocked", reason=cast("Reason", reason), message="", customer="acme", user=None,
        feature="email", sku="SKU1", since=since, until=since, revision=1, age_ms=0,
    )  # fmt: skip
    told = " ".join(sentences(decision, None, override, ["SKU1"], "email"))
    assert "1 March 2026" in told
    assert ("cora" in told and "a demo" in told) or reason == "grace"


def test_explaining_needs_its_scope_and_a_token_is_refused(there: Stage) -> None:
    key = there.web.key("reads", "read")
    there.web.forget_keys()
    asked = "/v1/check?customer=yes&feature=email"
    assert there.web.ask("GET", f"{asked}&explain=true", key=key).json()["code"] == "forbidden"
    assert there.web.ask("GET", f"{asked}&as_of=2026-03-02T00:00:00Z", key=key).status_code == 200
    sent = there.web.ask("GET", f"{asked}&explain=true", headers=[("x-licet-token", "a")])
    assert sent.status_code == 422


@pytest.mark.parametrize(
    "wrong", ["as_of=yesterday", "as_of=2026-03-02T00:00:00", "known_at=999999", "explain=yes", "as_off=1&explain=true"]
)
def test_a_moment_that_cannot_be_read_is_refused(there: Stage, wrong: str) -> None:
    answer = there.web.ask("GET", f"/v1/check?customer=yes&feature=email&{wrong}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["faults"]


def test_a_feature_called_like_a_parameter_is_still_a_plain_question(there: Stage) -> None:
    assert there.web.get("/v1/check?customer=yes&feature=as_of=1")["reason"] == "unknown_feature"
