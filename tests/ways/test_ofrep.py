"""OFREP: types that stay, refusals that are values, errors that the protocol names, an ETag over the values."""

from typing import Any

import httpx
import pytest

from support.issuer import Issuer
from support.schema import misfits
from support.web import ADMIN, Stage
from support.world import fresh

BULK = "/ofrep/v1/evaluate/flags"
ACME = {"customer": "acme"}


def ask(there: Stage, flag: str = "", context: Any = ACME, **options: Any) -> httpx.Response:
    path = f"{BULK}/{flag}" if flag else BULK
    return there.web.ask("POST", path, json={"context": context}, **options)


@pytest.mark.parametrize(
    ("flag", "allowed", "denied"),
    [
        ("email", True, False),
        ("mailboxes", 100, 0),
        ("ratio", 0.5, 0.0),
        ("mailboxes:allowed", True, False),
        ("email:reason", "licensed", "revoked"),
        ("email:message", "This feature is included in your plan.", "Your license for this feature has ended."),
    ],
)
def test_a_flag_keeps_its_type_whoever_asks(there: Stage, flag: str, allowed: Any, denied: Any) -> None:
    for customer, value in (("acme", allowed), ("gone", denied), ("nobody", None)):
        told = ask(there, flag, {"customer": customer}).json()["value"]
        assert type(told) is type(allowed), customer
        assert value is None or told == value


