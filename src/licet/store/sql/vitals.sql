-- name: vitals
-- Tell in one row what a check-up looks at.
SELECT version, coalesce(refolded = '~', false) AS reached,
       (SELECT count(*) FROM api_key WHERE revoked_at IS NULL) AS keys,
       EXISTS (SELECT FROM api_key WHERE revoked_at IS NULL AND scopes && '{ingest,admin}') AS may_post,
       (SELECT count(*) FROM partition_stop) AS stopped,
       (SELECT count(*) FROM dead_letter_state WHERE state = 'open') AS letters,
       (SELECT count(*) FROM customer) AS customers,
       (SELECT open FROM spool_state) AS spooling
FROM catalog_version WHERE upper_inf(recorded)

-- name: progress
-- Tell of each partition of a log how far it is applied, and when its worker last said that all was.
SELECT partition, next_offset, caught_up_at FROM consumer_offset LEFT JOIN consumer_progress USING (log, partition)
WHERE log = %(log)s
