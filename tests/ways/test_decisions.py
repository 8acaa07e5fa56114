"""One table of decisions, asked over every way: each tells the same, field by field."""

import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from support.issuer import Issuer
from support.web import ADMIN, Stage

Who = dict[str, str]
# (the feature, who, allowed, reason, customer, value)
TABLE: list[tuple[str, Who, bool, str, str | None, Any]] = [
    ("email", {"customer": "acme"}, True, "licensed", "acme", True),
    ("email", {"customer": "tenant:4711"}, True, "licensed", "acme", True),
    ("mailboxes", {"customer": "acme"}, True, "licensed", "acme", 100),
    ("mailboxes", {"customer": "both"}, True, "licensed", "both", 500),
    ("ratio", {"customer": "acme"}, True, "licensed", "acme", 0.5),
    ("takeover", {"customer": "acme"}, False, "not_licensed", "acme", None),
    ("mailboxes", {"customer": "poor"}, False, "terms_not_signed", "poor", None),
    ("email", {"customer": "gone"}, False, "revoked", "gone", None),
    ("email", {"customer": "hung"}, False, "suspended", "hung", None),
    ("email", {"customer": "late"}, False, "not_yet_valid", "late", None),
    ("email", {"customer": "past"}, False, "expired", "past", None),
    ("takeover", {"customer": "lapsed"}, True, "grace", "lapsed", True),
    ("email", {"customer": "blocked"}, False, "blocked", "blocked", None),
    ("takeover", {"customer": "blocked"}, False, "blocked", "blocked", None),
    ("mailboxes", {"customer": "blocked"}, True, "licensed", "blocked", 100),
    ("takeover", {"customer": "tried"}, True, "override", "tried", True),
    ("mailboxes", {"customer": "tried"}, True, "override", "tried", 500),
    ("email", {"customer": "tried"}, True, "licensed", "tried", True),
    ("mailboxes", {"customer": "gifted"}, True, "override", "gifted", 700),
    ("email", {"customer": "nobody"}, False, "unknown_customer", "nobody", None),
    ("teleportation", {"customer": "acme"}, False, "unknown_feature", "acme", None),
    ("email", {"user": "ada@acme.example"}, True, "licensed", "acme", True),
    ("email", {"user": "Ada@ACME.example"}, True, "licensed", "acme", True),
    ("mailboxes", {"user": "auth0|pat"}, True, "licensed", "acme", 100),
    ("email", {"user": "consultant@acme.example"}, False, "terms_not_signed", "poor", None),
    ("email", {"user": "nobody@nowhere.example"}, False, "unknown_user", None, None),
    ("teleportation", {"user": "auth0|pat"}, False, "unknown_feature", None, None),
    ("email", {"user": "auth0|pat", "customer": "poor"}, False, "terms_not_signed", "poor", None),
    ("email", {"user": "auth0|pat", "customer": "tenant:4711"}, True, "licensed", "acme", True),
    ("email", {"user": "auth0|pat", "customer": "both"}, False, "unknown_user", "both", None),
    ("email", {"user": "auth0|pat", "customer": "nobody"}, False, "unknown_customer", "nobody", None),
]
FEATURES = ("email", "mailboxes", "ratio", "takeover")


