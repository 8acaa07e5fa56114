-- "at" is the moment of a question: a revision (what the store believed) and a time (what was true). Its as_of is null
-- where the question's time is not before the revision's own: then the rows recorded last count, whatever any clock
-- said, as in a check without a time. "clock" is what starts and ends of licenses are held against.

-- name: held
-- Return whom a question is about at a moment, and all that a decision reads of them, as JSON.
WITH known AS MATERIALIZED (
    SELECT revision AS head, coalesce(
        %(revision)s::bigint,
        CASE WHEN %(known_at)s::timestamptz IS NULL THEN revision ELSE coalesce(
            (SELECT l.revision FROM revision_log l WHERE l.recorded_at <= %(known_at)s::timestamptz
             ORDER BY l.recorded_at DESC, l.revision DESC LIMIT 1), 0) END) AS revision
    FROM revision
), at AS MATERIALIZED (
    SELECT known.head, known.revision, l.recorded_at,
           CASE WHEN %(as_of)s::timestamptz < l.recorded_at THEN %(as_of)s::timestamptz END AS as_of,
           coalesce(%(as_of)s::timestamptz, %(known_at)s::timestamptz,
                    CASE WHEN %(revision)s::bigint IS NOT NULL THEN l.recorded_at END, %(now)s::timestamptz) AS clock
    FROM known LEFT JOIN LATERAL (
        SELECT recorded_at FROM revision_log WHERE revision_log.revision <= known.revision
        ORDER BY revision_log.revision DESC LIMIT 1
    ) l ON true
), named AS MATERIALIZED (
    SELECT c.customer_id FROM at, customer c
    WHERE c.customer_id = CASE WHEN %(alias)s::text IS NULL THEN %(customer_id)s::text ELSE (
        SELECT a.customer_id FROM customer_alias a
        WHERE a.alias = %(alias)s::text AND stood(a.valid, a.recorded, at.as_of, at.revision)
        ORDER BY lower(a.valid) DESC LIMIT 1) END
      AND (SELECT d.revision FROM delivery d WHERE d.sequence = c.first_delivery) <= at.revision
      AND fate(c.customer_id, at.as_of, at.revision) <> 'erased'
), member AS MATERIALIZED (
    SELECT DISTINCT m.customer_id FROM at, user_membership m
    WHERE m.user_id = %(user)s::text AND stood(m.valid, m.recorded, at.as_of, at.revision)
), belongs AS MATERIALIZED (
    SELECT customer_id FROM named WHERE %(user)s::text IS NULL
    UNION ALL SELECT customer_id FROM member
    UNION ALL SELECT DISTINCT d.customer_id FROM at, customer_domain d
    WHERE d.domain = %(domain)s::text AND stood(d.valid, d.recorded, at.as_of, at.revision)
      AND NOT EXISTS (SELECT FROM member)
)
SELECT json_build_object(
    'head', at.head, 'revision', at.revision, 'recorded_at', at.recorded_at, 'as_of', at.as_of, 'clock', at.clock,
    'catalog_version', coalesce(
        (SELECT version FROM catalog_version v
         WHERE lower(v.recorded) <= at.revision AND (at.as_of IS NULL OR lower(v.valid) <= at.as_of)
         ORDER BY version DESC LIMIT 1),
        (SELECT min(version) FROM catalog_version)),
    'named', (SELECT customer_id FROM named),
    'belongs', EXISTS (SELECT FROM belongs),
    'customers', (
        SELECT coalesce(json_agg(json_build_object(
            'customer_id', b.customer_id,
            'licenses', (
                SELECT coalesce(json_agg(json_build_object(
                    'row', row_id, 'license_id', license_id, 'sku', sku, 'status', status, 'starts_at', starts_at,
                    'ends_at', ends_at, 'quantity', quantity, 'valid_from', lower(valid), 'valid_to', upper(valid),
                    'recorded_from', lower(recorded), 'recorded_to', upper(recorded),
                    'opened_by_delivery', opened_delivery, 'opened_by_catalog', opened_catalog,
                    'closed_by_delivery', closed_delivery, 'closed_by_catalog', closed_catalog,
                    -- As of license_open.told: whether grace may follow.
                    'lapsed', status <> 'ended' OR (
                        fate(l.customer_id, at.as_of, at.revision) = 'living' AND EXISTS (
                            SELECT FROM license before
                            WHERE before.customer_id = l.customer_id AND before.sku = l.sku
                              AND before.recorded @> at.revision AND upper(before.valid) = lower(l.valid)
                              AND before.status = 'active'))) ORDER BY sku), '[]')
                FROM license l WHERE l.customer_id = b.customer_id AND stood(valid, recorded, at.as_of, at.revision)),
            'overrides', (
                SELECT coalesce(json_agg(json_build_object(
                    'override_id', override_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind,
                    'value', value, 'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author,
                    'since', lower(valid)) ORDER BY row_id), '[]')
                FROM override o WHERE o.customer_id = b.customer_id AND stood(valid, recorded, at.as_of, at.revision))
            ) ORDER BY b.customer_id), '[]')
        FROM belongs b
        WHERE num_nonnulls(%(alias)s::text, %(customer_id)s::text) = 0
           OR b.customer_id = (SELECT customer_id FROM named))
)::text FROM at

