-- name: find_override
-- Return the row of an override written last: the current one, or how it was ended.
SELECT json_build_object(
    'override_id', override_id, 'customer', customer_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind,
    'value', value, 'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author,
    'since', lower(valid), 'version', row_id, 'ended_by', ended_by, 'end_reason', end_reason)::text
FROM override WHERE override_id = %(override_id)s ORDER BY row_id DESC LIMIT 1

-- name: list_overrides
-- Return the current overrides, of one customer where it is named, by id, from beyond the one given.
SELECT coalesce(json_agg(json_build_object(
    'override_id', override_id, 'customer', customer_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind,
    'value', value, 'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author,
    'since', lower(valid), 'version', row_id) ORDER BY override_id), '[]')::text
FROM (SELECT * FROM override
      WHERE upper_inf(valid) AND upper_inf(recorded)
        AND (%(customer_id)s::text IS NULL OR customer_id = %(customer_id)s::text)
        AND (%(after)s::uuid IS NULL OR override_id > %(after)s::uuid)
      ORDER BY override_id LIMIT %(limit)s) AS page

-- name: end
-- End the current ones of the overrides whose rows "which" finds: close what was believed, write its copy with "valid" cut.
-- Returns them.
WITH ended AS (
    UPDATE override SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE row_id = ANY(ARRAY({which})) AND upper_inf(valid) AND upper_inf(recorded)
    RETURNING *
)
INSERT INTO override (override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
                      ended_by, end_reason, valid, recorded)
SELECT override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
       %(ended_by)s, %(end_reason)s,
       tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
       int8range(%(revision)s, NULL)
FROM ended RETURNING override_id

-- name: rows_of_id
-- Find an override's rows, to end it.
SELECT row_id FROM override WHERE override_id = %(override_id)s

-- name: rows_of_customer
-- Find a customer's rows, to end all its overrides.
SELECT row_id FROM override WHERE customer_id = %(customer_id)s

-- name: rows_of_holds
-- Find the safety brake's rows, to end holds. Each is looked up by its key (LATERAL … LIMIT), whatever the planner knows
-- of the table.
SELECT o.row_id FROM json_to_recordset(%(pairs)s) AS p (customer_id text, sku text)
CROSS JOIN LATERAL (SELECT row_id FROM override
                    WHERE customer_id = p.customer_id AND sku = p.sku
                      AND kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded) LIMIT 1) AS o

-- name: open_override
-- Write the override as it is from now on, or from where the row before ends.
INSERT INTO override (override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
                      valid, recorded)
SELECT %(override_id)s, %(customer_id)s, %(sku)s, %(feature)s, %(effect)s, %(kind)s, %(value)s, %(starts_at)s,
       %(ends_at)s, %(reason)s, %(author)s,
       tstzrange(greatest(clock_timestamp(), max(upper(valid))), NULL), int8range(%(revision)s, NULL)
FROM override WHERE override_id = %(override_id)s
