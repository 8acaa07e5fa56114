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

-- name: present_revision
-- Return the revision that this moment of the store includes.
SELECT revision FROM revision

-- name: pairs
-- Return each customer beside its row of the file; either side may be null.
SELECT customer_id, line, said, deleted, fields::text FROM file_row FULL JOIN customer USING (customer_id)

-- name: keep
-- Keep what a reconciliation came to.
INSERT INTO reconciliation (actor, file, revision, rows, excluded, missing, extra, different, unknown_sku)
VALUES (%(actor)s, %(file)s, %(revision)s, %(rows)s, %(excluded)s, %(missing)s, %(extra)s, %(different)s, %(unknown_sku)s)
RETURNING reconciliation_id, at, actor, file, revision, rows, excluded, missing, extra, different, unknown_sku

-- name: list_reconciliations
-- Return reconciliations, the last first, from below the one given.
SELECT reconciliation_id, at, actor, file, revision, rows, excluded, missing, extra, different, unknown_sku
FROM reconciliation WHERE %(before)s::bigint IS NULL OR reconciliation_id < %(before)s::bigint
ORDER BY reconciliation_id DESC LIMIT %(limit)s
