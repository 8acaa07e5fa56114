"""Sign-in at an issuer: who gets which role, and what a stolen, old or foreign answer comes to."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from licet.bootstrap.web import build_tokens
from licet.console.frame import COOKIE
from licet.domain.errors import ConfigurationError
from licet.settings import Settings
from support.console import Served, served_console
from support.issuer import Issuer
from support.served import served_issuer

CLIENT_KEY = "a client's secret: with signs"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with served_issuer() as one:
        yield one


@pytest.fixture(scope="module")
def at(postgres: str, template: str, issuer: Issuer) -> Iterator[Served]:
    with served_console(
        postgres,
        template,
        terminal=False,
        oidc_issuer=issuer.url,
        console_url=lambda url: url,
        console_oidc_client_id="console",
        console_oidc_client_secret=CLIENT_KEY,
        console_roles_claim="realm_access.roles",
    ) as served:
        yield served


def begin(client: httpx.Client, to: str = "/console") -> dict[str, str]:
    sent = client.get("/console/sign-in/oidc", params={"to": to})
    assert sent.status_code == 303, sent.text
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(sent.headers["location"]).query))


def come_back(client: httpx.Client, **answer: str) -> httpx.Response:
    return client.get("/console/sign-in/callback", params=answer)


def roles(*names: str) -> dict[str, Any]:
    return {"realm_access": {"roles": list(names)}, "email": "Ada@Acme.example", "email_verified": True}


def grant(issuer: Issuer, asked: dict[str, str], **claims: Any) -> str:
    return issuer.grant(asked, urllib.parse.quote_plus(CLIENT_KEY), **(roles("licet-support") | claims))


@pytest.mark.parametrize(
    ("given", "role"),
    [
        (("licet-sales",), "sales"),
        (("other", "licet-support", "licet-sales"), "support"),
        (("licet-sales", "licet-admin"), "admin"),
    ],
)
def test_the_claim_says_the_role_and_the_browser_comes_back_where_it_wanted_to(
    at: Served, issuer: Issuer, given: tuple[str, ...], role: str
) -> None:
    with at.client() as client:
        asked = begin(client, "/console?q=acme")
        assert {
            "tenant": "1",
            "response_type": "code",
            "client_id": "console",
            "scope": "openid email profile",
            "redirect_uri": f"{at.url}/console/sign-in/callback",
            "code_challenge_method": "S256",
        }.items() <= asked.items()
        came = come_back(client, code=grant(issuer, asked, **roles(*given)), state=asked["state"], iss=issuer.url)
        assert (came.status_code, came.headers["location"]) == (303, "/console?q=acme")
        page = client.get("/console").text
        assert f"ada@acme.example</span> <small>{role}</small>" in page
        again = come_back(client, code="code-0", state=asked["state"])
        assert again.status_code == 401, "the attempt was used up"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("state", "was not begun in this browser"),
        ("no state", "was not begun in this browser"),
        ("another browser", "was not begun in this browser"),
        ("nonce", "belongs to another sign-in"),
        ("no nonce", "belongs to another sign-in"),
        ("audience", "Audience doesn&#39;t match"),
        ("issued to another", "issued to another client"),
        ("issuer", "another issuer&#39;s"),
        ("expired", "expired"),
        ("code", "did not take the code"),
        ("error", "issuer refused: access_denied"),
        ("unverified address", "not verified"),
    ],
)
def test_an_answer_that_is_not_for_this_sign_in_lets_nobody_in(
    at: Served, issuer: Issuer, what: str, said: str
) -> None:
    with at.client() as client:
        asked = begin(client)
        cases: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "another"},
            "no nonce": {"nonce": None},
            "audience": {"aud": "licet"},
            "issued to another": {"aud": ["console", "x"], "azp": "x"},
            "expired": {"lasts_s": -60},
            "unverified address": {"email_verified": False, "sub": "ada@acme.example"},
        }
        answer = {"code": grant(issuer, asked, **cases.get(what, {})), "state": asked["state"]}
        wrong = {"state": ("state", "x"), "code": ("code", "x"), "issuer": ("iss", "https://evil.example")}
        answer.update([wrong[what]] if what in wrong else [])
        if what == "no state":
            del answer["state"]
        if what == "error":
            answer = {"state": asked["state"], "error": "access_denied"}
        if what == "another browser":
            client.cookies.clear()
        refused = come_back(client, **answer)
        assert refused.status_code == 401
        assert said in refused.text
        assert COOKIE not in client.cookies


def test_who_has_no_role_is_told_what_is_missing(at: Served, issuer: Issuer) -> None:
    with at.client() as client:
        asked = begin(client)
        refused = come_back(client, code=grant(issuer, asked, **roles("other")), state=asked["state"])
        assert refused.status_code == 403
        assert "realm_access.roles has none of licet-sales, licet-support, licet-admin" in refused.text
        assert COOKIE not in client.cookies


def test_a_code_of_another_verifier_is_refused_by_the_issuer(at: Served, issuer: Issuer) -> None:
    with at.client() as victim, at.client() as thief:
        code, mine = grant(issuer, begin(victim)), begin(thief)
        assert come_back(thief, code=code, state=mine["state"]).status_code == 401


def test_signing_out_leads_to_the_issuer_s_own_end(at: Served, issuer: Issuer) -> None:
    with at.client() as client:
        page = client.get("/console/signed-out").text
        assert f"{issuer.url}/logout?client_id=console" in page
        assert urllib.parse.quote_plus(f"{at.url}/console/sign-in") in page


def test_half_a_configuration_stops_the_start() -> None:
    for lacking in ("oidc_issuer", "console_url"):
        whole = {
            "oidc_issuer": "https://login.example",
            "console_url": "https://licet.example",
            "console_oidc_client_id": "c",
        }
        with pytest.raises(ConfigurationError, match="LICET_CONSOLE_OIDC_CLIENT_ID"):
            build_tokens(Settings(**{**whole, lacking: None}))  # type: ignore[arg-type]
        assert build_tokens(Settings(**whole)) is not None  # type: ignore[arg-type]
