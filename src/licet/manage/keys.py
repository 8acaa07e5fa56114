"""API keys: made, listed, revoked. A key is ``licet_<key id>_<secret>``; the store keeps SHA-256 of the secret."""

import hashlib
import secrets
import string
from collections.abc import Collection, Sequence

import msgspec

from licet.domain.errors import Fault, InvalidInput, NotFound
from licet.domain.ids import shown
from licet.domain.principal import Actor, Scope
from licet.manage.ports import KeyStore
from licet.store.ports import StoredKey

# 43 of 62 characters are 256 bits: nobody guesses one, so a plain hash keeps it. No sign breaks a double click.
_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 43
_ID_LENGTH = 10
_NAME_LENGTH = 100


class CreatedKey(msgspec.Struct, frozen=True):
    """A new key. ``token`` is what the caller sends; it is shown now and kept nowhere."""

    key: StoredKey
    token: str

    def __repr__(self) -> str:
        return f"CreatedKey({self.key!r}, token=…)"


class Keys:
    """Makes, lists and revokes API keys. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def create(self, name: str, scopes: Collection[str], by: Actor) -> CreatedKey:
        """Make a key. Raises ``InvalidInput`` for a name or a scope that is none."""
        wanted = _checked(name, scopes)
        key_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(_ID_LENGTH))
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
        digest = hashlib.sha256(secret.encode()).digest()
        return CreatedKey(await self._store.insert(key_id, name, digest, wanted, by), f"licet_{key_id}_{secret}")

    async def all(self) -> Sequence[StoredKey]:
        """Return all keys, revoked ones too, the oldest first."""
        return await self._store.all()

    async def revoke(self, key_id: str, by: Actor) -> StoredKey:
        """End a key; the first time counts. Raises ``NotFound``."""
        key = await self._store.revoke(key_id, by)
        if key is None:
            raise NotFound(f"there is no key {shown(key_id)}; `licet keys list` names them")
        return key


def _checked(name: str, scopes: Collection[str]) -> frozenset[Scope]:
    known = {scope.value for scope in Scope}
    faults = [Fault("scopes", shown(scope), ", ".join(sorted(known))) for scope in scopes if scope not in known]
    if not scopes:
        faults.append(Fault("scopes", "none", ", ".join(sorted(known))))
    if not name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        faults.append(Fault("name", shown(name), f"1 to {_NAME_LENGTH} printable characters"))
    if faults:
        raise InvalidInput.of(*faults)
    return frozenset(Scope(scope) for scope in scopes)
