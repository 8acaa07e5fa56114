-- name: check
-- Resolve each question to customers and their licenses as recorded last, all in one snapshot. One row per question,
-- customer and license; "named" is the customer that the question names, where Licet knows it.
SELECT revision.revision, catalog_version.version, asked.n, named.customer_id, belongs.customer_id,
       license.sku, license.license_id, license.status, license.starts_at, license.ends_at, license.quantity,
       lower(license.valid)
FROM unnest(%(users)s::text[], %(domains)s::text[], %(customers)s::text[], %(aliases)s::text[])
     WITH ORDINALITY AS asked (user_id, domain, customer_id, alias, n)
CROSS JOIN revision
JOIN catalog_version ON upper_inf(catalog_version.recorded)
LEFT JOIN LATERAL (
    SELECT customer.customer_id FROM customer
    WHERE customer.customer_id = CASE WHEN asked.alias IS NULL THEN asked.customer_id ELSE (
        SELECT held.customer_id FROM customer_alias held
        WHERE held.alias = asked.alias AND upper_inf(held.valid) AND upper_inf(held.recorded)) END
) named ON true
LEFT JOIN LATERAL (
    SELECT member.customer_id FROM user_membership member
    WHERE member.user_id = asked.user_id AND upper_inf(member.valid) AND upper_inf(member.recorded)
    UNION ALL
    SELECT of.customer_id FROM customer_domain of
    WHERE of.domain = asked.domain AND upper_inf(of.valid) AND upper_inf(of.recorded) AND NOT EXISTS (
        SELECT FROM user_membership member
        WHERE member.user_id = asked.user_id AND upper_inf(member.valid) AND upper_inf(member.recorded))
    UNION ALL
    SELECT named.customer_id WHERE asked.user_id IS NULL AND named.customer_id IS NOT NULL
) belongs ON true
LEFT JOIN license ON license.customer_id = belongs.customer_id
    AND coalesce(upper(license.valid), 'infinity') = 'infinity' AND upper_inf(license.recorded)
    AND (named.customer_id = belongs.customer_id OR (asked.customer_id IS NULL AND asked.alias IS NULL))

-- name: catalog
-- Return a version of the catalog, or the current one where none is named.
SELECT version, document FROM catalog_version
WHERE CASE WHEN %(version)s::int IS NULL THEN upper_inf(recorded) ELSE version = %(version)s::int END
