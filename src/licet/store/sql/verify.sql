-- name: accounts
-- Return each partition's committed offset, and the first, the last and the number of its deliveries.
SELECT log, partition, next_offset, first, last, coalesce(deliveries, 0) FROM consumer_offset
FULL JOIN (SELECT log, partition, min("offset") AS first, max("offset") AS last, count(*) AS deliveries
           FROM delivery WHERE log <> 'people' GROUP BY log, partition) AS ledger USING (log, partition)
ORDER BY log, partition

-- name: holes
-- Return the ranges between two deliveries of a partition that the ledger lacks.
SELECT previous + 1, "offset" FROM (
    SELECT "offset", lag("offset") OVER (ORDER BY "offset") AS previous FROM delivery
    WHERE log = %(log)s AND partition = %(partition)s
) AS pairs WHERE "offset" > previous + 1 ORDER BY 1

-- name: skipped
-- Return the ranges that people accepted to skip.
SELECT coalesce(from_offset, 0), next_offset FROM partition_decision
WHERE log = %(log)s AND partition = %(partition)s AND action = 'accept' AND next_offset > coalesce(from_offset, 0)
ORDER BY 1

-- name: strays
-- Return license rows that name a delivery or a catalog that is not there.
SELECT row_id, customer_id, sku FROM license l
WHERE (opened_delivery IS NOT NULL AND NOT EXISTS (SELECT FROM delivery d WHERE d.sequence = l.opened_delivery))
   OR (closed_delivery IS NOT NULL AND NOT EXISTS (SELECT FROM delivery d WHERE d.sequence = l.closed_delivery))
   OR (opened_catalog IS NOT NULL AND NOT EXISTS (SELECT FROM catalog_version v WHERE v.version = l.opened_catalog))
   OR (closed_catalog IS NOT NULL AND NOT EXISTS (SELECT FROM catalog_version v WHERE v.version = l.closed_catalog))

-- name: catalogs
-- Return every catalog, from which revision it was the current one, and how far it has reached.
SELECT version, document, lower(recorded), refolded FROM catalog_version ORDER BY version

-- name: count_entries
-- Count what will be folded.
SELECT count(*) FROM delivery WHERE outcome <> 'dead'

-- name: entries
-- Return the deliveries that may have changed a customer, customer by customer, in the order of the ledger.
SELECT customer_id, sequence, revision, source, event_id, received_at, outcome, reason, replay_of, payload,
       payload_hash, source_time, compared_at
FROM delivery WHERE outcome <> 'dead' ORDER BY customer_id, sequence

-- name: customers
-- Return the customers by id. One that is deleted and was held by the safety brake may have its names still.
SELECT customer_id, name, account_manager, sales_engineer, deleted, fields::text, revision,
       deleted AND EXISTS (SELECT FROM override o WHERE o.customer_id = c.customer_id AND o.kind = 'brake')
FROM customer c ORDER BY customer_id

-- name: licenses
-- Return the license rows, customer by customer.
SELECT NULL, license_id, customer_id, sku, status, starts_at, ends_at, quantity, lower(valid), lower(recorded),
       opened_delivery, opened_catalog, upper(valid), upper(recorded), closed_delivery, closed_catalog
FROM license ORDER BY customer_id, row_id

-- name: names
-- Return the aliases and e-mail domains that customers have or had, customer by customer.
SELECT customer_id, kind, name, origin, bool_or(open) FROM (
    SELECT customer_id, 'alias' AS kind, alias AS name, origin, upper_inf(valid) AND upper_inf(recorded) AS open
    FROM customer_alias
    UNION ALL
    SELECT customer_id, 'domain', domain, origin, upper_inf(valid) AND upper_inf(recorded) FROM customer_domain
) AS held GROUP BY customer_id, kind, name, origin ORDER BY customer_id

-- name: alias_held
-- Tell whether any customer has the alias.
SELECT EXISTS (SELECT FROM customer_alias WHERE alias = %(alias)s AND upper_inf(valid) AND upper_inf(recorded))

-- name: unheard
-- Return what people said last of names and overrides, where the store holds something else; and what it holds that
-- nobody said. An erasure takes back all that was said before it. What the safety brake holds, nobody said.
WITH erased AS (
    SELECT customer_id, max(entry_id) AS entry_id FROM audit_entry WHERE action = 'customer.erase' GROUP BY customer_id
), acts AS (
    SELECT DISTINCT ON (kind, name, CASE kind WHEN 'override' THEN '' ELSE customer_id END)
           customer_id, kind, name, after, entry_id
    FROM audit_entry, LATERAL (SELECT split_part(action, '.', 1) AS kind, subject AS name) AS what
    WHERE action IN ('user.put', 'user.delete', 'domain.put', 'domain.delete', 'alias.put', 'alias.delete',
                     'override.put', 'override.end')
    ORDER BY kind, name, CASE kind WHEN 'override' THEN '' ELSE customer_id END, entry_id DESC
), said AS (
    SELECT customer_id, kind, name, CASE kind WHEN 'override' THEN (
               SELECT row(sku, feature, effect, kind, value, starts_at, ends_at)::text
               FROM jsonb_to_record(after) AS o(sku text, feature text, effect text, kind text, value float8,
                                                starts_at timestamptz, ends_at timestamptz)) ELSE '' END AS terms
    FROM acts LEFT JOIN erased USING (customer_id)
    WHERE after IS NOT NULL AND acts.entry_id > coalesce(erased.entry_id, 0) AND after ->> 'kind' IS DISTINCT FROM 'brake'
), held AS (
    SELECT customer_id, 'user' AS kind, user_id AS name, '' AS terms FROM user_membership
    WHERE origin = 'person' AND upper_inf(valid) AND upper_inf(recorded)
    UNION ALL SELECT customer_id, 'domain', domain, '' FROM customer_domain
    WHERE origin = 'person' AND upper_inf(valid) AND upper_inf(recorded)
    UNION ALL SELECT customer_id, 'alias', alias, '' FROM customer_alias
    WHERE origin = 'person' AND upper_inf(valid) AND upper_inf(recorded)
    UNION ALL SELECT customer_id, 'override', override_id::text,
                     row(sku, feature, effect, kind, value, starts_at, ends_at)::text FROM override
    WHERE kind <> 'brake' AND upper_inf(valid) AND upper_inf(recorded)
)
SELECT customer_id, kind, name, said.terms, held.terms FROM said FULL JOIN held USING (customer_id, kind, name)
WHERE said.terms IS DISTINCT FROM held.terms ORDER BY customer_id, kind, name
