-- Memberships, domains and aliases are kept alike: "table" is where, "column" what a name is called there. "alone": a name
-- that one customer has, as an alias is. A row's "author" is who wrote that row: on the row that opens a name, who gave
-- it; on the copy with "valid" cut, who took it.

-- name: find
-- Return who holds the name, and where it came from.
SELECT customer_id, origin FROM {table}
WHERE {column} = %(name)s AND (%(alone)s OR customer_id = %(customer_id)s) AND upper_inf(valid) AND upper_inf(recorded)

-- name: open
-- Give the name to the customer, from now on or from where the row before ends.
INSERT INTO {table} ({column}, customer_id, origin, author, valid, recorded)
SELECT %(name)s, %(customer_id)s, 'person', %(author)s,
       tstzrange(greatest(clock_timestamp(), max(upper(valid))), NULL), int8range(%(revision)s, NULL)
FROM {table} WHERE {column} = %(name)s AND (%(alone)s OR customer_id = %(customer_id)s)

-- name: close
-- Take the name from the customer: close what was believed, write its copy with "valid" cut.
WITH ended AS (
    UPDATE {table} SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE {column} = %(name)s AND customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)
    RETURNING *
)
INSERT INTO {table} ({column}, customer_id, origin, author, valid, recorded)
SELECT {column}, customer_id, origin, %(author)s,
       tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
       int8range(%(revision)s, NULL)
FROM ended

-- name: give
-- Give the name to the customer whose Salesforce field says it; an alias not, where a person gave it to one.
INSERT INTO {table} ({column}, customer_id, origin, author, valid, recorded)
VALUES (%(name)s, %(customer_id)s, 'source', 'salesforce', tstzrange(clock_timestamp(), NULL), int8range(%(revision)s, NULL))
ON CONFLICT DO NOTHING

-- name: take
-- End the name where this customer's Salesforce field gave it, or ("any") anybody's; a person's stays. Returns who else
-- lost it.
WITH ended AS (
    UPDATE {table} SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE {column} = %(name)s AND origin = 'source' AND upper_inf(valid) AND upper_inf(recorded)
      AND (%(any)s OR customer_id = %(customer_id)s)
    RETURNING *
), past AS (
    INSERT INTO {table} ({column}, customer_id, origin, author, valid, recorded)
    SELECT {column}, customer_id, origin, author,
           tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
           int8range(%(revision)s, NULL)
    FROM ended WHERE lower(recorded) < %(revision)s
)
SELECT customer_id FROM ended WHERE customer_id <> %(customer_id)s
