-- name: find_customer
-- Return a customer with all that belongs to it, as JSON, in one snapshot.
SELECT json_build_object(
    'revision', (SELECT revision FROM revision),
    'catalog_version', (SELECT version FROM catalog_version WHERE upper_inf(recorded)),
    'customer_id', c.customer_id, 'name', c.name, 'account_manager', c.account_manager,
    'sales_engineer', c.sales_engineer, 'deleted', c.deleted, 'fields', c.fields,
    'created_at', c.created_at, 'updated_at', c.updated_at,
    'licenses', (
        SELECT coalesce(json_agg(json_build_object(
            'row', row_id, 'license_id', license_id, 'sku', sku, 'status', status, 'starts_at', starts_at,
            'ends_at', ends_at, 'quantity', quantity, 'valid_from', lower(valid), 'valid_to', NULL,
            'recorded_from', lower(recorded), 'recorded_to', NULL, 'opened_by_delivery', opened_delivery,
            'opened_by_catalog', opened_catalog, 'closed_by_delivery', NULL, 'closed_by_catalog', NULL,
            'lapsed', told <> 'void') ORDER BY sku), '[]')
        FROM license_open WHERE customer_id = c.customer_id),
    'overrides', (
        SELECT coalesce(json_agg(json_build_object(
            'override_id', override_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind, 'value', value,
            'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author, 'since', lower(valid)
            ) ORDER BY override_id), '[]')
        FROM override WHERE customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded)),
    'aliases', (
        SELECT coalesce(json_agg(json_build_object(
            'name', alias, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY alias), '[]')
        FROM customer_alias WHERE customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded)),
    'domains', (
        SELECT coalesce(json_agg(json_build_object(
            'name', domain, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY domain), '[]')
        FROM customer_domain WHERE customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded)),
    'users', (
        SELECT coalesce(json_agg(json_build_object(
            'name', user_id, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY user_id), '[]')
        FROM (SELECT * FROM user_membership
              WHERE customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded)
              ORDER BY user_id LIMIT 100) AS first),
    'user_count', (
        SELECT count(*) FROM user_membership
        WHERE customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded))
)::text
FROM customer c
WHERE c.customer_id = CASE WHEN %(alias)s::text IS NULL THEN %(customer_id)s::text ELSE (
    SELECT held.customer_id FROM customer_alias held
    WHERE held.alias = %(alias)s AND upper_inf(held.valid) AND upper_inf(held.recorded)) END

-- name: find_customer_id
-- Return the id of the customer that a caller names, where Licet knows it.
SELECT c.customer_id FROM customer c
WHERE c.customer_id = CASE WHEN %(alias)s::text IS NULL THEN %(customer_id)s::text ELSE (
    SELECT held.customer_id FROM customer_alias held
    WHERE held.alias = %(alias)s AND upper_inf(held.valid) AND upper_inf(held.recorded)) END

-- name: list_customers
-- Return customers whose name holds a text, by (name in lower case, id); those without a name come last. The order is
-- that of the index customer_name, which knows no language.
SELECT coalesce(json_agg(json_build_object(
    'customer_id', customer_id, 'name', name, 'account_manager', account_manager, 'deleted', deleted,
    'updated_at', updated_at, 'key', key) ORDER BY key USING ~<~ NULLS LAST, customer_id), '[]')::text
FROM (
    SELECT * FROM (
        (SELECT customer_id, name, account_manager, deleted, updated_at, lower(name) AS key FROM customer
         WHERE lower(name) ~>=~ coalesce(%(after_key)s::text, '')
           AND (%(after_id)s::text IS NULL OR (%(after_key)s::text IS NOT NULL
                AND (lower(name) ~>~ %(after_key)s::text OR customer_id > %(after_id)s::text)))
           AND (%(name)s::text IS NULL OR strpos(lower(name), lower(%(name)s::text)) > 0)
         ORDER BY lower(name) USING ~<~, customer_id LIMIT %(limit)s)
        UNION ALL
        (SELECT customer_id, name, account_manager, deleted, updated_at, NULL FROM customer
         WHERE lower(name) IS NULL AND %(name)s::text IS NULL
           AND (%(after_id)s::text IS NULL OR %(after_key)s::text IS NOT NULL OR customer_id > %(after_id)s::text)
         ORDER BY customer_id LIMIT %(limit)s)
    ) AS both_parts
    ORDER BY key USING ~<~ NULLS LAST, customer_id LIMIT %(limit)s
) AS page

-- name: list_licenses
-- Return a customer's license rows, all that were ever believed, the one written last first.
SELECT coalesce(json_agg(json_build_object(
    'row', row_id, 'license_id', license_id, 'sku', sku, 'status', status, 'starts_at', starts_at, 'ends_at', ends_at,
    'quantity', quantity, 'valid_from', lower(valid), 'valid_to', upper(valid), 'recorded_from', lower(recorded),
    'recorded_to', upper(recorded), 'opened_by_delivery', opened_delivery, 'opened_by_catalog', opened_catalog,
    'closed_by_delivery', closed_delivery, 'closed_by_catalog', closed_catalog) ORDER BY row_id DESC), '[]')::text
FROM (
    SELECT * FROM license
    WHERE customer_id = %(customer_id)s AND (%(before)s::bigint IS NULL OR row_id < %(before)s::bigint)
    ORDER BY row_id DESC LIMIT %(limit)s
) AS page

-- name: list_users
-- Return the users that are members of a customer, by id.
SELECT coalesce(json_agg(json_build_object(
    'name', user_id, 'origin', origin, 'author', author, 'since', lower(valid)) ORDER BY user_id), '[]')::text
FROM (
    SELECT * FROM user_membership
    WHERE customer_id = %(customer_id)s AND upper_inf(valid) AND upper_inf(recorded)
      AND (%(after)s::text IS NULL OR user_id > %(after)s::text)
    ORDER BY user_id LIMIT %(limit)s
) AS page

-- name: find_change
-- Return the delivery that an event's outcome comes from (the last but for duplicates and reused ids), and its last
-- hundred deliveries, the last one first. A dead one tells its faults.
WITH found AS (
    SELECT json_build_object(
        'log', d.log, 'partition', d.partition, 'offset', d."offset", 'sequence', d.sequence, 'revision', d.revision,
        'source', d.source, 'customer_id', d.customer_id, 'received_at', d.received_at, 'source_time', d.source_time,
        'recorded_at', r.recorded_at, 'outcome', d.outcome, 'reason', d.reason, 'rule', d.rule,
        'replay_of', d.replay_of, 'faults', letter.faults
        ) AS line, d.sequence, d.rule IN ('duplicate', 'event_id_reused') AS beside
    FROM delivery d
    LEFT JOIN revision_log r USING (revision)
    LEFT JOIN dead_letter letter ON letter.sequence = d.sequence AND letter.origin = 'log'
    WHERE d.event_id = %(event_id)s AND (%(customer_id)s::text IS NULL OR d.customer_id = %(customer_id)s::text)
)
SELECT json_build_object(
    'latest', (SELECT line FROM found WHERE NOT beside ORDER BY sequence DESC LIMIT 1),
    'deliveries', (SELECT coalesce(json_agg(line ORDER BY sequence DESC), '[]')
                   FROM (SELECT line, sequence FROM found ORDER BY sequence DESC LIMIT 100) AS last))::text

-- name: list_senders
-- All senders, by name; the empty name last.
SELECT coalesce(json_agg(json_build_object(
    'source', source, 'received_at', last_received_at, 'refused_at', last_refused_at,
    'refused_for', last_refused_for, 'unmapped', unmapped) ORDER BY source = '', source), '[]')::text
FROM sender
