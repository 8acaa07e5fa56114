-- name: insert_link
-- Keep a link for a time; "digest" is SHA-256 of its token.
INSERT INTO console_link (digest, name, until) VALUES (%(digest)s, %(name)s, clock_timestamp() + %(lasts)s)

-- name: delete_old_links
-- Forget links whose time has passed.
DELETE FROM console_link WHERE until < clock_timestamp()

-- name: take_link
-- Use a link up; returns who comes by it, and whether its time has not passed.
DELETE FROM console_link WHERE digest = %(digest)s RETURNING name, until > clock_timestamp()

-- name: insert_end
-- End the sessions that began before now.
INSERT INTO console_end (whose, subject) VALUES (%(whose)s, %(subject)s)
ON CONFLICT (whose, subject) DO UPDATE SET at = excluded.at

-- name: delete_old_ends
-- Forget ends that no session can have begun before.
DELETE FROM console_end WHERE at < clock_timestamp() - %(lasts)s

-- name: list_ends
-- Return what was ended; no more than people signed out within the length of a session.
SELECT whose, subject, extract(epoch FROM at)::float8 FROM console_end
