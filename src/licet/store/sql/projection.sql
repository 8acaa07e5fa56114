-- name: begin
-- Take the write lock, the next revision and as many sequence numbers as there are deliveries.
UPDATE revision SET revision = revision + 1, sequence = sequence + %(deliveries)s
RETURNING revision, sequence, epoch

-- name: evict
-- Throw out a writer of Licet that stands still in its transaction. The server does it after 2 s, unless the last that it
-- heard was the Flush after a pipeline; then nobody else would.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND starts_with(application_name, 'licet')
  AND state = 'idle in transaction' AND state_change < clock_timestamp() - %(idle_ms)s * interval '1 ms'

-- name: log_revision
-- Say when the revision was written: after the lock, never before the revision that it follows. Who follows is told
-- at the commit.
INSERT INTO revision_log (revision, epoch, tag, recorded_at)
SELECT revision, epoch, ('x' || encode(uuid_send(gen_random_uuid()), 'hex'))::bit(64)::bigint,
       greatest(clock_timestamp(), (SELECT recorded_at FROM revision_log ORDER BY revision DESC LIMIT 1))
FROM revision RETURNING recorded_at, pg_notify('licet_revision', revision::text)

-- name: tell_traces
-- Tell followers which traces the revision belongs to, at the commit.
SELECT pg_notify('licet_trace', %(traces)s)

-- name: advance
-- Move the offsets that stand where this worker left them; a partition that is not returned is another's now.
WITH move AS (
    SELECT * FROM json_to_recordset(%(moves)s) AS m (partition int, before bigint, after bigint)
), moved AS (
    UPDATE consumer_offset o SET next_offset = m.after FROM move m
    WHERE o.log = %(log)s AND o.partition = m.partition AND o.next_offset = m.before
    RETURNING o.partition
), begun AS (
    INSERT INTO consumer_offset (log, partition, next_offset)
    SELECT %(log)s, partition, after FROM move WHERE before IS NULL
    ON CONFLICT DO NOTHING RETURNING partition
)
SELECT partition FROM moved UNION ALL SELECT partition FROM begun

-- name: hold_stops
-- Wait until no decision on a stop is under way. A decision lifts the stop and writes the offset in one transaction: who
-- looked before its commit and writes after it would find neither, and stop the partition again.
LOCK TABLE partition_stop IN SHARE ROW EXCLUSIVE MODE

-- name: stop_recreated
-- Stop the partitions of a log made anew: it has no offset here, and an older log of the same name has. What stands
-- behind the last @ tells logs of one name apart; behind a ~ stands what a person set aside (accept).
INSERT INTO partition_stop (log, partition, reason, detail)
SELECT %(log)s, p.partition, 'recreated', 'the log was made anew; before, it was ' || older.log
FROM unnest(%(partitions)s::int[]) AS p (partition)
CROSS JOIN LATERAL (
    SELECT o.log FROM consumer_offset o
    WHERE regexp_replace(o.log, '@[^@]*$', '') = regexp_replace(%(log)s, '@[^@]*$', '')
      AND NOT starts_with(o.log, %(log)s)
    ORDER BY o.log LIMIT 1
) AS older
WHERE NOT EXISTS (SELECT FROM consumer_offset o WHERE o.log = %(log)s AND o.partition = p.partition)
ON CONFLICT DO NOTHING

-- name: tell_progress
-- Say up to when the partitions are applied; "ago" is in seconds. What was said before stands if it was more. The worker
-- does not wait for the disk: a crash may lose it, and it is said again within a second.
INSERT INTO consumer_progress AS before (log, partition, caught_up_at)
SELECT %(log)s, partition, clock_timestamp() - make_interval(secs => ago)
FROM json_to_recordset(%(partitions)s) AS p (partition int, ago float8)
CROSS JOIN set_config('synchronous_commit', 'off', true)
ON CONFLICT (log, partition) DO UPDATE SET caught_up_at = greatest(before.caught_up_at, excluded.caught_up_at)

