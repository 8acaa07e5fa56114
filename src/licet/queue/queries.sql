-- name: log_id
-- The identity of this log; a database made anew is another log.
SELECT log_id FROM queue_log;

-- name: durable
-- An operator may have switched synchronous commits off for all; an acknowledgement must not be lost in a crash.
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';

-- name: pass_gate
-- For the log that is the spool of an outage: fails unless the spool is open, and keeps it open to the commit.
SELECT spool_gate(%(opening)s);

-- name: lock_partitions
-- Locks partitions, always in ascending order so that no two appenders wait for each other. Held to the commit: so
-- offsets rise in commit order, and a reader that goes by offset can never pass one that commits late.
SELECT partition, next_offset FROM queue_partition WHERE partition = ANY(%(partitions)b) ORDER BY partition FOR UPDATE;

-- name: insert_records
-- Writes a group of messages behind the offsets that lock_partitions holds; rank counts from 0 in each partition.
INSERT INTO queue_record (partition, "offset", key, value, headers, appended_at)
SELECT partition, next_offset + rank, key, value, headers, clock_timestamp()
FROM unnest(%(partitions)b::int[], %(ranks)b::int[], %(keys)b::bytea[], %(values)b::bytea[], %(headers)b::bytea[])
     AS added (partition, rank, key, value, headers)
JOIN queue_partition USING (partition);

-- name: move_partitions
-- Moves the partitions behind the group and wakes the readers once it is committed.
WITH moved AS (
    UPDATE queue_partition SET next_offset = next_offset + count
    FROM unnest(%(partitions)b::int[], %(counts)b::int[]) AS added (partition, count)
    WHERE queue_partition.partition = added.partition
)
SELECT pg_notify('licet_queue', '');

-- name: listen
-- Hears of appends.
LISTEN licet_queue;

-- name: join
-- Becomes one of the readers that share the partitions.
SELECT pg_advisory_lock_shared(%(lock_class)s, %(members)s);

-- name: limit_silence
-- A reader that is cut off or paused loses its session, and with it its partitions, after about 10 s.
SELECT set_config('idle_session_timeout', '10s', false), set_config('tcp_keepalives_idle', '4', false),
       set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false);

-- name: count_members
-- How many readers share the partitions now.
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = %(lock_class)s AND objid = %(members)s AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: lease
-- Takes partitions that no reader holds, up to a number of them.
SELECT partition FROM unnest(%(partitions)s::int[]) AS wanted (partition)
WHERE pg_try_advisory_lock(%(lock_class)s, partition) LIMIT %(count)s;

-- name: release
-- Gives partitions back.
SELECT pg_advisory_unlock(%(lock_class)s, partition) FROM unnest(%(partitions)s::int[]) AS surplus (partition);

-- name: extents
-- Where each partition starts (the first record kept) and ends (the offset of the next append).
SELECT partition, coalesce((SELECT min("offset") FROM queue_record r WHERE r.partition = p.partition), next_offset),
       next_offset
FROM queue_partition p WHERE partition = ANY(%(partitions)s);

-- name: ends
-- The offset of the next append of each partition: all below it are committed.
SELECT partition, next_offset FROM queue_partition WHERE partition = ANY(%(partitions)s);

-- name: read
-- A range of offsets of each partition. A time that somebody wrote and that no client can hold (infinity) is null.
SELECT r.partition, r."offset", r.key, r.value, r.headers,
       CASE WHEN r.appended_at >= '1900-01-01' AND r.appended_at < '9999-01-01' THEN r.appended_at END
FROM unnest(%(partitions)s::int[], %(starts)s::bigint[], %(stops)s::bigint[]) AS wanted (partition, start, stop)
JOIN queue_record r ON r.partition = wanted.partition AND r."offset" >= wanted.start AND r."offset" < wanted.stop
ORDER BY r.partition, r."offset";

-- name: trim
-- Deletes what the store has applied, a bounded range of each partition at a time.
DELETE FROM queue_record r USING unnest(%(partitions)s::int[], %(starts)s::bigint[], %(stops)s::bigint[])
     AS applied (partition, start, stop)
WHERE r.partition = applied.partition AND r."offset" >= applied.start AND r."offset" < applied.stop;

-- name: count
-- How many records of a range are there.
SELECT count(*) FROM queue_record WHERE partition = %(partition)s AND "offset" >= %(start)s AND "offset" < %(stop)s;