def by_get(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    return there.web.check(feature, **who)


def by_get_with_token(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    if "user" not in who:
        return None
    narrowed = {name: value for name, value in who.items() if name != "user"}
    headers = [("x-licet-token", issuer.token_of(who["user"]))]
    answer = there.web.ask("GET", "/v1/check", params={"feature": feature, **narrowed}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_batch(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    others = [{"feature": "email", "customer": "both"}, {"feature": "", "customer": "?"}]
    answer = there.web.ask("POST", "/v1/check", json={"checks": [*others, {"feature": feature, **who}, *others]})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][2]


def by_batch_with_token(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    if "user" not in who:
        return None
    check = {"feature": feature} | {name: value for name, value in who.items() if name != "user"}
    answer = there.web.ask("POST", "/v1/check", json={"checks": [check], "token": issuer.token_of(who["user"])})
    return answer.json()["results"][0]


def by_grid(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    if len(who) > 1:
        return None
    ((kind, name),) = who.items()
    grid = {"features": ["takeover", feature], f"{kind}s": ["other", name]}
    answer = there.web.ask("POST", "/v1/check", json=grid)
    return answer.json()["results"][3]


def _context(who: Who) -> dict[str, str] | None:
    """What OFREP can say: a user, or a customer outright."""
    return None if len(who) > 1 else {{"user": "targetingKey"}.get(name, name): said for name, said in who.items()}


def by_ofrep(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    context = _context(who)
    if context is None:
        return None
    told = {}
    for part in ("", ":allowed", ":reason", ":decision"):
        answer = there.web.ask("POST", f"/ofrep/v1/evaluate/flags/{feature}{part}", json={"context": context})
        if answer.status_code == 404:
            assert answer.json()["errorCode"] == "FLAG_NOT_FOUND"
            return {"reason": "unknown_feature", "allowed": False}
        told[part] = answer.json()
    assert told[":allowed"]["value"] == told[":decision"]["value"]["allowed"]
    assert told[":reason"]["value"] == told[":decision"]["value"]["reason"] == told[""]["metadata"]["reason"]
    value = told[":decision"]["value"]["value"]
    assert told[""]["value"] == (value if value is not None else 0)  # False == 0
    assert told[""]["variant"] == {True: "on", False: "off"}.get(told[""]["value"], str(value)) or value is None
    return told[":decision"]["value"]


def by_ofrep_bulk(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    context = _context(who)
    if context is None:
        return None
    answer = there.web.ask("POST", "/ofrep/v1/evaluate/flags", json={"context": context}).json()
    flags = {flag["key"]: flag for flag in answer["flags"]}
    assert set(flags) == set(FEATURES)
    if feature not in flags:
        return {"reason": "unknown_feature", "allowed": False}
    told = flags[feature]
    return {**told["metadata"], "allowed": bool(told["value"]), "revision": answer["metadata"]["revision"]}


def by_forward_auth(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    headers = [(f"x-licet-{name}", value) for name, value in who.items()]
    return _passed(there, feature, headers, ADMIN)


def by_forward_auth_with_token(there: Stage, issuer: Issuer, feature: str, who: Who) -> Any:
    if "user" not in who:
        return None
    headers = [("authorization", f"Bearer {issuer.token_of(who['user'])}"), ("x-licet-key", ADMIN)]
    headers += [(f"x-licet-{name}", value) for name, value in who.items() if name != "user"]
    return _passed(there, feature, headers, None)


def _passed(there: Stage, feature: str, headers: list[tuple[str, str]], key: str | None) -> Any:
    answer = there.web.ask("GET", f"/v1/forward-auth?feature={feature}", headers=headers, key=key)
    told: dict[str, Any] = {
        name.removeprefix("x-licet-"): urllib.parse.unquote(value)
        for name, value in answer.headers.items()
        if name.startswith("x-licet-")
    }
    told["allowed"] = {"true": True, "false": False}[told["allowed"]]
    assert answer.status_code == (200 if told["allowed"] else 403)
    reference = told.pop("reference")
    assert reference.startswith(f"{told.get('customer', 'nobody')}/{feature}/{told['revision']}/20")
    if not told["allowed"]:
        assert answer.json()["code"] == "denied"
        assert answer.json()["detail"] == f"{told['message']} Reference: {reference}"
    told["revision"] = int(told["revision"])
    if "value" in told:
        told["value"] = {"true": True}.get(told["value"]) or float(told["value"])
    return told


WAYS: list[Callable[[Stage, Issuer, str, Who], Any]] = [
    by_get_with_token,
    by_batch,
    by_batch_with_token,
    by_grid,
    by_ofrep,
    by_ofrep_bulk,
    by_forward_auth,
    by_forward_auth_with_token,
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {' '.join(row[1].values())}")
def test_the_table_is_what_the_check_says(
    there: Stage, issuer: Issuer, row: tuple[str, Who, bool, str, str | None, Any]
) -> None:
    feature, who, *expected = row
    told = by_get(there, issuer, feature, who)
    assert [told["allowed"], told["reason"], told["customer"], told["value"]] == expected


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_tells_the_same(there: Stage, issuer: Issuer, way: Callable[[Stage, Issuer, str, Who], Any]) -> None:
    asked = 0
    for feature, who, allowed, reason, *_ in TABLE:
        told = way(there, issuer, feature, who)
        if told is None:  # this way cannot put the question
            continue
        asked += 1
        assert (told["allowed"], told["reason"]) == (allowed, reason), (feature, who)
        by_check = by_get(there, issuer, feature, who)
        differing = {name for name in told if name != "age_ms" and told[name] != by_check[name]}
        assert differing == set(), (feature, who, told, by_check)
    assert asked >= 10