-- name: positions
-- Return the next offset of each partition that has one, and why it is stopped where it is.
SELECT p.partition, o.next_offset, s.reason || ': ' || s.detail
FROM unnest(%(partitions)s::int[]) AS p (partition)
LEFT JOIN consumer_offset o ON o.log = %(log)s AND o.partition = p.partition
LEFT JOIN partition_stop s ON s.log = %(log)s AND s.partition = p.partition
WHERE o.partition IS NOT NULL OR s.partition IS NOT NULL

-- name: stop
-- Stop a partition where it stands at an offset (null: it has none), and say why; the first reason stays.
INSERT INTO partition_stop (log, partition, reason, detail, next_offset)
SELECT %(log)s, %(partition)s, %(reason)s, %(detail)s, %(at)s
WHERE %(at)s::bigint IS NOT DISTINCT FROM (
    SELECT next_offset FROM consumer_offset WHERE log = %(log)s AND partition = %(partition)s FOR SHARE)
ON CONFLICT DO NOTHING

-- name: stop_dying
-- Stop the partitions of whose last deliveries too many are dead, replays not counted, since a person let them go on.
INSERT INTO partition_stop (log, partition, reason, detail, next_offset)
SELECT o.log, o.partition, 'dead_limit', format('%%s of the last %%s deliveries are dead letters', dead, total), o.next_offset
FROM consumer_offset o
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE outcome = 'dead' AND replay_of IS NULL) AS dead, count(*) AS total
    FROM (SELECT outcome, replay_of FROM delivery d
          WHERE d.log = o.log AND d.partition = o.partition AND d."offset" >= coalesce(
              (SELECT max(next_offset) FROM partition_decision r WHERE r.log = o.log AND r.partition = o.partition), 0)
          ORDER BY "offset" DESC LIMIT %(window)s) AS last
) AS counted
WHERE o.log = %(log)s AND o.partition = ANY(%(partitions)s::int[]) AND dead >= %(count)s AND dead * 100 >= total * %(share)s
ON CONFLICT DO NOTHING
RETURNING partition, reason || ': ' || detail

-- name: earlier
-- Return the earlier deliveries of each event id; who asks sorts out source and customer.
SELECT source, event_id, customer_id, payload_hash, outcome = 'dead' FROM delivery
WHERE event_id = ANY(ARRAY(SELECT json_array_elements_text(%(event_ids)s)))

-- name: originals
-- Return the sequence numbers of the deliveries at the places named; and those that letters of the door took, whose
-- places are door/0/LETTER.
WITH k AS (SELECT * FROM json_to_recordset(%(places)s) AS k (log text, partition int, "offset" bigint))
SELECT d.log, d.partition, d."offset", d.sequence FROM k JOIN delivery d USING (log, partition, "offset")
UNION ALL
SELECT k.log, k.partition, k."offset", l.sequence
FROM k JOIN dead_letter l ON k.log = 'door' AND k.partition = 0 AND l.letter = k."offset" AND l.origin = 'door'

-- name: customers
-- Return what is stored of each customer.
SELECT customer_id, deleted, fields::text FROM customer WHERE customer_id = ANY(%(customer_ids)s::text[])

-- name: licenses
-- Return the open row of each SKU of each customer.
SELECT row_id, license_id, customer_id, sku, status, starts_at, ends_at, quantity, lower(valid), lower(recorded),
       opened_delivery, opened_catalog
FROM license
WHERE customer_id = ANY(%(customer_ids)s::text[]) AND coalesce(upper(valid), 'infinity') = 'infinity' AND upper_inf(recorded)

-- name: names
-- Return the aliases and domains that Salesforce's fields gave to each customer, and (neither) the SKUs that the safety
-- brake holds.
SELECT customer_id, 'alias', alias FROM customer_alias
WHERE customer_id = ANY(%(customer_ids)s::text[]) AND origin = 'source' AND upper_inf(valid) AND upper_inf(recorded)
UNION ALL
SELECT customer_id, 'domain', domain FROM customer_domain
WHERE customer_id = ANY(%(customer_ids)s::text[]) AND origin = 'source' AND upper_inf(valid) AND upper_inf(recorded)
UNION ALL
SELECT customer_id, NULL, sku FROM override
WHERE customer_id = ANY(%(customer_ids)s::text[]) AND kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded)

