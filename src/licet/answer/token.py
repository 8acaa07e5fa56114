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
from licet.settings import Settings

# Asymmetric only: with HS256 whoever knows the public key could sign, and with `none` everybody.
ALGORITHMS = ("RS256", "ES256", "EdDSA")
LEEWAY_S = 30
REFRESH_S = 300.0
# A key that is not known may have been made a moment ago: ask the issuer again, but never more often than this.
LOOK_AGAIN_S = 10.0
FETCH_LIMIT_S = 3.0

Fetch = Callable[[str], Awaitable[dict[str, Any]]]


class Identity(msgspec.Struct, frozen=True):
    """Whom a token speaks of: the user, and the customer that it claims (an id or an alias), where it claims one."""

    user: str
    customer: str | None


async def fetch_json(url: str) -> dict[str, Any]:
    """Fetch a JSON object in a thread. Raises ``PyJWTError``, ``OSError`` or ``ValueError``. Follows no redirect."""
    client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_LIMIT_S)
    found: dict[str, Any] = await asyncio.to_thread(client.fetch_data)
    return found


class Tokens:
    """Reads tokens, as the settings ``oidc_…`` say; issuer and audience must be set.

    Bootstrap runs ``keep_fresh`` as a task. While the issuer is away the keys known stay valid.
    """

    def __init__(
        self, settings: Settings, fetch: Fetch = fetch_json, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._issuer = settings.oidc_issuer or ""
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._reading = asyncio.Lock()
        self._began = float("-inf")
        self._away = False
        self._said: dict[str, Any] = {}
        self._said_at = float("-inf")

    async def identify(self, token: str) -> Identity:
        """Return whom a token speaks of; for what it raises see ``claims``."""
        claims = await self.claims(token, self._settings.oidc_audience or "")
        try:
            return self._identity(claims)
        except InvalidInput as error:
            raise _refused(str(error)) from None

    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """Return what a token says, once it is proved that the issuer says it to this audience.

        Raises ``Unauthenticated`` with what is wrong; ``Unavailable`` where its key is unknown while the issuer's
        keys cannot be read.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:  # before the issuer is asked for a key
                raise jwt.InvalidAlgorithmError("Its algorithm is none of " + ", ".join(ALGORITHMS))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                await self._key(header.get("kid")),
                algorithms=ALGORITHMS,
                audience=audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except jwt.DecodeError as error:
            readable = isinstance(error, jwt.InvalidSignatureError)
            raise _refused(str(error) if readable else "It is no JSON Web Token") from None
        except jwt.PyJWTError as error:
            # This class alone repeats what stands in the token's head.
            raise _refused("Its head is not valid" if type(error) is jwt.InvalidTokenError else str(error)) from None
        return claims

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
            raise _refused("Its key is none of its issuer's")
        return key

    async def _read(self) -> None:
        self._began = self._monotonic()
        try:
            async with asyncio.timeout(2 * FETCH_LIMIT_S):
                url = self._settings.oidc_jwks_url or str((await self.provider())["jwks_uri"])
                found = jwt.PyJWKSet.from_dict(await self._fetch(url))
        except Exception as error:  # noqa: BLE001 whatever ails the issuer, the keys known stay valid
            if not self._away:
                log(Event.ISSUER_UNREADABLE, issuer=self._issuer, known=len(self._keys), reason=str(error))
            self._away = True
            return
        self._away = False
        keys = [key for key in found if key.algorithm_name in ALGORITHMS and key.public_key_use in ("sig", None)]
        self._keys = {key.key_id: key for key in keys if isinstance(key.key_id, str)}
        if len(keys) == 1:  # then a token need not name it
            self._keys[None] = keys[0]

    async def provider(self) -> dict[str, Any]:
        """Return what the issuer says of itself, as it was fetched in the last minutes.

        Raises ``PyJWTError``, ``OSError`` or ``ValueError``.
        """
        if self._monotonic() < self._said_at + REFRESH_S / 2:
            return self._said
        found = await self._fetch(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise ValueError("the description at the issuer's address is not this issuer's")
        self._said, self._said_at = found, self._monotonic()
        return found

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        name, system = self._settings.oidc_customer_claim, self._settings.oidc_customer_system
        customer = None
        if name and claims.get(name) is not None:
            customer = _text(claims, name) if system is None else f"{system}:{_text(claims, name)}"
            CustomerRef.parse(customer)
        return Identity(self.user(claims), customer)

    def user(self, claims: Mapping[str, Any]) -> str:
        """Return the user's id, as ``oidc_user_claim`` says. Raises ``Unauthenticated`` and ``InvalidInput``."""
        return ids.user_id(self._user(claims))

    def _user(self, claims: Mapping[str, Any]) -> str:
        """Return what names the user. An address that nobody verified could be anyone's, so it names nobody."""
        name = self._settings.oidc_user_claim
        if name != "email":
            return _text(claims, name)
        if claims.get("email") and claims.get("email_verified") in (True, "true"):  # Cognito sends a string
            return _text(claims, "email")
        subject = _text(claims, "sub")
        if "@" in subject:
            raise _refused("Its e-mail address is not verified")
        return subject


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _refused(f"Its claim {name} is missing or no text")
    return str(value)


def _refused(said: str) -> Unauthenticated:
    return Unauthenticated(f"the token is refused: {said}")
