-- name: stops
-- Return the stopped partitions, the one that stopped first first.
SELECT log, partition, reason, detail, next_offset, stopped_at FROM partition_stop ORDER BY stopped_at, log, partition

-- name: lift
-- Take the stop of a partition away; returns it.
DELETE FROM partition_stop WHERE log = %(log)s AND partition = %(partition)s
RETURNING log, partition, reason, detail, next_offset, stopped_at

-- name: decide
-- Keep who decided what.
INSERT INTO partition_decision (log, partition, action, reason, detail, stopped_at, from_offset, next_offset, author)
VALUES (%(log)s, %(partition)s, %(action)s, %(reason)s, %(detail)s, %(stopped_at)s, %(from_offset)s, %(next_offset)s,
        %(author)s)
RETURNING decision_id

-- name: set_aside
-- What the ledger has of offsets that the log will give to other records goes on under a name of its own.
UPDATE delivery SET log = log || '~' || %(decision)s
WHERE log = %(log)s AND partition = %(partition)s AND "offset" >= %(next_offset)s

-- name: set_aside_offset
-- Close the account of what was set aside.
INSERT INTO consumer_offset (log, partition, next_offset)
SELECT log || '~' || %(decision)s, partition, next_offset FROM consumer_offset
WHERE log = %(log)s AND partition = %(partition)s

-- name: set_offset
-- Let a partition go on at an offset.
INSERT INTO consumer_offset (log, partition, next_offset) VALUES (%(log)s, %(partition)s, %(next_offset)s)
ON CONFLICT (log, partition) DO UPDATE SET next_offset = excluded.next_offset
