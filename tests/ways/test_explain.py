"""``explain=true`` on the ways to ask beside ``GET /v1/check``: the same sentences, for a key that may read them."""

import json
import urllib.parse
from typing import Any

import httpx
import pytest

from licet.domain.errors import Unavailable
from licet.store.history import PostgresHistory
from support.issuer import Issuer
from support.web import ADMIN, Stage

BULK = "/ofrep/v1/evaluate/flags"


def sentences(there: Stage, feature: str, **who: str) -> list[str]:
    said: list[str] = there.web.check(feature, explain="true", **who)["sentences"]
    return said


def many(there: Stage, body: Any, query: str = "explain=true", **options: Any) -> httpx.Response:
    return there.web.ask("POST", f"/v1/check?{query}", content=json.dumps(body).encode(), **options)


def flags(there: Stage, path: str, **options: Any) -> httpx.Response:
    body = json.dumps({"context": {"customer": "blocked"}}).encode()
    return there.web.ask("POST", f"{BULK}{path}", content=body, **options)


def proxied(there: Stage, query: str, *headers: tuple[str, str], key: str | None = ADMIN) -> httpx.Response:
    return there.web.ask("GET", f"/v1/forward-auth?feature=email{query}", headers=list(headers), key=key)


def test_a_batch_is_explained_each_in_its_place(there: Stage) -> None:
    answer = many(there, {"checks": [{"feature": "email", "customer": "gone"}, {"feature": "email"}, 7]})
    told, wrong, worse = answer.json()["results"]
    assert told["decision"]["reason"] == "revoked"
    assert told["sentences"] == sentences(there, "email", customer="gone")
    assert (wrong["code"], worse["code"]) == ("invalid_input", "invalid_input")


def test_a_batch_of_another_moment(there: Stage) -> None:
    last = there.web.check("email", customer="gone")["revision"]
    for query, reasons in ((f"known_at={last}", ["licensed", "revoked"]), ("known_at=0", ["unknown_feature"] * 2)):
        grid = {"features": ["email"], "customers": ["acme", "gone"]}
        results = many(there, grid, query).json()["results"]
        assert [one["reason"] for one in results] == reasons
        assert "sentences" not in results[0]


def test_what_a_batch_from_the_store_refuses(there: Stage, issuer: Issuer) -> None:
    grid = {"features": ["email"], "customers": ["acme"] * 101}
    assert many(there, grid).status_code == 413
    assert many(there, {"features": ["email"], "token": issuer.token(sub="auth0|pat")}).status_code == 422
    assert many(there, {"features": ["email"], "customers": ["acme"]}, "explain=yes").status_code == 422


def test_flags_are_explained_in_their_metadata(there: Stage) -> None:
    said = " ".join(sentences(there, "email", customer="blocked"))
    assert flags(there, "/email?explain=true").json()["metadata"]["explanation"] == said
    told = {one["key"]: one["metadata"]["explanation"] for one in flags(there, "?explain=true").json()["flags"]}
    assert told["email"] == said
    assert len(told) == 4
    assert "explanation" not in flags(there, "/email").json()["metadata"]


def test_a_proxy_reads_the_sentences_in_a_header(there: Stage, issuer: Issuer) -> None:
    for user in ("auth0|pat", "nobody@x.example"):
        answer = proxied(there, "&explain=true", ("x-licet-user", user))
        said = " ".join(sentences(there, "email", user=user))
        assert urllib.parse.unquote(answer.headers["x-licet-explanation"]) == said
        assert "x-licet-explanation" not in proxied(there, "", ("x-licet-user", user)).headers
    token = ("authorization", f"Bearer {issuer.token(sub='stranger', org='4711')}")  # acme, by claim: no member of it
    answer = proxied(there, "&explain=true", token, ("x-licet-key", ADMIN), key=None)
    assert urllib.parse.unquote(answer.headers["x-licet-explanation"]).startswith(
        "stranger of acme may use email. SKU1"
    )


def test_a_key_without_the_scope_is_refused_on_every_way(there: Stage) -> None:
    key = there.web.key("an application", "read")
    who = ("x-licet-customer", "acme")
    for answer in (
        many(there, {"features": ["email"], "customers": ["acme"]}, key=key),
        flags(there, "?explain=true", key=key),
        flags(there, "/email?explain=true", key=key),
        proxied(there, "&explain=true", who, key=key),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert proxied(there, "", who, key=key).status_code == 200


def test_while_the_store_is_away_the_decision_goes_without(there: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("the store does not answer")

    monkeypatch.setattr(PostgresHistory, "held", away)
    answer = proxied(there, "&explain=true", ("x-licet-customer", "acme"))
    assert (answer.status_code, "x-licet-explanation" in answer.headers) == (200, False)
    assert flags(there, "/email?explain=true").json()["metadata"]["reason"] == "blocked"
    assert many(there, {"features": ["email"], "customers": ["acme"]}).status_code == 503