-- name: write_customers
-- Store the customers as the fold left them. One without a delivery (a catalog touched it) keeps its last: PostgreSQL
-- looks at NOT NULL before it looks for the conflict.
INSERT INTO customer (customer_id, name, account_manager, sales_engineer, deleted, fields, first_delivery,
                      last_delivery, revision, created_at, updated_at)
SELECT w.customer_id, w.name, w.account_manager, w.sales_engineer, w.deleted, w.fields, d.delivery, d.delivery,
       %(revision)s, now(), now()
FROM json_to_recordset(%(customers)s) AS w (customer_id text, name text, account_manager text, sales_engineer text,
                                             deleted boolean, fields json, delivery bigint)
CROSS JOIN LATERAL (
    SELECT coalesce(w.delivery, (SELECT c.last_delivery FROM customer c WHERE c.customer_id = w.customer_id)) AS delivery
) AS d
ON CONFLICT (customer_id) DO UPDATE
SET name = excluded.name, account_manager = excluded.account_manager, sales_engineer = excluded.sales_engineer,
    deleted = excluded.deleted, fields = excluded.fields, last_delivery = excluded.last_delivery,
    revision = excluded.revision, updated_at = excluded.updated_at

-- name: close_licenses
-- End what was believed until now.
UPDATE license SET recorded = int8range(lower(recorded), %(revision)s) WHERE row_id = ANY(%(rows)s::bigint[])

-- name: copy_licenses
-- Insert license rows.
COPY license (license_id, customer_id, sku, status, starts_at, ends_at, quantity, valid, recorded,
              opened_delivery, opened_catalog, closed_delivery, closed_catalog) FROM STDIN

-- name: copy_deliveries
-- Insert ledger rows.
COPY delivery (log, partition, "offset", sequence, source, event_id, customer_id, payload_hash, received_at, source_time,
               outcome, reason, rule, replay_of, payload, replay_letter, compared_at, revision) FROM STDIN

-- name: copy_dead_letters
-- Keep what could not be applied.
COPY dead_letter (sequence, reason, faults, key, value, headers) FROM STDIN

-- name: copy_feed
-- Say whom this revision touched.
COPY change_feed (revision, kind, subject) FROM STDIN

-- name: write_feed
-- Say what this revision touched.
INSERT INTO change_feed (revision, kind, subject) VALUES (%(revision)s, %(kind)s, %(subject)s)

-- name: keeps_alias
-- Return who keeps an alias that a catalog change would give to another: the holder's own field says it too, and either
-- the holder had it before this catalog, or that field was written later.
SELECT a.customer_id
FROM customer_alias a JOIN customer c USING (customer_id)
WHERE a.alias = %(name)s AND a.origin = 'source' AND upper_inf(a.valid) AND upper_inf(a.recorded)
  AND a.customer_id <> %(customer_id)s AND NOT c.deleted
  AND c.fields -> %(field)s ->> 0 = substr(%(name)s, strpos(%(name)s, ':') + 1)
  AND ((c.fields -> %(field)s ->> 1)::bigint > %(place)s
       OR lower(a.recorded) < (SELECT lower(recorded) FROM catalog_version WHERE upper_inf(recorded)))

-- name: unfolded
-- Return the next customers that the catalog has not reached; none where it is no longer the current one.
SELECT customer_id FROM customer
WHERE customer_id > (SELECT coalesce(refolded, '') FROM catalog_version
                     WHERE version = %(version)s AND upper_inf(recorded))
ORDER BY customer_id LIMIT %(limit)s

-- name: mark_refolded
-- Remember how far the catalog has reached, while it is the current one.
UPDATE catalog_version SET refolded = %(customer_id)s WHERE version = %(version)s AND upper_inf(recorded)
