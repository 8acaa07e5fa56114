"""API keys in the store: only hashes, never a secret."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from licet.database import named_queries
from licet.domain.principal import Scope
from licet.store.pools import Pool, connection_of
from licet.store.ports import StoredKey


class PostgresKeys:
    """Keeps API keys; see ``manage.ports``. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/keys.sql")

    async def all(self) -> Sequence[StoredKey]:
        """Return all keys, revoked ones too, the oldest first."""
        return [_key(row) for row in await self._rows("list_keys")]

    async def insert(self, key_id: str, name: str, digest: bytes, scopes: Collection[Scope], author: str) -> StoredKey:
        """Keep a new key. ``digest`` is SHA-256 of its secret."""
        said = [scope.value for scope in sorted(scopes)]
        rows = await self._rows("insert_key", key_id=key_id, name=name, hash=digest, scopes=said, author=author)
        return _key(rows[0])

    async def revoke(self, key_id: str) -> StoredKey | None:
        """End a key; returns it as it stands now, None where there is none of this id."""
        rows = await self._rows("revoke_key", key_id=key_id)
        return _key(rows[0]) if rows else None

    async def touch(self, used: Mapping[str, dt.datetime]) -> None:
        """Remember when each key was last used."""
        if used:
            async with connection_of(self._pool) as connection:
                await connection.execute(
                    self._sql["touch_keys"], {"key_ids": list(used), "moments": list(used.values())}
                )

    async def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async with connection_of(self._pool) as connection:
            return await (await connection.execute(self._sql[query], parameters)).fetchall()


def _key(row: tuple[Any, ...]) -> StoredKey:
    key_id, name, digest, scopes, author, created_at, last_used_at, revoked_at = row
    return StoredKey(
        key_id=key_id,
        name=name,
        hash=bytes(digest),
        scopes=frozenset(scopes),
        author=author,
        created_at=created_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
