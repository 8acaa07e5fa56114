"""The user of a token: proved by the issuer's keys, told why not, never shown."""

import asyncio
import base64
import contextlib
import datetime as dt
import io
import json
import socket
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.answer import token as tokens_module
from licet.answer.token import Identity, Tokens, fetch_json
from licet.bootstrap.web import build_tokens
from licet.domain.errors import ConfigurationError, LicetError, Unauthenticated, Unavailable
from licet.observe.log import configure
from licet.settings import Settings
from support.issuer import AUDIENCE, ISSUER, Issuer
from support.properties import quick

KEY = "a-secret-of-thirty-two-characters-or-more"
FIXED = Issuer(algorithm="EdDSA")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def reader(issuer: Issuer, clock: Callable[[], float] | None = None, **oidc: Any) -> Tokens:
    said = {"issuer": ISSUER, "audience": AUDIENCE, **oidc}
    settings = Settings(**{f"oidc_{name}": value for name, value in said.items()})
    return Tokens(settings, issuer.fetch, monotonic=clock or Clock())


def refusal(subject: Tokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        asyncio.run(subject.identify(token))
    said = caught.value.detail
    assert token not in said
    assert not [part for part in token.split(".") if len(part) > 8 and part in said]
    return said.removeprefix("the token is refused: ")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_each_pinned_algorithm_is_taken(algorithm: str) -> None:
    issuer = Issuer(algorithm=algorithm)
    found = asyncio.run(reader(issuer).identify(issuer.token(sub="auth0|7")))
    assert found == Identity("auth0|7", None)
    assert issuer.fetched == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"lasts_s": -60}, "Signature has expired"),
        ({"nbf": dt.datetime(2999, 1, 1, tzinfo=dt.UTC)}, "The token is not yet valid"),
        ({"iat": dt.datetime(2999, 1, 1, tzinfo=dt.UTC)}, "The token is not yet valid"),
        ({"aud": "another"}, "Audience doesn't match"),
        ({"aud": None}, 'Token is missing the "aud" claim'),
        ({"exp": None}, 'Token is missing the "exp" claim'),
        ({"iss": None}, 'Token is missing the "iss" claim'),
        ({"iss": ISSUER + "/"}, "Invalid issuer"),
        ({"headers": {"kid": "nobodys"}}, "Its key is none of its issuer's"),
        ({"sub": None}, "Its claim sub is missing or no text"),
        ({"sub": "a b"}, 'user: found "a b", expected an id or an e-mail address'),
        ({"sub": "u", "org": "a b"}, 'customer: found "a b"'),
        ({"sub": "u", "org": ["acme"]}, "Its claim org is missing or no text"),
        ({"sub": "u", "org": True}, "Its claim org is missing or no text"),
    ],
)
def test_each_refusal_says_what_is_wrong_and_never_the_token(claims: dict[str, Any], said: str) -> None:
    issuer = Issuer()
    assert refusal(reader(issuer, customer_claim="org"), issuer.token(**claims)).startswith(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
CLAIMS = ("iss", "aud", "exp", "nbf", "iat", "sub", "jti", "email", "email_verified", "org")


@quick
@given(st.dictionaries(st.sampled_from(CLAIMS), JSON), st.dictionaries(st.sampled_from(("kid", "crit", "typ")), JSON))
def test_whatever_a_signed_token_holds_it_is_an_identity_or_a_refusal(
    claims: dict[str, Any], headers: dict[str, Any]
) -> None:
    said = {"iss": ISSUER, "aud": AUDIENCE, "exp": 32503680000, "sub": "u-1", **claims}
    head = {"alg": "EdDSA", "kid": "first", **headers}
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (head, said))
    _, key = FIXED.keys["first"]
    token = signed + b"." + base64.urlsafe_b64encode(key.sign(signed)).rstrip(b"=")
    with contextlib.suppress(Unauthenticated):
        found = asyncio.run(reader(FIXED, customer_claim="org").identify(token.decode()))
        assert found.user


