-- name: pulse
-- Tell in one row whether changes come through: open dead letters (up to 1000), stopped partitions and why the first
-- stopped, whether the spool is open and what waits in it, how far the log consumed last is behind, and how long ago a
-- worker said or did something.
SELECT (SELECT count(*) FROM (SELECT FROM dead_letter_state WHERE state = 'open' LIMIT 1000) AS l) AS letters,
       stop.count AS stopped, stop.why AS stopped_why, spool.open AS spooling,
       CASE WHEN spool.open THEN (
           SELECT coalesce(sum(next_offset - coalesce(first, next_offset)), 0)::bigint FROM queue_partition p
           CROSS JOIN LATERAL (SELECT min("offset") AS first FROM queue_record r WHERE r.partition = p.partition) AS kept
       ) ELSE 0 END AS spooled,
       extract(epoch FROM clock_timestamp() - told.first)::float8 AS behind_s,
       extract(epoch FROM clock_timestamp() - greatest(told.last, applied.at))::float8 AS silent_s
FROM spool_state AS spool
CROSS JOIN (SELECT count(*), (array_agg(concat(reason, ': ', detail) ORDER BY stopped_at))[1] AS why
            FROM partition_stop) AS stop
CROSS JOIN (SELECT min(caught_up_at) AS first, max(caught_up_at) AS last FROM consumer_progress
            WHERE log = (SELECT log FROM consumer_progress ORDER BY caught_up_at DESC LIMIT 1)) AS told
LEFT JOIN (SELECT recorded_at AS at FROM delivery JOIN revision_log USING (revision)
           WHERE log <> 'people' ORDER BY sequence DESC LIMIT 1) AS applied ON true

-- name: deliveries
-- Return the last deliveries beyond a sequence number, the last first: by the index on it, so many at most.
SELECT d.sequence, r.recorded_at, d.customer_id, c.customer_id IS NOT NULL, c.name, d.outcome, d.reason, d.rule, d.event_id, l.letter
FROM (SELECT * FROM delivery WHERE sequence > %(after)s ORDER BY sequence DESC LIMIT %(limit)s) AS d
LEFT JOIN revision_log r USING (revision)
LEFT JOIN customer c USING (customer_id)
LEFT JOIN dead_letter l ON l.sequence = d.sequence AND l.origin = 'log'
ORDER BY d.sequence DESC
