-- name: read
-- The state, and how many changes wait: each partition's records stand without a gap below its next offset.
SELECT open, opening, since, CASE WHEN open THEN (
    SELECT sum(next_offset - coalesce(first, next_offset))::bigint FROM queue_partition p
    CROSS JOIN LATERAL (SELECT min("offset") AS first FROM queue_record r WHERE r.partition = p.partition) AS kept
) ELSE 0 END
FROM spool_state;

-- name: listen
-- Hears of openings and closings.
LISTEN licet_spool;

-- name: open
-- Opens the spool, unless it is open; at a start, only for what an earlier deployment left in it.
WITH opened AS (
    UPDATE spool_state SET open = true, opening = opening + 1, since = clock_timestamp()
    WHERE NOT open AND (NOT %(leftover)s OR EXISTS (SELECT FROM queue_record)) RETURNING 1
)
SELECT pg_notify('licet_spool', '') FROM opened;

-- name: lead
-- One drainer at a time, for as long as its session lives.
SELECT pg_try_advisory_lock(%(lock_class)s, %(drainer)s);

-- name: spooled
-- The first records of each partition, in order.
SELECT r.partition, r."offset", r.key, r.value, r.headers FROM queue_partition p CROSS JOIN LATERAL (
    SELECT * FROM queue_record r WHERE r.partition = p.partition ORDER BY "offset" LIMIT %(limit)s
) AS r
ORDER BY r.partition, r."offset";

-- name: forget
-- Deletes what Kafka acknowledged: in each partition all below an offset.
DELETE FROM queue_record r USING unnest(%(partitions)s::int[], %(stops)s::bigint[]) AS sent (partition, stop)
WHERE r.partition = sent.partition AND r."offset" < sent.stop;

-- name: hold
-- Waits for the appends under way and keeps out others, to the end of the transaction.
SELECT FROM spool_state WHERE open FOR UPDATE;

-- name: close
-- Closes the spool if it is empty: a statement of its own after the lock, so that it sees what was committed before.
WITH closed AS (
    UPDATE spool_state SET open = false, since = clock_timestamp()
    WHERE open AND NOT EXISTS (SELECT FROM queue_record) RETURNING 1
)
SELECT pg_notify('licet_spool', '') FROM closed;
