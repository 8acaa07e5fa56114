-- The outbox: change_feed followed by revision, each state read as it was believed at its revision.

-- name: ready
-- Prepare the session. One that is paused or cut off loses its lock after 8 s; the first step after a long silence walks
-- over all deliveries of it.
SET idle_session_timeout = 8000; SET statement_timeout = 60000; SET enable_seqscan = off

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

-- name: read
-- Return each touch of a step: its position, time and customer, whether that was erased then or since; the last delivery
-- of the step; what made the touch, and the first boundary where time did; the catalog's version, and the one to hold the
-- state before against; what was believed just before the revision and at it: the open row of each SKU, the overrides and
-- the aliases.
WITH last AS MATERIALIZED (
    SELECT coalesce((SELECT sequence - 1 FROM delivery WHERE sequence > %(sequence)s AND revision > %(upto)s
                     ORDER BY sequence LIMIT 1), (SELECT sequence FROM revision)) AS sequence
), applied AS MATERIALIZED (
    SELECT customer_id, revision, json_agg(json_build_object(
        'event_id', event_id, 'source', source, 'source_time', source_time, 'received_at', received_at
        ) ORDER BY sequence) AS list
    FROM delivery WHERE sequence > %(sequence)s AND sequence <= (SELECT sequence FROM last) AND outcome = 'applied'
    GROUP BY customer_id, revision
)
SELECT l.epoch, f.revision, l.tag, l.recorded_at, f.subject,
       c.customer_id IS NULL OR fate(f.subject, NULL, f.revision) = 'erased' OR EXISTS (
           SELECT FROM customer_fate later
           WHERE later.customer_id = f.subject AND later.revision > f.revision AND later.fate = 'erased'),
       (SELECT sequence FROM last),
       CASE WHEN passed.list IS NOT NULL THEN json_build_object('kind', 'time', 'boundaries', passed.list)
            WHEN applied.list IS NOT NULL THEN json_build_object('kind', 'delivery', 'deliveries', applied.list)
            WHEN opened.version IS NOT NULL THEN json_build_object('kind', 'catalog', 'version', opened.version)
            WHEN excepted.list IS NOT NULL
            THEN json_build_object('kind', 'override', 'author', excepted.author, 'overrides', excepted.list)
            WHEN person.author IS NOT NULL THEN json_build_object('kind', 'person', 'author', person.author)
            ELSE '{"kind": "other"}' END::text,
       passed.first, catalog.version,
       CASE WHEN applied.list IS NULL AND opened.version IS NOT NULL THEN catalog.version - 1 ELSE catalog.version END,
       believed.states
FROM change_feed f JOIN revision_log l USING (revision)
LEFT JOIN customer c ON c.customer_id = f.subject
LEFT JOIN applied ON applied.customer_id = f.subject AND applied.revision = f.revision
CROSS JOIN LATERAL (
    SELECT min(at) AS first, json_agg(json_build_object('kind', kind, 'id', id, 'boundary', boundary, 'at', at)
                                      ORDER BY at, kind, id, boundary) AS list
    FROM time_event t WHERE t.customer_id = f.subject AND t.revision = f.revision
) AS passed
CROSS JOIN LATERAL (
    SELECT max(opened_catalog) AS version FROM license
    WHERE customer_id = f.subject AND lower(recorded) = f.revision AND upper_inf(valid)
) AS opened
CROSS JOIN LATERAL (
    -- Who ended it, or made what stands now: maybe at another customer.
    SELECT max(coalesce(o.ended_by, made.author)) AS author, json_agg(DISTINCT o.override_id) AS list
    FROM override o LEFT JOIN override made
        ON made.override_id = o.override_id AND lower(made.recorded) = f.revision AND upper_inf(made.valid)
    WHERE o.customer_id = f.subject AND lower(o.recorded) = f.revision
) AS excepted
CROSS JOIN LATERAL (
    SELECT max(author) AS author FROM customer_alias
    WHERE customer_id = f.subject AND lower(recorded) = f.revision AND origin = 'person'
) AS person
CROSS JOIN LATERAL (SELECT max(version) AS version FROM catalog_version WHERE lower(recorded) <= f.revision) AS catalog
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_object(
        'licenses', (
            SELECT coalesce(json_agg(json_build_object(
                'sku', sku, 'license_id', license_id, 'status', status, 'starts_at', starts_at, 'ends_at', ends_at,
                'quantity', quantity, 'since', lower(valid), 'lapsed', status <> 'ended' OR (
                    fate(f.subject, NULL, r.revision) = 'living' AND EXISTS (
                        SELECT FROM license b
                        WHERE b.customer_id = f.subject AND b.sku = l.sku AND b.recorded @> r.revision
                          AND upper(b.valid) = lower(l.valid) AND b.status = 'active'))) ORDER BY sku), '[]')
            FROM license l WHERE customer_id = f.subject AND upper_inf(valid) AND recorded @> r.revision),
        'overrides', (
            SELECT coalesce(json_agg(json_build_object(
                'override_id', override_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind,
                'value', value, 'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author,
                'since', lower(valid)) ORDER BY override_id), '[]')
            FROM override WHERE customer_id = f.subject AND upper_inf(valid) AND recorded @> r.revision),
        'aliases', (
            SELECT coalesce(json_agg(alias ORDER BY alias), '[]')
            FROM customer_alias WHERE customer_id = f.subject AND upper_inf(valid) AND recorded @> r.revision)
        ) ORDER BY r.revision)::text AS states
    FROM (VALUES (f.revision - 1), (f.revision)) AS r (revision)
) AS believed
WHERE f.kind = 'customer' AND f.revision > %(after)s AND f.revision <= %(upto)s
ORDER BY f.revision, f.subject

-- name: catalogs
-- Return the catalog's versions that are not known yet.
SELECT version, document FROM catalog_version WHERE version > %(known)s ORDER BY version

-- name: move
-- Remember what the topic has, where it stands as it stood when the step was read.
INSERT INTO publish_position AS p (topic, epoch, revision, sequence) VALUES (%(topic)s, %(epoch)s, %(upto)s, %(sequence)s)
ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision, sequence = excluded.sequence
WHERE p.epoch <> excluded.epoch OR p.revision = %(after)s
