-- A hold is an override of kind "brake" that is current and whose time has not passed.

-- name: count_ends
-- Count licenses that end. Returns how many ended within the window before (up to a minute more of it is counted), and
-- how many gave access when it began, where that was counted.
WITH counted AS (
    INSERT INTO brake_minute (minute, ends) VALUES (date_trunc('minute', clock_timestamp()), %(ends)s)
    ON CONFLICT (minute) DO UPDATE SET ends = brake_minute.ends + excluded.ends
), past AS (
    DELETE FROM brake_end WHERE ended_at < clock_timestamp() - %(window)s::interval - %(hold)s::interval
)
SELECT coalesce(sum(ends), 0)::bigint, (array_agg(active ORDER BY minute) FILTER (WHERE active IS NOT NULL))[1]
FROM brake_minute WHERE minute > clock_timestamp() - %(window)s::interval - interval '1 minute'

-- name: patience
-- Give the count of a large table its time: at the writer's own limit the batch would fail for ever.
SET LOCAL statement_timeout = '60s'

-- name: in_order
-- Take rows as the index has them: after a load the planner knows nothing of its 100,000 holds, and would sort them all.
SET LOCAL enable_sort = off

-- name: count_active
-- Count the licenses that give access now, and keep with this minute how many there were before the ends.
UPDATE brake_minute SET active = %(before)s + (
    SELECT count(*) FROM license
    WHERE status = 'active' AND upper_inf(valid) AND upper_inf(recorded)
      AND (starts_at IS NULL OR starts_at <= clock_timestamp()) AND (ends_at IS NULL OR ends_at > clock_timestamp()))
WHERE minute = (SELECT max(minute) FROM brake_minute) RETURNING active

-- name: let_end
-- Remember what ended and is not held.
INSERT INTO brake_end (customer_id, sku, ended_at)
SELECT customer_id, sku, clock_timestamp() FROM json_to_recordset(%(ends)s) AS e (customer_id text, sku text)
ON CONFLICT (customer_id, sku) DO UPDATE SET ended_at = excluded.ended_at

-- name: hold
-- Keep access to what ended. It starts a minute before, for a web process whose clock is behind.
INSERT INTO override (override_id, customer_id, sku, effect, kind, starts_at, ends_at, reason, author, valid, recorded)
SELECT gen_random_uuid(), customer_id, sku, 'grant', 'brake', least(valid_from, now - interval '1 minute'),
       now + %(hold)s::interval, %(reason)s, %(author)s, tstzrange(coalesce(valid_from, now), NULL),
       int8range(%(revision)s, NULL)
FROM json_to_recordset(%(holds)s) AS h (customer_id text, sku text, valid_from timestamptz), clock_timestamp() AS now

-- name: keep
-- Make a person's overrides of the holds of some customers that this revision has ended; their time stays.
INSERT INTO override (override_id, customer_id, sku, effect, kind, starts_at, ends_at, reason, author, valid, recorded)
SELECT override_id, customer_id, sku, effect, 'override', starts_at, ends_at, %(reason)s, %(author)s,
       tstzrange(upper(valid), NULL), recorded
FROM override
WHERE kind = 'brake' AND recorded = int8range(%(revision)s, NULL) AND NOT upper_inf(valid)
  AND customer_id = ANY(%(kept)s::text[])
RETURNING customer_id, override_id::text, json_build_object(
    'override_id', override_id, 'customer', customer_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind,
    'value', value, 'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author,
    'since', lower(valid), 'version', row_id)

-- name: status
-- Tell what is held by SKU, what ended within the window, what gave access when it began (where that was counted), and
-- what gives access now.
SELECT (SELECT coalesce(json_object_agg(sku, holds ORDER BY sku), '{}') FROM (
            SELECT sku, count(*) AS holds FROM override
            WHERE kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded) AND ends_at > clock_timestamp()
            GROUP BY sku) AS by_sku),
       coalesce(sum(ends), 0)::bigint, (array_agg(active ORDER BY minute) FILTER (WHERE active IS NOT NULL))[1],
       (SELECT count(*) FROM license
        WHERE status = 'active' AND upper_inf(valid) AND upper_inf(recorded)
          AND (starts_at IS NULL OR starts_at <= clock_timestamp())
          AND (ends_at IS NULL OR ends_at > clock_timestamp()))
FROM brake_minute WHERE minute > clock_timestamp() - %(window)s::interval - interval '1 minute'

-- name: count_held
-- Count what is held now.
SELECT count(*) FROM override
WHERE kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded) AND ends_at > clock_timestamp()

-- name: held
-- Return what is held, by (customer, SKU), from beyond the one given, perhaps of one customer.
SELECT o.customer_id, o.sku, c.name, lower(o.valid), o.ends_at
FROM override o JOIN customer c USING (customer_id)
WHERE o.kind = 'brake' AND upper_inf(o.valid) AND upper_inf(o.recorded) AND o.ends_at > clock_timestamp()
  AND (o.customer_id, o.sku) > (split_part(%(after)s, ' ', 1), split_part(%(after)s, ' ', 2))
  AND (%(only)s::text IS NULL OR o.customer_id = %(only)s::text)
ORDER BY o.customer_id, o.sku LIMIT %(limit)s

-- name: ended
-- The same of what ended before the brake held: since a window before the first hold that stands, else within the last
-- window. What gives access again, or is held by now, is not told. OFFSET 0: each is looked up by its key.
SELECT e.customer_id, e.sku, c.name, e.ended_at, NULL::timestamptz
FROM brake_end e JOIN customer c USING (customer_id)
WHERE e.ended_at > coalesce((
          SELECT recorded_at FROM revision_log WHERE revision = (
              SELECT min(lower(recorded)) FROM override
              WHERE kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded) AND ends_at > clock_timestamp())
      ), clock_timestamp()) - %(window)s::interval
  AND EXISTS (SELECT FROM license l WHERE l.customer_id = e.customer_id AND l.sku = e.sku AND upper_inf(l.recorded)
              AND coalesce(upper(l.valid), 'infinity') = 'infinity' AND NOT (l.status = 'active'
              AND (l.starts_at IS NULL OR l.starts_at <= clock_timestamp())
              AND (l.ends_at IS NULL OR l.ends_at > clock_timestamp())) OFFSET 0)
  AND NOT EXISTS (SELECT FROM override o WHERE o.customer_id = e.customer_id AND o.sku = e.sku AND o.kind = 'brake'
                  AND upper_inf(o.valid) AND upper_inf(o.recorded) OFFSET 0)
  AND (e.customer_id, e.sku) > (split_part(%(after)s, ' ', 1), split_part(%(after)s, ' ', 2))
ORDER BY e.customer_id, e.sku LIMIT %(limit)s