def test_a_clock_that_is_a_little_off_is_forgiven() -> None:
    issuer = Issuer()
    assert asyncio.run(reader(issuer).identify(issuer.token(lasts_s=-20))).user == "u-1"


def test_what_anyone_could_have_signed_is_refused_before_the_issuer_is_asked() -> None:
    issuer = Issuer()
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": 32503680000, "sub": "admin"}
    said = "Its algorithm is none of RS256, ES256, EdDSA"
    assert refusal(reader(issuer), jwt.encode(claims, "", "none")) == said
    assert refusal(reader(issuer), jwt.encode(claims, KEY, "HS256", headers={"kid": "first"})) == said
    for nonsense in ("", "x", "a.b.c", "é.é.é", "." * 50, "eyJhbGciOiJSUzI1NiIsImtpZCI6W119.e30."):
        assert refusal(reader(issuer), nonsense or "an-empty-token") in (
            "It is no JSON Web Token",
            "Its head is not valid",
        )
    assert issuer.fetched == []


def test_a_token_of_one_kind_of_key_cannot_name_another() -> None:
    issuer, other = Issuer(algorithm="RS256"), Issuer()
    said = "Token algorithm 'ES256' does not match the key's algorithm 'RS256'"
    assert refusal(reader(issuer), other.token()) == said
    stranger = Issuer(algorithm="RS256")
    assert refusal(reader(issuer), stranger.token()) == "Signature verification failed"


def test_the_address_counts_only_where_it_was_verified() -> None:
    issuer = Issuer()
    for claims, user in (
        ({"email": "Ada@Acme.example", "email_verified": True}, "ada@acme.example"),
        ({"email": "ada@acme.example", "email_verified": "true"}, "ada@acme.example"),
        ({"email": "ada@acme.example", "email_verified": False}, "u-1"),
        ({"email": "ada@acme.example", "email_verified": "false"}, "u-1"),
        ({"email": "ada@acme.example"}, "u-1"),
        ({}, "u-1"),
    ):
        assert asyncio.run(reader(issuer).identify(issuer.token(**claims))).user == user
    unverified = issuer.token(sub="boss@victim.example", email="boss@victim.example")
    assert refusal(reader(issuer), unverified) == "Its e-mail address is not verified"


def test_the_operator_names_the_claims() -> None:
    issuer = Issuer()
    token = issuer.token(sub="s", preferred_username="ada", org=4711, account="0015g00000AbCdE")
    plain = reader(issuer, user_claim="preferred_username", customer_claim="account")
    assert asyncio.run(plain.identify(token)) == Identity("ada", "0015g00000AbCdE")
    system = reader(issuer, user_claim="sub", customer_claim="org", customer_system="tenant")
    assert asyncio.run(system.identify(token)) == Identity("s", "tenant:4711")
    absent = reader(issuer, customer_claim="nothing")
    assert asyncio.run(absent.identify(token)).customer is None


def test_keys_are_fetched_once_and_a_new_one_is_found_at_once_but_not_at_every_try() -> None:
    async def story() -> None:
        clock, issuer = Clock(), Issuer()
        subject = reader(issuer, clock, jwks_url=f"{ISSUER}/keys")
        await asyncio.gather(*(subject.identify(issuer.token()) for _ in range(20)))
        assert issuer.fetched == [f"{ISSUER}/keys"]
        issuer.rotate("second", keep=True)
        clock.now += tokens_module.LOOK_AGAIN_S
        await asyncio.gather(*(subject.identify(issuer.token()) for _ in range(20)))
        assert len(issuer.fetched) == 2
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await subject.identify(issuer.token(headers={"kid": "made-up"}))
        assert len(issuer.fetched) == 2

    asyncio.run(story())


def test_a_key_that_the_issuer_took_back_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "REFRESH_S", 0.01)

    async def story() -> None:
        issuer = Issuer()
        subject = reader(issuer)
        task = asyncio.create_task(subject.keep_fresh())
        old = issuer.token()
        assert (await subject.identify(old)).user == "u-1"
        issuer.rotate("second")
        async with asyncio.timeout(10):
            while True:
                try:
                    await subject.identify(old)
                except Unauthenticated:
                    break
                await asyncio.sleep(0.01)
        assert (await subject.identify(issuer.token())).user == "u-1"
        assert not task.done()
        task.cancel()

    asyncio.run(story())


