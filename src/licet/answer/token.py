"""The logged-in user by an OIDC token: whose it is, proved by the keys of the one issuer that the operator named.

A token is never logged and never part of an error's text.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt
import msgspec

from licet.domain import ids
from licet.domain.errors import InvalidInput, Unauthenticated, Unavailable
from licet.domain.ids import CustomerRef
from licet.observe.log import Event, log

# Asymmetric only: with HS256 whoever knows the public key could sign, and with `none` everybody.
ALGORITHMS = ("RS256", "ES256", "EdDSA")
LEEWAY_S = 30
REFRESH_S = 300.0
# A key that is not known may have been made a moment ago: ask the issuer again, but never more often than this.
LOOK_AGAIN_S = 10.0
FETCH_LIMIT_S = 3.0

Fetch = Callable[[str], Awaitable[dict[str, Any]]]

_SAID: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it is not valid yet"),
    (jwt.InvalidAudienceError, "it is meant for another audience"),
    (jwt.InvalidIssuerError, "it is from another issuer"),
    (jwt.InvalidAlgorithmError, f"it is not signed by its key with {', '.join(ALGORITHMS)}"),
    (jwt.InvalidSignatureError, "its signature is not its issuer's"),
    (jwt.MissingRequiredClaimError, "it lacks exp, iss or aud"),
)


class Identity(msgspec.Struct, frozen=True):
    """Whom a token speaks of: the user, and the customer that it claims (an id or an alias), where it claims one."""

    user: str
    customer: str | None


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator said of tokens. Without ``jwks_url`` the issuer's own description names the address.

    ``customer_system`` is the alias's system where the claim holds only the value: ``tenant`` makes ``tenant:4711``.
    """

    issuer: str
    audience: str
    jwks_url: str | None = None
    user_claim: str = "email"
    customer_claim: str | None = None
    customer_system: str | None = None


async def fetch_json(url: str) -> dict[str, Any]:
    """Fetch a JSON object in a thread. Raises ``PyJWTError``, ``OSError`` or ``ValueError``. Follows no redirect."""
    client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_LIMIT_S)
    found: dict[str, Any] = await asyncio.to_thread(client.fetch_data)
    return found


class Tokens:
    """Reads tokens. Bootstrap runs ``keep_fresh`` as a task; while the issuer is away the keys known stay valid."""

    def __init__(
        self, trust: Trust, fetch: Fetch = fetch_json, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._trust = trust
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._reading = asyncio.Lock()
        self._began = float("-inf")
        self._away = False

    async def identify(self, token: str) -> Identity:
        """Return whom a token speaks of.

        Raises ``Unauthenticated`` with what is wrong; ``Unavailable`` where its key is unknown while the issuer's
        keys cannot be read.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:  # before the issuer is asked for a key
                raise jwt.InvalidAlgorithmError
            claims = jwt.decode(
                token,
                await self._key(header.get("kid")),
                algorithms=ALGORITHMS,
                audience=self._trust.audience,
                issuer=self._trust.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError) as error:  # UnicodeError is a ValueError
            said = next((said for kind, said in _SAID if isinstance(error, kind)), "it cannot be read")
            raise Unauthenticated(f"the token is refused: {said}") from None
        return self._identity(claims)

    async def keep_fresh(self) -> None:
        """Read the issuer's keys now and every few minutes until cancelled."""
        while True:
            async with self._reading:
                await self._read()
            await asyncio.sleep(REFRESH_S)

    async def _key(self, kid: str | None) -> jwt.PyJWK:
        if kid not in self._keys:
            async with self._reading:
                if self._monotonic() >= self._began + LOOK_AGAIN_S:
                    await self._read()
        key = self._keys.get(kid)
        if key is None and self._away:
            raise Unavailable("the issuer's keys cannot be read now, and the token's is not among those known", 10)
        if key is None:
            raise Unauthenticated("the token is refused: its key is none of its issuer's")
        return key

    async def _read(self) -> None:
        self._began = self._monotonic()
        try:
            async with asyncio.timeout(2 * FETCH_LIMIT_S):
                url = self._trust.jwks_url or await self._discover()
                found = jwt.PyJWKSet.from_dict(await self._fetch(url))
        except Exception as error:  # noqa: BLE001 whatever ails the issuer, the keys known stay valid
            if not self._away:
                log(Event.ISSUER_UNREADABLE, issuer=self._trust.issuer, known=len(self._keys), reason=str(error))
            self._away = True
            return
        self._away = False
        keys = [key for key in found if key.algorithm_name in ALGORITHMS and key.public_key_use in ("sig", None)]
        self._keys = {key.key_id: key for key in keys if isinstance(key.key_id, str)}
        if len(keys) == 1:  # then a token need not name it
            self._keys[None] = keys[0]

    async def _discover(self) -> str:
        found = await self._fetch(self._trust.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._trust.issuer or not isinstance(found.get("jwks_uri"), str):
            raise ValueError("the description at the issuer's address is not this issuer's")
        address: str = found["jwks_uri"]
        return address

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        trust = self._trust
        customer = None
        if trust.customer_claim and claims.get(trust.customer_claim) is not None:
            customer = _text(claims, trust.customer_claim)
            customer = f"{trust.customer_system}:{customer}" if trust.customer_system else customer
        try:
            if customer is not None:
                CustomerRef.parse(customer)
            return Identity(ids.user_id(self._user(claims)), customer)
        except InvalidInput as error:
            raise Unauthenticated(f"the token is refused: it names no user or customer: {error.detail}") from None

    def _user(self, claims: Mapping[str, Any]) -> str:
        """Return the user's id. An address that nobody verified could be anyone's, so it names nobody."""
        wanted = self._trust.user_claim
        if wanted != "email":
            return _text(claims, wanted)
        if claims.get("email") and claims.get("email_verified") in (True, "true"):  # Cognito sends a string
            return _text(claims, "email")
        subject = _text(claims, "sub")
        if "@" in subject:
            raise Unauthenticated("the token is refused: its e-mail address is not verified")
        return subject


def _text(claims: Mapping[str, Any], name: str) -> str:
    match claims.get(name):
        case str(text):
            return text
        case int(number) if not isinstance(number, bool):
            return str(number)
    raise Unauthenticated(f"the token is refused: its claim {name} is missing or no text")
