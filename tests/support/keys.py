"""API keys for tests, made as ``licet keys create`` makes them."""

import datetime as dt
import hashlib
import secrets

from licet.store.ports import StoredKey


def new_key(
    name: str = "robot", *scopes: str, key_id: str | None = None, revoked_at: dt.datetime | None = None
) -> tuple[str, StoredKey]:
    """Return a key to send, and what the store keeps of it."""
    secret, key_id = secrets.token_urlsafe(32), key_id or secrets.token_hex(6)
    stored = StoredKey(
        key_id=key_id,
        name=name,
        hash=hashlib.sha256(secret.encode()).digest(),
        scopes=frozenset(scopes),
        author="test",
        created_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        last_used_at=None,
        revoked_at=revoked_at,
    )
    return f"licet_{key_id}_{secret}", stored