def test_while_the_issuer_is_away_known_keys_stay_and_an_unknown_one_says_come_back() -> None:
    stream = io.StringIO()
    configure("text", "info", stream)

    async def story() -> None:
        clock, issuer = Clock(), Issuer()
        subject = reader(issuer, clock)
        token = issuer.token()
        issuer.away = True
        with pytest.raises(Unavailable):
            await subject.identify(token)
        issuer.away, clock.now = False, clock.now + tokens_module.LOOK_AGAIN_S
        assert (await subject.identify(token)).user == "u-1"
        issuer.rotate("second")
        issuer.away, clock.now = True, clock.now + tokens_module.LOOK_AGAIN_S
        assert (await subject.identify(token)).user == "u-1"
        with pytest.raises(Unavailable):
            await subject.identify(issuer.token())
        assert (await subject.identify(token)).user == "u-1"

    asyncio.run(story())
    assert stream.getvalue().count("issuer_unreadable") == 2
    assert "nobody listens" in stream.getvalue()


@pytest.mark.parametrize(
    "documents",
    [
        {"/.well-known/openid-configuration": {"issuer": "https://other.example", "jwks_uri": f"{ISSUER}/keys"}},
        {"/.well-known/openid-configuration": {"issuer": ISSUER}},
        {"/keys": {"keys": []}},
        {"/keys": {}},
        {"/keys": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "first"}]}},
    ],
)
def test_an_issuer_that_says_nonsense_gives_no_key(documents: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    told = issuer.documents() | documents
    monkeypatch.setattr(issuer, "documents", lambda: told)
    with pytest.raises(LicetError) as caught:
        asyncio.run(reader(issuer).identify(issuer.token()))
    assert isinstance(caught.value, Unavailable | Unauthenticated)


def test_keys_are_fetched_over_http_alone_and_nobody_waits_for_an_issuer_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(jwt.PyJWKClientError, match="only 'http' and 'https'"):
        asyncio.run(fetch_json("file:///etc/hostname"))
    monkeypatch.setattr(tokens_module, "FETCH_LIMIT_S", 0.3)

    async def story(url: str) -> int:
        settings = Settings(oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=url)
        asked = asyncio.create_task(Tokens(settings).identify(Issuer().token()))
        turns = 0
        while not asked.done():
            turns += 1
            await asyncio.sleep(0.01)
        assert isinstance(asked.exception(), Unavailable)
        return turns

    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and never answers
        assert asyncio.run(story(f"http://127.0.0.1:{silent.getsockname()[1]}/keys")) >= 5


def test_an_issuer_goes_with_an_audience_and_without_both_there_are_no_tokens() -> None:
    assert build_tokens(Settings.read({})) is None
    assert build_tokens(Settings.read({"LICET_OIDC_ISSUER": ISSUER, "LICET_OIDC_AUDIENCE": AUDIENCE})) is not None
    for name, value in (("LICET_OIDC_ISSUER", ISSUER), ("LICET_OIDC_AUDIENCE", AUDIENCE)):
        with pytest.raises(ConfigurationError, match="expected both"):
            build_tokens(Settings.read({name: value}))
    with pytest.raises(ConfigurationError, match="LICET_OIDC_ISSUER: found"):
        Settings.read({"LICET_OIDC_ISSUER": "login.example"})


def test_a_token_without_a_kid_is_checked_by_the_only_key_and_by_none_of_several() -> None:
    issuer = Issuer()
    token = issuer.token(headers={"kid": None})
    assert "kid" not in jwt.get_unverified_header(token)
    assert asyncio.run(reader(issuer).identify(token)).user == "u-1"
    issuer.rotate("second", keep=True)
    assert refusal(reader(issuer), issuer.token(headers={"kid": None})) == "Its key is none of its issuer's"
