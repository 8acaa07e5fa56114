"""API keys in the store: only hashes, never a secret."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from licet.domain.principal import Actor, Scope
from licet.store.audit import audit
from licet.store.pools import Reader, connection_of
from licet.store.ports import StoredKey
from licet.store.values import Act, Action


class PostgresKeys(Reader):
    """Keeps API keys; see ``manage.ports``."""

    files = ("keys",)

    async def all(self) -> Sequence[StoredKey]:
        """Return all keys, revoked ones too, the oldest first."""
        return [_key(*row) for row in await self._rows("list_keys")]

    async def insert(self, key_id: str, name: str, digest: bytes, scopes: Collection[Scope], by: Actor) -> StoredKey:
        """Keep a new key. ``digest`` is SHA-256 of its secret."""
        said = [scope.value for scope in sorted(scopes)]
        key = {"key_id": key_id, "name": name, "hash": digest, "scopes": said, "author": by.name}
        act = Act(action=Action.KEY_CREATE, subject=key_id, by=by, after={"name": name, "scopes": said})
        async with connection_of(self._pool) as connection, connection.transaction():
            rows = await (await connection.execute(self._sql["insert_key"], key)).fetchall()
            await audit(connection, act)
        return _key(*rows[0])

    async def revoke(self, key_id: str, by: Actor) -> StoredKey | None:
        """End a key; returns it as it stands now, None where there is none of this id."""
        async with connection_of(self._pool) as connection, connection.transaction():
            row = await (await connection.execute(self._sql["revoke_key"], {"key_id": key_id})).fetchone()
            if row is None:
                return None
            *found, before = row
            key = _key(*found)
            if before is None:
                said = {"name": key.name, "scopes": sorted(key.scopes)}
                await audit(connection, Act(action=Action.KEY_REVOKE, subject=key_id, by=by, before=said))
        return key

    async def touch(self, used: Mapping[str, dt.datetime]) -> None:
        """Remember when each key was last used."""
        if used:
            async with connection_of(self._pool) as connection:
                said = {"key_ids": list(used), "moments": list(used.values())}
                await connection.execute(self._sql["touch_keys"], said)


def _key(key_id: str, name: str, digest: bytes, scopes: Collection[str], *rest: Any) -> StoredKey:
    return StoredKey(key_id, name, digest, frozenset(scopes), *rest)
