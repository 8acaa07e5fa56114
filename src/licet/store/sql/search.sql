-- name: search_customers
-- Return customers by whatever a person may have of one, the surest way first, then by name. Each way reads a range of
-- an ordered index and ends at the limit, so the work is bounded whatever the text is. A null text leads nowhere. "by" says which way led there.
WITH found AS (
    (SELECT customer_id, 1 AS way, 'id' AS by, customer_id AS matched FROM customer
     WHERE customer_id >= %(id)s::text AND customer_id < %(id)s::text || chr(1114111) ORDER BY customer_id LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 2, 'alias', alias FROM customer_alias
     WHERE alias >= %(alias)s::text AND alias < %(alias)s::text || chr(1114111) AND upper_inf(valid) AND upper_inf(recorded)
     ORDER BY alias LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 2, 'alias', alias FROM customer_alias
     WHERE substr(alias, strpos(alias, ':') + 1) = %(alias)s::text AND upper_inf(valid) AND upper_inf(recorded)
     LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 3, 'user', user_id FROM user_membership
     WHERE user_id >= %(user)s::text AND user_id < %(user)s::text || chr(1114111)
       AND upper_inf(valid) AND upper_inf(recorded)
     ORDER BY user_id LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 4, 'domain', domain FROM customer_domain
     WHERE domain >= %(domain)s::text AND domain < %(domain)s::text || chr(1114111)
       AND upper_inf(valid) AND upper_inf(recorded)
     ORDER BY domain LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 5, 'name', name FROM customer
     WHERE lower(name) ~>=~ lower(%(text)s::text) AND lower(name) ~<~ (lower(%(text)s::text) || chr(1114111))
     ORDER BY lower(name) USING ~<~ LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 6, 'name', name FROM customer
     WHERE split_part(name, ' ', 2) <> ''
       AND lower(split_part(name, ' ', 2) || ' ' || split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4))
           ~>=~ lower(%(text)s::text)
       AND lower(split_part(name, ' ', 2) || ' ' || split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4))
           ~<~ (lower(%(text)s::text) || chr(1114111))
     ORDER BY lower(split_part(name, ' ', 2) || ' ' || split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4))
              USING ~<~ LIMIT %(limit)s)
    UNION ALL
    (SELECT customer_id, 6, 'name', name FROM customer
     WHERE split_part(name, ' ', 3) <> ''
       AND lower(split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4) || ' ' || split_part(name, ' ', 5))
           ~>=~ lower(%(text)s::text)
       AND lower(split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4) || ' ' || split_part(name, ' ', 5))
           ~<~ (lower(%(text)s::text) || chr(1114111))
     ORDER BY lower(split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4) || ' ' || split_part(name, ' ', 5))
              USING ~<~ LIMIT %(limit)s)
), surest AS (
    SELECT DISTINCT ON (customer_id) customer_id, way, by, matched FROM found ORDER BY customer_id, way
)
SELECT coalesce(json_agg(json_build_object(
    'customer_id', customer_id, 'name', name, 'account_manager', account_manager, 'deleted', deleted,
    'by', by, 'matched', matched,
    'licenses', (
        SELECT coalesce(json_agg(json_build_object(
            'sku', sku, 'status', status, 'starts_at', starts_at, 'ends_at', ends_at) ORDER BY sku), '[]')
        FROM license_open l WHERE l.customer_id = page.customer_id),
    'overrides', (
        SELECT coalesce(json_agg(json_build_object(
            'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind, 'starts_at', starts_at,
            'ends_at', ends_at) ORDER BY override_id), '[]')
        FROM override o WHERE o.customer_id = page.customer_id AND upper_inf(valid) AND upper_inf(recorded))
    ) ORDER BY way, lower(name) NULLS LAST, customer_id), '[]')::text
FROM (
    SELECT * FROM surest JOIN customer USING (customer_id)
    ORDER BY way, lower(name) NULLS LAST, customer_id LIMIT %(limit)s
) AS page
