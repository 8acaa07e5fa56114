"""Sign-in at an OIDC issuer: authorization code with PKCE. A claim says a person's role."""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import secrets
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import msgspec

from licet.answer.token import FETCH_LIMIT_S, Tokens
from licet.console.session import Kept, Role, Seal, Visitor
from licet.domain.errors import Forbidden, Unauthenticated, Unavailable
from licet.settings import Settings

CALLBACK = "/console/sign-in/callback"
_LASTS = dt.timedelta(minutes=10)
_MOST = 1_000_000


class Attempt(Kept, frozen=True, kw_only=True):
    """A sign-in that was begun: what its answer has to carry, and where to go then (`to`)."""

    state: str
    nonce: str
    verifier: str
    to: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The code and the secret go to the issuer's address and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def _send(request: urllib.request.Request) -> dict[str, Any]:
    with _opener.open(request, timeout=FETCH_LIMIT_S) as answer:
        return msgspec.json.decode(answer.read(_MOST), type=dict[str, Any])


_opener = urllib.request.build_opener(_NoRedirect)


class Oidc:
    """The console as a client of the issuer; the settings ``console_…`` must be set."""

    def __init__(self, settings: Settings, tokens: Tokens, seal: Seal) -> None:
        self._settings = settings
        self._client = settings.console_oidc_client_id or ""
        self._tokens = tokens
        self._seal = seal
        self.issuer = settings.oidc_issuer or ""
        self._callback = (settings.console_url or "") + CALLBACK

    async def begin(self, to: str) -> tuple[str, Attempt]:
        """Return where to send the browser, and what it has to keep meanwhile. Raises ``Unavailable``."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self._callback,
            "scope": self._settings.console_oidc_scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        attempt = Attempt(until=self._seal.until(_LASTS), state=state, nonce=nonce, verifier=verifier, to=to)
        return _with(await self._endpoint("authorization_endpoint"), asked), attempt

    async def finish(self, attempt: Attempt | None, answer: Mapping[str, str]) -> Visitor:
        """Return who signed in. Raises ``Unauthenticated``, ``Forbidden`` (no role) and ``Unavailable``."""
        if attempt is None or not hmac.compare_digest(attempt.state.encode(), answer.get("state", "").encode()):
            raise Unauthenticated("this sign-in was not begun in this browser, or more than ten minutes ago")
        if answer.get("iss", self.issuer) != self.issuer:  # RFC 9207
            raise Unauthenticated("the answer is another issuer's")
        if "code" not in answer:
            raise Unauthenticated(f"the issuer refused: {answer.get('error', 'without a word')[:80]}")
        claims = await self._tokens.claims(await self._redeem(answer["code"], attempt.verifier), self._client)
        if not hmac.compare_digest(attempt.nonce.encode(), str(claims.get("nonce", "")).encode()):
            raise Unauthenticated("the token belongs to another sign-in")
        if claims.get("azp", self._client) != self._client:
            raise Unauthenticated("the token was issued to another client")
        return self._seal.visit(self._tokens.user(claims), self._role(claims))

    async def goodbye(self) -> str | None:
        """Return where the issuer ends its own session (RP-initiated logout), None where it offers none."""
        try:
            address = await self._endpoint("end_session_endpoint")
        except Unavailable:
            return None
        back = self._callback.removesuffix("/callback")
        return _with(address, {"client_id": self._client, "post_logout_redirect_uri": back})

    async def _redeem(self, code: str, verifier: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._callback}
        form |= {"code_verifier": verifier, "client_id": self._client}
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        secret = self._settings.console_oidc_client_secret
        if secret is not None:
            pair = ":".join(urllib.parse.quote_plus(part) for part in (self._client, secret))
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        address = await self._endpoint("token_endpoint")
        request = urllib.request.Request(address, urllib.parse.urlencode(form).encode(), headers)  # noqa: S310 https? as set
        try:
            return str((await asyncio.to_thread(_send, request))["id_token"])
        except (OSError, ValueError, KeyError, HTTPException, msgspec.DecodeError) as error:
            # Its text may hold what was sent.
            raise Unauthenticated(f"the issuer did not take the code ({type(error).__name__})") from None

    async def _endpoint(self, name: str) -> str:
        try:
            return str((await self._tokens.provider())[name])
        except Exception as error:  # whatever ails the issuer
            raise Unavailable(f"the issuer {self.issuer} does not say its {name} now", 10) from error

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """Return the most powerful role among those that the claim (``a.b``: b within a) gives."""
        found: Any = claims
        for part in self._settings.console_roles_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        given = {found} if isinstance(found, str) else {one for one in found or () if isinstance(one, str)}
        roles = [Role(role) for role, value in self._settings.console_roles if value in given]
        if not roles:
            names = ", ".join(value for _, value in self._settings.console_roles)
            claim = self._settings.console_roles_claim
            raise Forbidden(f"the issuer gives you no role here: the claim {claim} has none of {names}. Ask its admin")
        return max(roles, key=list(Role).index)


def _with(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urllib.parse.urlencode(query)}"