def test_a_refusal_is_a_value_with_its_reason_and_no_error(there: Stage) -> None:
    answer = ask(there, "mailboxes", {"customer": "gone"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["key"], told["reason"], told["variant"]) == ("mailboxes", "TARGETING_MATCH", "0")
    assert (told["metadata"]["reason"], told["metadata"]["sku"]) == ("revoked", "SKU1")
    assert told["metadata"]["revision"] > 0
    assert all(isinstance(one, str | int | float | bool) for one in told["metadata"].values())
    for who in ({"customer": "nobody"}, {"targetingKey": "nobody@nowhere.example"}):
        stranger = ask(there, "email", who).json()
        assert (stranger["value"], stranger["reason"], stranger["variant"]) == (False, "UNKNOWN", "off")


def test_a_customer_in_the_context_is_asked_for_outright(there: Stage) -> None:
    told = ask(there, "email:decision", {"targetingKey": "auth0|pat", "customer": "tenant:4712", "plan": ["x"]}).json()
    assert (told["value"]["customer"], told["value"]["user"], told["value"]["allowed"]) == ("both", None, True)


@pytest.mark.parametrize(
    ("flag", "body", "status", "code"),
    [
        ("teleportation", b'{"context":{"customer":"acme"}}', 404, "FLAG_NOT_FOUND"),
        ("email:colour", b'{"context":{"customer":"acme"}}', 404, "FLAG_NOT_FOUND"),
        ("email/more", b'{"context":{"customer":"acme"}}', 404, "FLAG_NOT_FOUND"),
        ("email", b'{"context":{}}', 400, "TARGETING_KEY_MISSING"),
        ("email", b'{"context":{"targetingKey":""}}', 400, "TARGETING_KEY_MISSING"),
        ("email", b'{"context":{"targetingKey":7}}', 400, "INVALID_CONTEXT"),
        ("email", b'{"context":{"customer":"a b"}}', 400, "INVALID_CONTEXT"),
        ("email", b'{"context":[]}', 400, "INVALID_CONTEXT"),
        ("email", b"{}", 400, "INVALID_CONTEXT"),
        ("email", b"7", 400, "INVALID_CONTEXT"),
        ("email", b"{", 400, "PARSE_ERROR"),
        ("email", b"", 400, "PARSE_ERROR"),
        ("email", b'{"context":{"targetingKey":"\xff"}}', 400, "PARSE_ERROR"),
        ("email", b'{"context":{"x":' + b"[" * 50_000, 400, "PARSE_ERROR"),
    ],
)
def test_each_error_has_the_protocols_code(there: Stage, flag: str, body: bytes, status: int, code: str) -> None:
    answer = there.web.ask("POST", f"{BULK}/{flag}", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    told = answer.json()
    assert (told["key"], told["errorCode"]) == (flag, code)
    assert told["errorDetails"]
    if status == 400:
        bulk = there.web.ask("POST", BULK, content=body)
        assert (bulk.status_code, bulk.json()["errorCode"], "key" in bulk.json()) == (400, code, False)


def test_what_is_sent_is_what_is_described(there: Stage) -> None:
    document = there.web.ask("GET", "/openapi.json", key=None).json()
    for path, flag, context, status in (
        (f"{BULK}/{{key}}", "email:decision", ACME, "200"),
        (f"{BULK}/{{key}}", "email", {}, "400"),
        (f"{BULK}/{{key}}", "nothing", ACME, "404"),
        (BULK, "", ACME, "200"),
        (BULK, "", {}, "400"),
    ):
        described = document["paths"][path]["post"]
        (content,) = described["responses"][status]["content"].values()
        answer = ask(there, flag, context)
        assert str(answer.status_code) == status
        assert misfits(document, content["schema"], answer.json()) == []


def test_all_flags_keep_their_etag_until_a_value_changes(there: Stage) -> None:
    customer = fresh("etag")
    there.deal(customer, SKU1=True)

    def look(tag: str) -> httpx.Response:
        return ask(there, context={"customer": customer}, headers=[("if-none-match", tag)])

    first = look('"another"')
    tag = first.headers["etag"]
    assert (first.status_code, tag[:3]) == (200, 'W/"')
    there.deal(fresh("somebody-else"), SKU1=True)
    for sent in (tag, f'"x", {tag}'):
        same = look(sent)
        assert (same.status_code, same.headers["etag"], same.content) == (304, tag, b""), sent
    assert int(look(tag).headers["x-licet-revision"]) > first.json()["metadata"]["revision"]
    assert int(look(tag).headers["x-licet-age-ms"]) >= 0
    there.deal(customer, SKU1=False)
    changed = look(tag)
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)
    assert ask(there, context={"customer": "both"}, headers=[("if-none-match", tag)]).status_code == 200


def test_the_key_is_a_bearer_or_an_api_key_and_needs_the_scope_read(there: Stage) -> None:
    for flag in ("", "email"):
        assert ask(there, flag, key=None).status_code == 401
        assert ask(there, flag, key=None, headers=[("x-api-key", ADMIN)]).status_code == 200
        assert ask(there, flag, key=None, headers=[("x-api-key", "wrong-key-of-nobody")]).status_code == 401
        assert ask(there, flag, key=there.web.key("sender", "ingest")).status_code == 403


def test_a_token_goes_before_the_targeting_key(there: Stage, issuer: Issuer) -> None:
    token = ("x-licet-token", issuer.token_of("ada@acme.example"))
    told = ask(there, "email:decision", {"targetingKey": "auth0|pat"}, headers=[token]).json()["value"]
    assert (told["user"], told["customer"]) == ("ada@acme.example", "acme")
    assert ask(there, "email", {}, headers=[("x-licet-token", "not.a.token")]).status_code == 401


def test_the_bulk_answer_says_where_its_changes_are_announced(there: Stage, issuer: Issuer) -> None:
    ada = ("x-licet-token", issuer.token_of("ada@acme.example"))
    for context, headers, query in (
        (ACME, [], "customer=acme"),
        ({"customer": "tenant:4711"}, [], "customer=tenant%3A4711"),
        ({"targetingKey": "auth0|pat"}, [], "user=auth0%7Cpat"),
        ({"targetingKey": "nobody@nowhere.example"}, [], "user=nobody%40nowhere.example"),
        ({}, [ada], "customer=acme&user=ada%40acme.example"),
        ({"customer": "both"}, [ada], "customer=both&user=ada%40acme.example"),
    ):
        streams = ask(there, "", context, headers=headers).json()["eventStreams"]
        assert [stream["endpoint"]["requestUri"] for stream in streams] == [f"/ofrep/v1/stream?{query}"]