-- name: names
-- Return what a customer was called at a moment, and its users, as JSON.
SELECT json_build_object(
    'aliases', (
        SELECT coalesce(json_agg(json_build_object(
            'name', alias, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY alias), '[]')
        FROM customer_alias WHERE customer_id = %(customer_id)s AND stood(valid, recorded, %(as_of)s, %(revision)s)),
    'domains', (
        SELECT coalesce(json_agg(json_build_object(
            'name', domain, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY domain), '[]')
        FROM customer_domain WHERE customer_id = %(customer_id)s AND stood(valid, recorded, %(as_of)s, %(revision)s)),
    'users', (
        SELECT coalesce(json_agg(json_build_object(
            'name', user_id, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY user_id), '[]')
        FROM (SELECT * FROM user_membership
              WHERE customer_id = %(customer_id)s AND stood(valid, recorded, %(as_of)s, %(revision)s)
              ORDER BY user_id LIMIT 100) AS first),
    'user_count', (
        SELECT count(*) FROM user_membership
        WHERE customer_id = %(customer_id)s AND stood(valid, recorded, %(as_of)s, %(revision)s))
)::text

-- name: lineage
-- Return what stands behind an answer about a customer, as JSON. The delivery is the one that opened the license; where
-- a catalog version did, or no license is there, the one that wrote the flag last (told by the record, while it was not
-- written since, else by the payloads); else the last one that changed the customer; else the last one of any outcome.
SELECT json_build_object(
    'record', (
        SELECT json_build_object('id', customer_id, 'name', name, 'account_manager', account_manager,
                                 'sales_engineer', sales_engineer, 'deleted', deleted)
        FROM customer WHERE customer_id = asked.customer_id),
    'catalog', (
        SELECT json_build_object('version', version, 'author', author, 'applied_at', lower(valid),
                                 'revision', lower(recorded))
        FROM catalog_version WHERE version = %(catalog)s::int),
    'delivery', (
        SELECT json_build_object(
            'event_id', d.event_id, 'source', d.source, 'log', d.log, 'partition', d.partition, 'offset', d."offset",
            'sequence', d.sequence, 'revision', d.revision, 'received_at', d.received_at,
            'source_time', d.source_time, 'recorded_at', r.recorded_at, 'outcome', d.outcome, 'reason', d.reason,
            'rule', d.rule, 'fields', CASE WHEN d.outcome <> 'dead' THEN convert_from(d.payload, 'UTF8')::json END)
        FROM delivery d LEFT JOIN revision_log r USING (revision)
        WHERE d.sequence = coalesce(
            %(delivery)s::bigint,
            (SELECT w.sequence FROM customer c JOIN delivery w ON w.sequence = (c.fields -> %(flag)s::text ->> 1)::bigint
             WHERE c.customer_id = asked.customer_id AND w.revision <= asked.revision),
            (SELECT w.sequence FROM delivery w
             WHERE w.customer_id = asked.customer_id AND w.revision <= asked.revision AND %(flag)s::text IS NOT NULL
               AND CASE WHEN w.outcome = 'applied' AND w.payload IS NOT NULL
                   THEN convert_from(w.payload, 'UTF8')::json ->> %(flag)s::text IN ('true', 'false') ELSE false END
             ORDER BY w.revision DESC, w.sequence DESC LIMIT 1),
            (SELECT w.sequence FROM delivery w
             WHERE w.customer_id = asked.customer_id AND w.revision <= asked.revision AND w.outcome = 'applied'
             ORDER BY w.revision DESC, w.sequence DESC LIMIT 1),
            (SELECT w.sequence FROM delivery w
             WHERE w.customer_id = asked.customer_id AND w.revision <= asked.revision
             ORDER BY w.revision DESC, w.sequence DESC LIMIT 1)))
)::text
FROM (SELECT %(customer_id)s::text AS customer_id, %(revision)s::bigint AS revision) AS asked

-- name: timeline
-- Return what happened to a customer, newest first by (revision, kind, id), from beyond the place given, as JSON. A row
-- is an event where nothing before it had its start in valid time; its copy, cut in valid, is the end of a name or of an
-- override, and for a license only the other side of the row that follows. A catalog version is an event where it
-- changed what the SKUs that the customer has had until then grant.
WITH has AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY sku, lower(valid) ORDER BY row_id) = 1 AS opens
    FROM license WHERE customer_id = %(customer_id)s
), stated AS (
    SELECT lower(recorded) AS revision, row_id, sku, opened_delivery, opened_catalog,
           json_build_object('license_id', license_id, 'sku', sku, 'status', status, 'starts_at', starts_at,
                             'ends_at', ends_at, 'quantity', quantity, 'valid_from', lower(valid)) AS state
    FROM has WHERE opens
), excepted AS (
    SELECT *, row_number() OVER (PARTITION BY override_id, lower(valid) ORDER BY row_id) = 1 AS opens,
           json_build_object('override_id', override_id, 'sku', sku, 'feature', feature, 'effect', effect,
                             'kind', kind, 'value', value, 'starts_at', starts_at, 'ends_at', ends_at,
                             'reason', reason) AS state
    FROM override WHERE customer_id = %(customer_id)s AND NOT isempty(recorded)
), called AS (
    SELECT 'membership' AS kind, user_id AS name, origin, author, valid, recorded FROM user_membership
    WHERE customer_id = %(customer_id)s
    UNION ALL SELECT 'domain', domain, origin, author, valid, recorded FROM customer_domain
    WHERE customer_id = %(customer_id)s
    UNION ALL SELECT 'alias', alias, origin, author, valid, recorded FROM customer_alias
    WHERE customer_id = %(customer_id)s
), granted AS (
    SELECT v.version, lower(v.recorded) AS revision, v.author, (
        SELECT json_agg(json_build_object('sku', g.sku, 'feature', g.feature, 'value', g.value)
                        ORDER BY g.sku, g.feature)
        FROM sku_feature g WHERE g.catalog_version = side.version AND g.sku IN (
            SELECT sku FROM has WHERE lower(has.recorded) <= lower(v.recorded))) AS state, side.after
    FROM catalog_version v CROSS JOIN LATERAL (
        VALUES (v.version, true),
               ((SELECT max(version) FROM catalog_version earlier WHERE earlier.version < v.version), false)
    ) AS side (version, after)
), event AS (
    (SELECT d.revision, 'delivery' AS kind, lpad(d.sequence::text, 19, '0') AS id, NULL::json AS before,
            json_build_object('outcome', d.outcome, 'reason', d.reason, 'rule', d.rule) AS after, d.source AS author,
            json_build_object('event_id', d.event_id, 'log', d.log, 'partition', d.partition, 'offset', d."offset",
                              'received_at', d.received_at, 'source_time', d.source_time,
                              'replay_of', d.replay_of) AS cause
     FROM delivery d
     WHERE d.customer_id = %(customer_id)s
       AND d.revision <= coalesce(%(revision)s::bigint, 9223372036854775807)
       AND (%(revision)s::bigint IS NULL OR (d.revision, 'delivery', lpad(d.sequence::text, 19, '0') COLLATE "C")
            < (%(revision)s::bigint, %(kind)s::text COLLATE "C", %(id)s::text COLLATE "C"))
     ORDER BY d.revision DESC, d.sequence DESC LIMIT %(limit)s)
    UNION ALL
    SELECT s.revision, 'license', lpad(row_id::text, 19, '0'), lag(state) OVER (PARTITION BY sku ORDER BY row_id),
           state, coalesce(d.source, v.author),
           json_build_object('delivery', opened_delivery, 'event_id', d.event_id, 'catalog_version', opened_catalog)
    FROM stated s LEFT JOIN delivery d ON d.sequence = s.opened_delivery
    LEFT JOIN catalog_version v ON v.version = s.opened_catalog
    UNION ALL
    SELECT lower(recorded), 'override', lpad(row_id::text, 19, '0'),
           CASE WHEN opens THEN lag(state) OVER (PARTITION BY override_id, opens ORDER BY row_id) ELSE state END,
           CASE WHEN opens THEN state END, CASE WHEN opens THEN author ELSE ended_by END,
           json_build_object('reason', CASE WHEN opens THEN reason ELSE end_reason END)
    FROM excepted WHERE opens OR ended_by IS NOT NULL
    UNION ALL
    SELECT lower(recorded), kind, name || CASE WHEN upper_inf(valid) THEN ' +' ELSE ' -' END,
           CASE WHEN NOT upper_inf(valid) THEN json_build_object('name', name, 'since', lower(valid)) END,
           CASE WHEN upper_inf(valid) THEN json_build_object('name', name, 'since', lower(valid)) END,
           author, json_build_object('origin', origin)
    FROM called WHERE NOT isempty(recorded)
    UNION ALL
    SELECT news.revision, 'catalog', lpad(news.version::text, 19, '0'), old.state, news.state, news.author,
           json_build_object('catalog_version', news.version)
    FROM granted news JOIN granted old USING (version)
    WHERE news.after AND NOT old.after AND old.state::text IS DISTINCT FROM news.state::text
    UNION ALL
    SELECT revision, 'time', kind || ' ' || id || ' ' || boundary || ' ' || at,
           json_build_object(of, id, 'state', CASE WHEN kind = 'grace' THEN 'grace' WHEN boundary = 'start'
                                                  THEN 'not_yet_valid' ELSE 'active' END),
           json_build_object(of, id, 'state', CASE boundary WHEN 'start' THEN 'active' ELSE 'expired' END),
           NULL, json_build_object('boundary', boundary, 'at', at)
    FROM time_event, LATERAL (SELECT CASE kind WHEN 'override' THEN 'override_id' ELSE 'license_id' END AS of) AS named
    WHERE customer_id = %(customer_id)s
)
SELECT coalesce(json_agg(json_build_object(
    'at', recorded_at, 'revision', revision, 'kind', kind, 'id', id, 'before', before, 'after', after,
    'author', author, 'cause', cause)
    ORDER BY revision DESC, kind COLLATE "C" DESC, id COLLATE "C" DESC), '[]')::text
FROM (
    SELECT event.*, r.recorded_at FROM event LEFT JOIN revision_log r USING (revision)
    WHERE %(revision)s::bigint IS NULL OR (event.revision, event.kind COLLATE "C", event.id COLLATE "C")
        < (%(revision)s::bigint, %(kind)s::text COLLATE "C", %(id)s::text COLLATE "C")
    ORDER BY event.revision DESC, event.kind COLLATE "C" DESC, event.id COLLATE "C" DESC LIMIT %(limit)s
) AS page
