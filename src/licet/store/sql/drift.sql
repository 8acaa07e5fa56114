-- name: export
-- Return every customer, by id, as an export tells it.
SELECT customer_id, deleted, fields::text FROM customer ORDER BY customer_id

-- name: count_customers
-- Count the customers.
SELECT count(*) FROM customer

-- name: create_file
-- Make the place for a file's rows, gone with the session.
CREATE TEMPORARY TABLE file_row (line bigint NOT NULL, customer_id text COLLATE "C" NOT NULL, said text NOT NULL)

-- name: copy_file
-- Take a file's rows.
COPY file_row (line, customer_id, said) FROM STDIN

-- name: analyze_file
-- Let the planner know how many there are.
ANALYZE file_row

-- name: twice
-- Return customers that stand in the file more than once, with their first two lines.
SELECT customer_id, (array_agg(line ORDER BY line))[1:2] FROM file_row GROUP BY customer_id HAVING count(*) > 1
ORDER BY 2 LIMIT 20

-- name: present_moment
-- Return the revision, and the last sequence number of a delivery, that this moment of the store includes.
SELECT revision, sequence FROM revision

-- name: sequence_at
-- Return the number of the last delivery recorded by a moment. Both times and numbers rise with the revision.
SELECT sequence FROM delivery WHERE revision <= (
    SELECT revision FROM revision_log WHERE recorded_at <= %(moment)s ORDER BY recorded_at DESC, revision DESC LIMIT 1
) ORDER BY sequence DESC LIMIT 1

-- name: changed_since
-- Return those of some customers that were written after a revision.
SELECT customer_id FROM customer WHERE customer_id = ANY(%(customers)s::text[]) AND revision > %(revision)s

-- name: pairs
-- Return each customer beside its row of the file; either side may be null.
SELECT customer_id, line, said, deleted, fields::text FROM file_row FULL JOIN customer USING (customer_id)

-- name: keep
-- Keep what a reconciliation came to.
INSERT INTO reconciliation (actor, file, revision, rows, excluded, missing, extra, different, unknown_sku,
                            repaired, held_back)
VALUES (%(actor)s, %(file)s, %(revision)s, %(rows)s, %(excluded)s, %(missing)s, %(extra)s, %(different)s, %(unknown_sku)s,
        %(repaired)s, %(held_back)s)
RETURNING reconciliation_id, at, actor, file, revision, rows, excluded, missing, extra, different, unknown_sku,
          repaired, held_back

-- name: list_reconciliations
-- Return reconciliations, the last first, from below the one given.
SELECT reconciliation_id, at, actor, file, revision, rows, excluded, missing, extra, different, unknown_sku,
       repaired, held_back
FROM reconciliation WHERE %(before)s::bigint IS NULL OR reconciliation_id < %(before)s::bigint
ORDER BY reconciliation_id DESC LIMIT %(limit)s
