"""Many questions at once: each answered or refused in its place, nothing cut."""

import asyncio
import copy
import datetime as dt
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from licet.answer.check import REMEMBERED, SLICE, Checker
from licet.answer.snapshot import Latest
from licet.domain.decision import Asked, Reason
from licet.domain.errors import InvalidInput
from licet.observe.metrics import Metrics
from licet.store.records import CustomerRecord, Records
from support.issuer import Issuer
from support.schema import misfits
from support.web import Stage

NOW = dt.datetime(2026, 6, 15, tzinfo=dt.UTC)


def ask(there: Stage, body: Any, **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return there.web.ask("POST", "/v1/check", content=content, **options)


def results(there: Stage, body: Any, **options: Any) -> list[dict[str, Any]]:
    answer = ask(there, body, **options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def test_a_fault_stands_in_its_place_and_the_others_are_answered(there: Stage) -> None:
    checks: list[Any] = [
        {"feature": "email", "customer": "acme"},
        {"feature": "email"},
        {"feature": 7, "customer": "acme"},
        {"feature": "email", "custmer": "acme"},
        "email",
        {"feature": "email", "customer": "a b"},
        {"feature": "email", "customer": "acme", "user": None},
        {"feature": "email", "user": "auth0|pat"},
    ]
    told = results(there, {"checks": checks})
    assert len(told) == len(checks)
    assert [one.get("allowed") for one in told] == [True, None, None, None, None, None, True, True]
    problems = [one for one in told if "allowed" not in one]
    assert {(one["code"], one["status"]) for one in problems} == {("invalid_input", 422)}
    assert [[fault["field"] for fault in one["faults"]] for one in problems] == [
        ["customer"],
        ["checks[2].feature"],
        ["checks[3]"],
        ["checks[4]"],
        ["customer"],
    ]
    assert problems[1]["faults"] == [{"field": "checks[2].feature", "found": "int", "expected": "str"}]
    assert "custmer" in problems[2]["faults"][0]["found"]


def test_a_grid_is_answered_row_by_row(there: Stage) -> None:
    told = results(there, {"customers": ["acme", "a b", "both"], "features": ["email", "takeover"]})
    assert [(one.get("customer"), one.get("feature"), one.get("allowed")) for one in told] == [
        ("acme", "email", True),
        ("acme", "takeover", False),
        (None, None, None),
        (None, None, None),
        ("both", "email", True),
        ("both", "takeover", True),
    ]
    users = results(there, {"users": ["ada@acme.example"], "features": ["email"]})
    assert (users[0]["user"], users[0]["allowed"]) == ("ada@acme.example", True)


def test_what_is_sent_is_what_is_described(there: Stage) -> None:
    document = there.web.ask("GET", "/openapi.json", key=None).json()
    described = document["paths"]["/v1/check"]["post"]
    body = {"checks": [{"feature": "email", "customer": "acme"}, {"feature": "email"}]}
    (asked,) = described["requestBody"]["content"].values()
    assert misfits(document, asked["schema"], body) == []
    (content,) = described["responses"]["200"]["content"].values()
    assert misfits(document, content["schema"], ask(there, body).json()) == []


def test_ten_thousand_are_answered_and_one_more_is_refused_whole(there: Stage) -> None:
    features = [f"f{number}" for number in range(99)] + ["email"]
    customers = [f"c{number}" for number in range(99)] + ["acme"]
    told = results(there, {"customers": customers, "features": features})
    assert len(told) == 10_000
    assert (told[-1]["allowed"], told[-2]["reason"], told[99]["reason"]) == (
        True,
        "unknown_feature",
        "unknown_customer",
    )
    for body in (
        {"customers": [*customers, "c100"], "features": features},
        {"checks": [{"feature": "email", "customer": "acme"}] * 10_001},
    ):
        answer = ask(there, body)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        assert answer.json()["faults"][0]["expected"] == "at most 10,000 in one request"


def test_ten_thousand_questions_of_the_longest_names_fit(there: Stage) -> None:
    check = {"feature": "f" * 100, "user": "u" * 309 + "@a.example", "customer": "tenant:" + "é" * 100}
    told = results(there, {"checks": [check] * 10_000})
    assert len(told) == 10_000
    assert ask(there, b" " * (17 * 1024 * 1024)).status_code == 413


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"nonsense", "body"),
        (b"\xff", "body"),
        (b"[" * 50_000, "body"),
        ({}, "body"),
        ([], "body"),
        ({"checks": []} | {"features": ["email"]}, "body"),
        ({"customers": ["acme"]}, "body"),
        ({"features": ["email"]}, "body"),
        ({"features": ["email"], "customers": ["acme"], "users": ["ada"]}, "body"),
        ({"features": ["email", 7], "customers": ["acme"]}, "body.features[1]"),
        ({"checks": {"feature": "email"}}, "body.checks"),
        ({"check": []}, "body"),
        ({"checks": [], "token": 7}, "body.token"),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused_with_its_fault(there: Stage, body: Any, field: str) -> None:
    answer = ask(there, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert [fault["field"] for fault in answer.json()["faults"]] == [field]


def test_an_empty_batch_has_an_empty_answer(there: Stage) -> None:
    assert results(there, {"checks": []}) == []
    assert results(there, {"customers": [], "features": ["email"]}) == []


def test_a_batch_needs_a_key_with_the_scope_read(there: Stage) -> None:
    assert ask(there, {"checks": []}, key=None).status_code == 401
    assert ask(there, {"checks": []}, key=there.web.key("poster", "ingest")).status_code == 403
    assert ask(there, {"checks": []}, key=there.web.key("asker", "read")).status_code == 200


def test_a_token_speaks_for_all_and_stands_beside_no_user(there: Stage, issuer: Issuer) -> None:
    token = issuer.token_of("ada@acme.example")
    told = results(there, {"features": ["email", "takeover"], "token": token})
    assert [(one["user"], one["customer"], one["allowed"]) for one in told] == [
        ("ada@acme.example", "acme", True),
        ("ada@acme.example", "acme", False),
    ]
    beside = ask(there, {"features": ["email"], "users": ["ada"], "token": token})
    assert (beside.status_code, beside.json()["faults"][0]["field"]) == (422, "user")
    refused = ask(there, {"features": ["email"], "token": token[:-4] + "AAAA"})
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert token[:20] not in refused.text


def test_every_answer_of_a_batch_is_counted_by_its_reason(there: Stage) -> None:
    def counted(reason: str) -> float:
        lines = there.web.ask("GET", "/metrics").text.splitlines()
        return next(
            float(line.split()[1]) for line in lines if line.startswith(f'licet_checks_total{{reason="{reason}')
        )

    results(there, {"customers": ["acme"], "features": ["email", "x"]})
    before = counted("licensed"), counted("unknown_feature")
    results(there, {"customers": ["acme", "both"], "features": ["email", "x"]})
    assert (counted("licensed"), counted("unknown_feature")) == (before[0] + 2, before[1] + 2)


def test_a_large_batch_lets_others_go_first_and_is_of_one_revision_all_the_same(
    there: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = Latest()
    latest.snapshot, latest.matched_at = copy.copy(there.web.follower._latest.get()), time.monotonic()
    checker = Checker(latest, clock=lambda: NOW, metrics=Metrics(), patience=there.web.patience)
    monkeypatch.setattr("licet.answer.check.TURN_S", 0.0)
    strangers = [Asked("email", None, f"stranger-{number}") for number in range(REMEMBERED + SLICE)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            if turns == 5:
                gone = latest.get().prepare(Records([CustomerRecord("acme", gone=True)]))
                latest.get().apply(gone, latest.get().position)
            await asyncio.sleep(0)

    async def scenario() -> Sequence[Any]:
        task = asyncio.create_task(others())
        asked = [Asked("email", None, one) for one in ("acme", "tenant:4711")]
        asked = [asked[0], *strangers, *asked, Asked("", None, "acme")]
        told = [one async for some in checker.check_many(asked) for one in some]
        task.cancel()
        return told

    first, *unknown, again, last, refused = there.web.runner.run(scenario())
    assert turns >= 10
    assert (first.allowed, again.allowed, last.allowed) == (True, True, True)
    assert {one.reason for one in unknown} == {Reason.UNKNOWN_CUSTOMER}
    assert isinstance(refused, InvalidInput)
    assert "acme" not in latest.get().customers
