-- The clock's hands: a query for each kind of what has a start or an end. "at" is the column that says it, "boundary" is
-- which, "until" and "limit" how far to look. A further kind needs its row of clock_position, an index such as
-- license_ends, and its query. The position stands in subqueries: joined, it would be no bound of the index.

-- name: hold
-- Take the write lock, and no revision yet: what is due may be no longer so.
SELECT FROM revision FOR UPDATE

-- name: license
-- Return boundaries up to a moment that were not looked at: in how many seconds each passes (below zero it has), and
-- whether time makes it. Time does where the license stood with this start (or end) at that very moment; a change that
-- came later and told of it is its own cause. What is due is asked for under the lock.
SELECT extract(epoch FROM l.{at} - clock_timestamp())::float8, l.{at}, l.row_id, l.license_id, l.customer_id, EXISTS (
    SELECT FROM license k
    JOIN revision_log began ON began.revision = lower(k.recorded)
    LEFT JOIN revision_log ended ON ended.revision = upper(k.recorded)
    WHERE k.customer_id = l.customer_id AND k.sku = l.sku AND k.license_id = l.license_id AND k.status = 'active'
      AND upper_inf(k.valid) AND k.{at} = l.{at} AND began.recorded_at < l.{at}
      AND (ended.recorded_at >= l.{at} OR upper_inf(k.recorded)))
FROM license l
WHERE upper_inf(l.valid) AND upper_inf(l.recorded) AND l.status = 'active' AND l.{at} IS NOT NULL
  AND (l.{at}, l.row_id) > ((SELECT at FROM clock_position WHERE kind = 'license' AND boundary = {boundary}),
                            (SELECT row_id FROM clock_position WHERE kind = 'license' AND boundary = {boundary}))
  AND l.{at} <= {until}
ORDER BY l.{at}, l.row_id LIMIT {limit}

-- name: override
-- The same of overrides, of whatever kind and effect. One that was ended or replaced is no longer current. One that began as it was made has no start by time.
SELECT extract(epoch FROM o.{at} - clock_timestamp())::float8, o.{at}, o.row_id, o.override_id, o.customer_id, EXISTS (
    SELECT FROM override k
    JOIN revision_log began ON began.revision = lower(k.recorded)
    LEFT JOIN revision_log ended ON ended.revision = upper(k.recorded)
    WHERE k.override_id = o.override_id AND k.customer_id = o.customer_id AND upper_inf(k.valid)
      AND k.{at} = o.{at} AND began.recorded_at < o.{at}
      AND (ended.recorded_at >= o.{at} OR upper_inf(k.recorded)))
FROM override o
WHERE upper_inf(o.valid) AND upper_inf(o.recorded)
  AND (o.{at}, o.row_id) > ((SELECT at FROM clock_position WHERE kind = 'override' AND boundary = {boundary}),
                            (SELECT row_id FROM clock_position WHERE kind = 'override' AND boundary = {boundary}))
  AND o.{at} <= {until}
ORDER BY o.{at}, o.row_id LIMIT {limit}

-- name: grace
-- The same of ends of graces, of each SKU as long as the current catalog says: so the index is walked SKU by SKU. Time
-- makes one where the license ended so, and the catalog said so, at that very moment, and both still do. A catalog that
-- shortens what is under way is its own cause.
SELECT extract(epoch FROM d.at - clock_timestamp())::float8, d.at, d.row_id, d.license_id, d.customer_id, EXISTS (
    SELECT FROM license k
    JOIN revision_log began ON began.revision = lower(k.recorded)
    LEFT JOIN revision_log ended ON ended.revision = upper(k.recorded)
    WHERE k.customer_id = d.customer_id AND k.sku = d.sku AND k.license_id = d.license_id AND upper_inf(k.valid)
      AND grace_from(k.status, k.starts_at, k.ends_at, k.valid) = d.begun AND began.recorded_at < d.at
      AND (ended.recorded_at >= d.at OR upper_inf(k.recorded)))
  AND EXISTS (SELECT FROM license_open o WHERE o.customer_id = d.customer_id AND o.row_id = d.row_id AND o.told <> 'void')
  AND fate(d.customer_id, d.at, (SELECT revision FROM revision)) = 'living'
  AND d.days = (
    SELECT coalesce(max(was.grace_days), 0) FROM sku was
    WHERE was.sku = d.sku AND was.catalog_version = (SELECT max(version) FROM catalog_version WHERE lower(valid) <= d.at))
FROM (
    SELECT each.* FROM sku s JOIN catalog_version v ON v.version = s.catalog_version AND upper_inf(v.recorded)
    CROSS JOIN LATERAL (
        SELECT grace_from(l.status, l.starts_at, l.ends_at, l.valid) + make_interval(hours => 24 * s.grace_days) AS at,
               grace_from(l.status, l.starts_at, l.ends_at, l.valid) AS begun, s.grace_days AS days,
               l.row_id, l.license_id, l.customer_id, l.sku
        FROM license l
        WHERE l.sku = s.sku AND upper_inf(l.valid) AND upper_inf(l.recorded)
          AND grace_from(l.status, l.starts_at, l.ends_at, l.valid) IS NOT NULL
          AND (grace_from(l.status, l.starts_at, l.ends_at, l.valid), l.row_id)
              > ((SELECT at FROM clock_position WHERE kind = 'grace') - make_interval(hours => 24 * s.grace_days),
                 (SELECT row_id FROM clock_position WHERE kind = 'grace'))
          AND grace_from(l.status, l.starts_at, l.ends_at, l.valid)
              <= {until} - make_interval(hours => 24 * s.grace_days)
        ORDER BY l.sku, grace_from(l.status, l.starts_at, l.ends_at, l.valid), l.row_id LIMIT {limit}
    ) AS each
    WHERE s.grace_days > 0
    ORDER BY each.at, each.row_id LIMIT {limit}
) AS d
ORDER BY d.at, d.row_id

-- name: write
-- Keep what time made, once each, and say in the feed whom it touched.
WITH written AS (
    INSERT INTO time_event (kind, id, boundary, at, customer_id, revision)
    SELECT %(kind)s, id, %(boundary)s, at, customer_id, %(revision)s
    FROM unnest(%(ids)s::uuid[], %(ats)s::timestamptz[], %(customers)s::text[]) AS due (id, at, customer_id)
    ON CONFLICT DO NOTHING RETURNING customer_id
)
INSERT INTO change_feed (revision, kind, subject) SELECT DISTINCT %(revision)s::bigint, 'customer', customer_id FROM written

-- name: move
-- Remember the last boundary looked at.
UPDATE clock_position SET at = %(at)s, row_id = %(row_id)s WHERE kind = %(kind)s AND boundary = %(boundary)s
