"""Whose user it is: by membership, else by verified domain, else by the token's claim."""

from typing import Any

import pytest

from support.issuer import Issuer
from support.web import Stage


def check(there: Stage, token: str, **more: str) -> Any:
    answer = (
        there.web.ask("GET", "/v1/check?feature=email", params=None, headers=[("x-licet-token", token)])
        if (not more)
        else there.web.ask("GET", "/v1/check", params={"feature": "email", **more}, headers=[("x-licet-token", token)])
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("user", "claims", "narrowed", "reason", "customer"),
    [
        ("stranger", {"org": "4711"}, {}, "licensed", "acme"),
        ("stranger", {"org": 4712}, {}, "licensed", "both"),
        ("stranger", {"org": "0"}, {}, "unknown_customer", "tenant:0"),
        ("stranger", {}, {}, "unknown_user", None),
        ("auth0|pat", {"org": "4712"}, {}, "licensed", "acme"),
        ("consultant@acme.example", {"org": "4711"}, {}, "terms_not_signed", "poor"),
        ("ada@acme.example", {"org": "4712"}, {}, "licensed", "acme"),
        ("stranger", {"org": "4711"}, {"customer": "acme"}, "licensed", "acme"),
        ("stranger", {"org": "4711"}, {"customer": "tenant:4711"}, "licensed", "acme"),
        ("stranger", {"org": "4711"}, {"customer": "both"}, "unknown_user", "both"),
        ("auth0|pat", {"org": "4712"}, {"customer": "both"}, "unknown_user", "both"),
        ("ada@acme.example", {"org": "4712"}, {"customer": "both"}, "unknown_user", "both"),
    ],
)
def test_the_claim_counts_only_for_a_user_who_belongs_nowhere(
    there: Stage,
    issuer: Issuer,
    user: str,
    claims: dict[str, Any],
    narrowed: dict[str, str],
    reason: str,
    customer: str | None,
) -> None:
    told = check(there, issuer.token_of(user, **claims), **narrowed)
    assert (told["reason"], told["customer"], told["user"]) == (reason, customer, user)


def test_a_token_beside_a_user_is_a_contradiction(there: Stage, issuer: Issuer) -> None:
    headers = [("x-licet-token", issuer.token_of("stranger"))]
    answer = there.web.ask("GET", "/v1/check?feature=email&user=ada", headers=headers)
    assert (answer.status_code, answer.json()["faults"][0]["field"]) == (422, "user")


def test_a_token_in_the_address_is_refused_and_not_repeated(there: Stage, issuer: Issuer) -> None:
    token = issuer.token_of("stranger")
    for path in ("/v1/check", "/v1/forward-auth"):
        answer = there.web.ask("GET", path, params={"feature": "email", "token": token})
        assert (answer.status_code, token[:20] in answer.text) == (422, False)
