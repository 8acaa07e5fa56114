-- The outbox: change_feed followed by revision, each state read as it was believed at its revision.

-- name: ready
-- Prepare the session. One that is paused or cut off loses its lock after 5 s.
SET idle_session_timeout = 5000; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off

-- name: lead
-- Become the one publisher of this database, or stay it.
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
               AND (classid, objid) = (%(lock_class)s, %(publisher)s))
       OR pg_try_advisory_lock(%(lock_class)s, %(publisher)s)

-- name: ahead
-- Return the store's epoch and revision, the revision and delivery that the topic has, the last revision of the next step
-- (so many customers, and all of its last revision), and the age in seconds of the first that is not told.
WITH told AS (
    SELECT r.epoch, r.revision AS head, coalesce(p.revision, 0) AS revision, coalesce(p.sequence, 0) AS sequence
    FROM revision r LEFT JOIN publish_position p ON p.topic = %(topic)s AND p.epoch = r.epoch
), step AS MATERIALIZED (
    SELECT revision FROM change_feed WHERE kind = 'customer' AND revision > (SELECT revision FROM told)
    ORDER BY revision LIMIT %(limit)s
)
SELECT told.epoch, told.head, told.revision, told.sequence,
       CASE WHEN (SELECT count(*) FROM step) < %(limit)s THEN told.head ELSE (SELECT max(revision) FROM step) END,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM revision_log
                 WHERE revision = (SELECT min(revision) FROM step)), 0)
FROM told

-- name: touched
-- Return whom the revisions of a step touched, and whether the customer is no more.
SELECT f.revision, f.subject, l.tag, l.recorded_at, c.customer_id IS NULL
FROM change_feed f JOIN revision_log l USING (revision) LEFT JOIN customer c ON c.customer_id = f.subject
WHERE f.kind = 'customer' AND f.revision > %(after)s AND f.revision <= %(upto)s
ORDER BY f.revision, f.subject

-- name: licenses
-- Return the open row of each SKU as it was believed at any revision of a step, or just before it.
SELECT customer_id, lower(recorded), upper(recorded), sku, license_id, status, starts_at, ends_at, quantity, lower(valid),
       opened_catalog
FROM license
WHERE customer_id = ANY(%(customer_ids)s) AND upper_inf(valid) AND recorded && int8range(%(after)s, %(upto)s, '[]')

-- name: aliases
-- Return the aliases of the same revisions; those with an end say who took them.
SELECT customer_id, lower(recorded), upper(recorded), alias, upper_inf(valid), origin, author
FROM customer_alias
WHERE customer_id = ANY(%(customer_ids)s) AND recorded && int8range(%(after)s, %(upto)s, '[]')

-- name: last_sequence
-- Return the last delivery of a step: that before the first of a later revision.
SELECT coalesce((SELECT sequence - 1 FROM delivery WHERE sequence > %(sequence)s AND revision > %(upto)s
                 ORDER BY sequence LIMIT 1), (SELECT sequence FROM revision))

-- name: deliveries
-- Return the changes that a step applied.
SELECT customer_id, revision, event_id, source, source_time, received_at FROM delivery
WHERE sequence > %(sequence)s AND sequence <= %(last)s AND outcome = 'applied' ORDER BY sequence

-- name: moments
-- Return what time made in a step.
SELECT customer_id, revision, kind, id, boundary, at FROM time_event
WHERE customer_id = ANY(%(customer_ids)s) AND revision > %(after)s AND revision <= %(upto)s ORDER BY at, kind, id, boundary

-- name: catalogs
-- Return the catalog's versions that are not known yet, with the revision that each began at.
SELECT version, document, lower(recorded) FROM catalog_version WHERE version > %(known)s ORDER BY version

-- name: move
-- Remember what the topic has, where it stands as it stood when the step was read.
INSERT INTO publish_position AS p (topic, epoch, revision, sequence) VALUES (%(topic)s, %(epoch)s, %(upto)s, %(last)s)
ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision, sequence = excluded.sequence
WHERE p.epoch <> excluded.epoch OR p.revision = %(after)s
