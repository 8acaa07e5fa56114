"""An OIDC issuer of the tests: keys of each kind that Licet takes, and tokens signed with them."""

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example"
AUDIENCE = "licet"
_MAKE: dict[str, Any] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """Signs tokens and tells its public keys. ``fetched`` counts how often it was asked; ``away`` makes it fail."""

    def __init__(self, url: str = ISSUER, algorithm: str = "ES256") -> None:
        self.url = url
        self.keys: dict[str, tuple[str, Any]] = {}
        self.fetched: list[str] = []
        self.away = False
        self.codes: dict[str, tuple[dict[str, str], str | None, dict[str, Any]]] = {}
        self.rotate("first", algorithm)

    def rotate(self, kid: str, algorithm: str = "ES256", *, keep: bool = False) -> None:
        """Sign with a new key from now on; the old ones are gone unless kept."""
        self.keys = {**(self.keys if keep else {}), kid: (algorithm, _MAKE[algorithm]())}
        self.kid = kid

    def grant(self, asked: Mapping[str, str], secret: str | None = None, **claims: Any) -> str:
        """Return the code for a browser that was sent here with this query; ``claims`` go into its ID token."""
        code = f"code-{len(self.codes)}"
        said = {"aud": asked["client_id"], "nonce": asked["nonce"], **claims}
        self.codes[code] = (dict(asked), secret, said)
        return code

    def redeem(self, form: Mapping[str, str], authorization: str | None) -> dict[str, Any] | None:
        """Return the answer of the token endpoint, None where it refuses. A code counts once."""
        asked, secret, claims = self.codes.pop(form.get("code", ""), ({}, None, {}))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        basic = base64.b64encode(f"{asked.get('client_id')}:{secret}".encode()).decode()
        fits = (
            asked.get("code_challenge") == base64.urlsafe_b64encode(digest).decode().rstrip("=")
            and asked["code_challenge_method"] == "S256"
            and asked["redirect_uri"] == form.get("redirect_uri")
            and form.get("grant_type") == "authorization_code"
            and (secret is None or authorization == f"Basic {basic}")
        )
        return {"id_token": self.token(**claims), "token_type": "Bearer"} if fits else None

    def documents(self) -> dict[str, Any]:
        """What stands at the issuer's addresses, by path."""
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize?tenant=1",
                "token_endpoint": f"{self.url}/token",
                "end_session_endpoint": f"{self.url}/logout",
            },
            "/keys": {"keys": [self._public(kid) for kid in self.keys]},
        }

    def _public(self, kid: str) -> dict[str, Any]:
        algorithm, key = self.keys[kid]
        shown: str = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key())
        return {**msgspec.json.decode(shown), "kid": kid, "use": "sig"}

    async def fetch(self, url: str) -> dict[str, Any]:
        """Stand in for the network."""
        self.fetched.append(url)
        if self.away:
            raise OSError("nobody listens")
        found: dict[str, Any] = self.documents()[url.removeprefix(self.url)]
        return found

    def token(self, *, lasts_s: float = 300, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token for Licet; a claim given as None is left out."""
        algorithm, key = self.keys[self.kid]
        exp = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lasts_s)
        said = {"iss": self.url, "aud": AUDIENCE, "exp": exp, "sub": "u-1", **claims}
        said = {name: value for name, value in said.items() if value is not None}
        head = {name: value for name, value in ({"kid": self.kid} | (headers or {})).items() if value is not None}
        return jwt.encode(said, key, algorithm, headers=head)

    def token_of(self, user: str, **claims: Any) -> str:
        """Sign a token of a user: an address that was verified, or a subject."""
        who = {"email": user, "email_verified": True} if "@" in user else {"sub": user}
        return self.token(**who, **claims)
