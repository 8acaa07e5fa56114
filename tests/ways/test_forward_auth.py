"""Forward auth: who may say who the user is, and what the proxy gets to read."""

import urllib.parse

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.edge.forward_auth import safe
from support.issuer import Issuer
from support.properties import quick
from support.web import ADMIN, Stage

KEY = ("x-licet-key", ADMIN)


def ask(there: Stage, *headers: tuple[str, str], key: str | None = ADMIN, feature: str = "email") -> httpx.Response:
    return there.web.ask("GET", f"/v1/forward-auth?feature={feature}", headers=list(headers), key=key)


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


def test_a_yes_is_a_200_without_a_body_and_with_the_decision_in_its_headers(there: Stage) -> None:
    answer = ask(there, ("x-licet-user", "ada@acme.example"))
    assert (answer.status_code, answer.content) == (200, b"")
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-licet-")}
    assert told.pop("x-licet-reference").startswith("acme/email/")
    assert int(told.pop("x-licet-revision")) > 0
    assert told == {
        "x-licet-allowed": "true",
        "x-licet-reason": "licensed",
        "x-licet-message": "This feature is included in your plan.",
        "x-licet-customer": "acme",
        "x-licet-user": "ada@acme.example",
        "x-licet-feature": "email",
        "x-licet-value": "true",
        "x-licet-sku": "SKU1",
    }


def test_a_no_is_a_403_with_a_reference_for_support(there: Stage) -> None:
    answer = ask(there, ("x-licet-customer", "gone"))
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert answer.headers["x-licet-reason"] == "revoked"
    assert answer.json()["detail"].endswith(f"Reference: {answer.headers['x-licet-reference']}")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], ADMIN),
        ([("x-licet-user", "")], ADMIN),
        ([("x-licet-customer", "")], ADMIN),
        ([KEY], None),
        # beside a key of its own the proxy leaves the user to the client: a customer alone is nobody
        ([KEY, ("x-licet-customer", "acme")], None),
        ([KEY, ("x-licet-customer", "acme"), ("authorization", "Basic YWRhOng=")], None),
        ([KEY, ("x-licet-customer", "acme"), ("authorization", "Bearer ")], None),
        ([KEY, bearer("not.a.token")], None),
        ([KEY, bearer(ADMIN)], None),
        # and without one the client's token is no key
        ([("x-licet-user", "ada@acme.example")], "x.y.z"),
        ([("x-licet-user", "ada@acme.example")], None),
    ],
)
def test_without_a_known_user_or_key_it_is_a_401(there: Stage, headers: list[tuple[str, str]], key: str | None) -> None:
    answer = ask(there, *headers, key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "x-licet-allowed" not in answer.headers


def test_the_clients_own_token_names_the_user_and_the_proxys_customer_narrows(there: Stage, issuer: Issuer) -> None:
    token = bearer(issuer.token_of("ada@acme.example"))
    assert ask(there, KEY, token, key=None).status_code == 200
    assert ask(there, KEY, token, ("x-licet-customer", "tenant:4711"), key=None).status_code == 200
    other = ask(there, KEY, token, ("x-licet-customer", "both"), key=None)
    assert (other.status_code, other.headers["x-licet-reason"]) == (403, "unknown_user")


def test_a_user_whom_the_proxy_names_goes_before_what_the_client_sends(there: Stage, issuer: Issuer) -> None:
    token = bearer(issuer.token_of("ada@acme.example"))
    answer = ask(there, KEY, token, ("x-licet-user", "consultant@acme.example"), key=None)
    assert (answer.status_code, answer.headers["x-licet-user"]) == (403, "consultant@acme.example")
    basic = ask(there, KEY, ("authorization", "Basic YWRhOng="), ("x-licet-user", "ada@acme.example"), key=None)
    assert basic.status_code == 200


def test_a_header_that_came_twice_is_refused_so_that_a_client_adds_none(there: Stage) -> None:
    for name in ("x-licet-user", "x-licet-customer", "x-licet-key"):
        answer = ask(there, ("x-licet-user", "ada@acme.example"), (name, "acme"), (name, "both"))
        assert answer.status_code == 422


def test_the_key_needs_the_scope_read(there: Stage) -> None:
    poster = there.web.key("proxy", "ingest")
    assert ask(there, ("x-licet-user", "ada@acme.example"), ("x-licet-key", poster), key=None).status_code == 403


@quick
@given(st.text())
def test_whatever_a_name_holds_can_stand_in_a_header_and_be_read_back(text: str) -> None:
    sent = safe(text)
    assert all(0x20 <= byte <= 0x7E for byte in sent)
    assert urllib.parse.unquote(sent.decode()) == text.encode("utf-8", "replace").decode()


def test_a_users_name_beyond_ascii_is_told_percent_encoded(there: Stage) -> None:
    answer = there.web.ask(
        "GET", "/v1/forward-auth?feature=email", headers=[(b"x-licet-user", "zoë@acme.example".encode())]
    )
    assert (answer.status_code, answer.headers["x-licet-user"]) == (200, "zo%C3%AB@acme.example")
