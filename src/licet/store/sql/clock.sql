-- The clock's hands: one pair of queries for each kind of boundary. A further kind needs its row of clock_position, an
-- index such as license_ends, and its pair. The position stands in subqueries: joined, it would be no bound of the index.

-- name: hold
-- Take the write lock, and no revision yet: what is due may be no longer so.
SELECT FROM revision FOR UPDATE

-- name: next_license_start
-- Return in how many seconds the next start passes; below zero it has.
SELECT extract(epoch FROM l.starts_at - clock_timestamp())::float8
FROM license l
WHERE upper_inf(l.valid) AND upper_inf(l.recorded) AND l.status = 'active' AND l.starts_at IS NOT NULL
  AND (l.starts_at, l.row_id) > ((SELECT at FROM clock_position WHERE kind = 'license' AND boundary = 'start'),
                                (SELECT row_id FROM clock_position WHERE kind = 'license' AND boundary = 'start'))
ORDER BY l.starts_at, l.row_id LIMIT 1

-- name: next_license_end
-- Return in how many seconds the next end passes; below zero it has.
SELECT extract(epoch FROM l.ends_at - clock_timestamp())::float8
FROM license l
WHERE upper_inf(l.valid) AND upper_inf(l.recorded) AND l.status = 'active' AND l.ends_at IS NOT NULL
  AND (l.ends_at, l.row_id) > ((SELECT at FROM clock_position WHERE kind = 'license' AND boundary = 'end'),
                                (SELECT row_id FROM clock_position WHERE kind = 'license' AND boundary = 'end'))
ORDER BY l.ends_at, l.row_id LIMIT 1

-- name: due_license_start
-- Under the lock: return the starts that passed and were not looked at, each with whether time made it. Time did where
-- the license stood with this start at that very moment; a change that came later and told of it is its own cause.
SELECT l.starts_at, l.row_id, l.license_id, l.customer_id, EXISTS (
    SELECT FROM license k
    JOIN revision_log began ON began.revision = lower(k.recorded)
    LEFT JOIN revision_log ended ON ended.revision = upper(k.recorded)
    WHERE k.customer_id = l.customer_id AND k.sku = l.sku AND k.license_id = l.license_id AND k.status = 'active'
      AND upper_inf(k.valid) AND k.starts_at = l.starts_at AND began.recorded_at < l.starts_at
      AND (ended.recorded_at >= l.starts_at OR upper_inf(k.recorded)))
FROM license l
WHERE upper_inf(l.valid) AND upper_inf(l.recorded) AND l.status = 'active' AND l.starts_at IS NOT NULL
  AND (l.starts_at, l.row_id) > ((SELECT at FROM clock_position WHERE kind = 'license' AND boundary = 'start'),
                                (SELECT row_id FROM clock_position WHERE kind = 'license' AND boundary = 'start'))
  AND l.starts_at <= clock_timestamp()
ORDER BY l.starts_at, l.row_id LIMIT %(limit)s

-- name: due_license_end
-- The same of ends.
SELECT l.ends_at, l.row_id, l.license_id, l.customer_id, EXISTS (
    SELECT FROM license k
    JOIN revision_log began ON began.revision = lower(k.recorded)
    LEFT JOIN revision_log ended ON ended.revision = upper(k.recorded)
    WHERE k.customer_id = l.customer_id AND k.sku = l.sku AND k.license_id = l.license_id AND k.status = 'active'
      AND upper_inf(k.valid) AND k.ends_at = l.ends_at AND began.recorded_at < l.ends_at
      AND (ended.recorded_at >= l.ends_at OR upper_inf(k.recorded)))
FROM license l
WHERE upper_inf(l.valid) AND upper_inf(l.recorded) AND l.status = 'active' AND l.ends_at IS NOT NULL
  AND (l.ends_at, l.row_id) > ((SELECT at FROM clock_position WHERE kind = 'license' AND boundary = 'end'),
                                (SELECT row_id FROM clock_position WHERE kind = 'license' AND boundary = 'end'))
  AND l.ends_at <= clock_timestamp()
ORDER BY l.ends_at, l.row_id LIMIT %(limit)s

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
