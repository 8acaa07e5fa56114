-- name: find_override
-- Return the current row of an override.
SELECT customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author, row_id
FROM override WHERE override_id = %(override_id)s AND upper_inf(valid) AND upper_inf(recorded)

-- name: close_override
-- End what is current: close what was believed, write its copy with "valid" cut.
WITH ended AS (
    UPDATE override SET recorded = int8range(lower(recorded), %(revision)s)
    WHERE override_id = %(override_id)s AND upper_inf(valid) AND upper_inf(recorded)
    RETURNING *
)
INSERT INTO override (override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
                      ended_by, end_reason, valid, recorded)
SELECT override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
       %(ended_by)s, %(end_reason)s,
       tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')),
       int8range(%(revision)s, NULL)
FROM ended

-- name: open_override
-- Write the override as it is from now on, or from where the row before ends.
INSERT INTO override (override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
                      valid, recorded)
SELECT %(override_id)s, %(customer_id)s, %(sku)s, %(feature)s, %(effect)s, %(kind)s, %(value)s, %(starts_at)s,
       %(ends_at)s, %(reason)s, %(author)s,
       tstzrange(greatest(clock_timestamp(), max(upper(valid))), NULL), int8range(%(revision)s, NULL)
FROM override WHERE override_id = %(override_id)s
RETURNING row_id
