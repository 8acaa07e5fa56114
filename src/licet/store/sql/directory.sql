-- A row's "author" is who wrote that row: on the row that opens a name, who gave it; on the copy with "valid" cut, who
-- took it.

-- name: find_member
-- Return who holds the membership, and where it came from.
SELECT customer_id, origin FROM user_membership
WHERE user_id = %(name)s AND customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)

-- name: find_domain
-- Return who holds the domain for this customer, and where it came from.
SELECT customer_id, origin FROM customer_domain
WHERE domain = %(name)s AND customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)

-- name: find_alias
-- Return who holds the alias, and where it came from: an alias names one customer.
SELECT customer_id, origin FROM customer_alias
WHERE alias = %(name)s AND upper_inf(valid) AND upper_inf(recorded)

-- name: open_member
-- Make the user a member, from now on or from where the row before ends.
INSERT INTO user_membership (user_id, customer_id, origin, author, valid, recorded)
SELECT %(name)s, %(customer_id)s, 'person', %(author)s,
       tstzrange(greatest(clock_timestamp(), max(upper(valid))), NULL), int8range(%(revision)s, NULL)
FROM user_membership WHERE user_id = %(name)s AND customer_id = %(customer_id)s

-- name: open_domain
-- Give the domain to the customer, from now on or from where the row before ends.
INSERT INTO customer_domain (domain, customer_id, origin, author, valid, recorded)
SELECT %(name)s, %(customer_id)s, 'person', %(author)s,
       tstzrange(greatest(clock_timestamp(), max(upper(valid))), NULL), int8range(%(revision)s, NULL)
FROM customer_domain WHERE domain = %(name)s AND customer_id = %(customer_id)s

-- name: open_alias
-- Give the alias to the customer, from now on or from where the row before ends.
INSERT INTO customer_alias (alias, customer_id, origin, author, valid, recorded)
SELECT %(name)s, %(customer_id)s, 'person', %(author)s,
       tstzrange(greatest(clock_timestamp(), max(upper(valid))), NULL), int8range(%(revision)s, NULL)
FROM customer_alias WHERE alias = %(name)s

-- name: close_member
-- End the membership: close what was believed, write its copy with "valid" cut.
WITH ended AS (
    UPDATE user_membership SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE user_id = %(name)s AND customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)
    RETURNING *
)
INSERT INTO user_membership (user_id, customer_id, origin, author, valid, recorded)
SELECT user_id, customer_id, origin, %(author)s,
       tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
       int8range(%(revision)s, NULL)
FROM ended

-- name: close_domain
-- End the domain: close what was believed, write its copy with "valid" cut.
WITH ended AS (
    UPDATE customer_domain SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE domain = %(name)s AND customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)
    RETURNING *
)
INSERT INTO customer_domain (domain, customer_id, origin, author, valid, recorded)
SELECT domain, customer_id, origin, %(author)s,
       tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
       int8range(%(revision)s, NULL)
FROM ended

-- name: close_alias
-- End the alias: close what was believed, write its copy with "valid" cut.
WITH ended AS (
    UPDATE customer_alias SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE alias = %(name)s AND customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)
    RETURNING *
)
INSERT INTO customer_alias (alias, customer_id, origin, author, valid, recorded)
SELECT alias, customer_id, origin, %(author)s,
       tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
       int8range(%(revision)s, NULL)
FROM ended

-- name: write_feed
-- Say what this revision touched.
INSERT INTO change_feed (revision, kind, subject) VALUES (%(revision)s, %(kind)s, %(subject)s)
