-- A customer's licenses travel as two strings of one order: "terms" (text, alike for many customers) and "packed" (16
-- bytes of license id and 8 of "since" each, microseconds since 2000); see CustomerRecord in store/records.py.
-- Overrides follow in both, by id.

-- name: head
-- Return the present position, the consumer's lag in milliseconds (that of the partition furthest behind, in the log
-- that was consumed last) and the catalog.
SELECT log.epoch, log.revision, log.tag, lag.ms, catalog.version, catalog.document
FROM revision JOIN revision_log log USING (revision)
JOIN catalog_version catalog ON upper_inf(catalog.recorded)
CROSS JOIN (SELECT (extract(epoch FROM clock_timestamp() - min(caught_up_at)) * 1000)::bigint AS ms
            FROM consumer_progress
            WHERE log = (SELECT log FROM consumer_progress ORDER BY caught_up_at DESC LIMIT 1)) lag

-- name: news
-- Return the present position, the consumer's lag, whether the position named is one of this store, and what changed
-- after it. A customer's field may have given or taken a domain, so that each of its domains counts as touched.
WITH known AS (
    SELECT revision FROM revision_log WHERE (revision, epoch, tag) = (%(revision)s, %(epoch)s::uuid, %(tag)s)
), touched AS MATERIALIZED (
    SELECT DISTINCT kind, subject FROM change_feed WHERE revision > (SELECT revision FROM known) LIMIT %(limit)s + 1
), customers AS (
    SELECT coalesce(array_agg(subject), '{}') AS ids FROM touched WHERE kind = 'customer'
)
SELECT log.epoch, log.revision, log.tag,
       (SELECT (extract(epoch FROM clock_timestamp() - min(caught_up_at)) * 1000)::bigint FROM consumer_progress
        WHERE log = (SELECT log FROM consumer_progress ORDER BY caught_up_at DESC LIMIT 1)),
       EXISTS (SELECT FROM known), (SELECT count(*) FROM touched),
       EXISTS (SELECT FROM touched WHERE kind = 'catalog'), customers.ids,
       ARRAY(SELECT subject FROM touched WHERE kind = 'user'),
       ARRAY(SELECT subject FROM touched WHERE kind = 'domain'
             UNION SELECT domain FROM customer_domain WHERE customer_id = ANY(customers.ids))
FROM customers CROSS JOIN revision JOIN revision_log log USING (revision)

-- name: catalog
-- Return the current catalog.
SELECT version, document FROM catalog_version WHERE upper_inf(recorded)

-- name: customers
-- Return the customers named, as they are now; one without an id is gone, and so is one that was erased.
SELECT asked.id, nullif(concat_ws(' ', held.terms, excepted.terms), ''),
       coalesce(held.packed || excepted.packed, held.packed, excepted.packed), named.aliases,
       customer.customer_id IS NULL OR (customer.deleted AND fate(customer.customer_id, NULL, customer.revision) = 'erased')
FROM unnest(%(names)s::text[]) AS asked (id) LEFT JOIN customer ON customer.customer_id = asked.id
LEFT JOIN LATERAL (
    SELECT string_agg(concat(sku, '|', told, '|', (extract(epoch FROM starts_at) * 1000000)::bigint, '|',
                             (extract(epoch FROM ends_at) * 1000000)::bigint, '|', quantity), ' ' ORDER BY sku) AS terms,
           string_agg(uuid_send(license_id) || timestamptz_send(lower(valid)), ''::bytea ORDER BY sku) AS packed
    FROM license_open WHERE license_open.customer_id = asked.id
) held ON true
LEFT JOIN LATERAL (
    SELECT string_agg(concat(coalesce(sku, 'feature:' || feature), '|', effect, 'ed|',
                             (extract(epoch FROM starts_at) * 1000000)::bigint, '|',
                             (extract(epoch FROM ends_at) * 1000000)::bigint, '|', value),
                      ' ' ORDER BY override_id) AS terms,
           string_agg(uuid_send(override_id) || timestamptz_send(lower(valid)), ''::bytea ORDER BY override_id) AS packed
    FROM override WHERE override.customer_id = asked.id AND upper_inf(valid) AND upper_inf(recorded)
) excepted ON true
LEFT JOIN LATERAL (
    SELECT string_agg(alias, ' ' ORDER BY alias) AS aliases FROM customer_alias
    WHERE customer_alias.customer_id = asked.id AND upper_inf(valid) AND upper_inf(recorded)
) named ON true

-- name: users
-- Return the users named with the customers that they are members of, as they are now.
SELECT asked.id, (SELECT string_agg(customer_id, ' ' ORDER BY customer_id) FROM user_membership
                  WHERE user_id = asked.id AND upper_inf(valid) AND upper_inf(recorded))
FROM unnest(%(names)s::text[]) AS asked (id)

-- name: domains
-- Return the domains named with their customers, as they are now.
SELECT asked.id, (SELECT string_agg(customer_id, ' ' ORDER BY customer_id) FROM customer_domain
                  WHERE domain = asked.id AND upper_inf(valid) AND upper_inf(recorded))
FROM unnest(%(names)s::text[]) AS asked (id)

-- name: all_customers
-- Return all customers with their licenses and aliases.
SELECT customer_id, nullif(concat_ws(' ', held.terms, excepted.terms), ''),
       coalesce(held.packed || excepted.packed, held.packed, excepted.packed), named.aliases, false
FROM customer LEFT JOIN (
    SELECT customer_id,
           string_agg(concat(sku, '|', told, '|', (extract(epoch FROM starts_at) * 1000000)::bigint, '|',
                             (extract(epoch FROM ends_at) * 1000000)::bigint, '|', quantity), ' ' ORDER BY sku) AS terms,
           string_agg(uuid_send(license_id) || timestamptz_send(lower(valid)), ''::bytea ORDER BY sku) AS packed
    FROM license_open GROUP BY customer_id
) held USING (customer_id) LEFT JOIN (
    SELECT customer_id,
           string_agg(concat(coalesce(sku, 'feature:' || feature), '|', effect, 'ed|',
                             (extract(epoch FROM starts_at) * 1000000)::bigint, '|',
                             (extract(epoch FROM ends_at) * 1000000)::bigint, '|', value),
                      ' ' ORDER BY override_id) AS terms,
           string_agg(uuid_send(override_id) || timestamptz_send(lower(valid)), ''::bytea ORDER BY override_id) AS packed
    FROM override WHERE upper_inf(valid) AND upper_inf(recorded) GROUP BY customer_id
) excepted USING (customer_id) LEFT JOIN (
    SELECT customer_id, string_agg(alias, ' ' ORDER BY alias) AS aliases FROM customer_alias
    WHERE upper_inf(valid) AND upper_inf(recorded) GROUP BY customer_id
) named USING (customer_id)
WHERE NOT customer.deleted OR fate(customer_id, NULL, customer.revision) <> 'erased'

-- name: all_users
-- Return all users with the customers that they are members of.
SELECT user_id, string_agg(customer_id, ' ' ORDER BY customer_id) FROM user_membership
WHERE upper_inf(valid) AND upper_inf(recorded) GROUP BY user_id

-- name: all_domains
-- Return all domains with their customers.
SELECT domain, string_agg(customer_id, ' ' ORDER BY customer_id) FROM customer_domain
WHERE upper_inf(valid) AND upper_inf(recorded) GROUP BY domain
