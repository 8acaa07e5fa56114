-- name: list_keys
-- Return all keys, the oldest first.
SELECT key_id, name, hash, scopes, author, created_at, last_used_at, revoked_at FROM api_key
ORDER BY created_at, key_id

-- name: insert_key
-- Keep a new key, without its secret.
INSERT INTO api_key (key_id, name, hash, scopes, author)
VALUES (%(key_id)s, %(name)s, %(hash)s, %(scopes)s, %(author)s)
RETURNING key_id, name, hash, scopes, author, created_at, last_used_at, revoked_at

-- name: revoke_key
-- End a key; the first time counts. Returns it, and when it had been revoked before.
UPDATE api_key k SET revoked_at = coalesce(k.revoked_at, clock_timestamp())
FROM (SELECT key_id, revoked_at FROM api_key WHERE key_id = %(key_id)s FOR UPDATE) AS before
WHERE k.key_id = before.key_id
RETURNING k.key_id, k.name, k.hash, k.scopes, k.author, k.created_at, k.last_used_at, k.revoked_at, before.revoked_at

-- name: touch_keys
-- Remember when each key was last used.
UPDATE api_key SET last_used_at = used.at
FROM unnest(%(key_ids)s::text[], %(moments)s::timestamptz[]) AS used (key_id, at)
WHERE api_key.key_id = used.key_id AND (last_used_at IS NULL OR last_used_at < used.at)
