-- What was true at a time, as the store believed it at a revision; and all that ever happened to a customer.
SET LOCAL lock_timeout = '3s';

CREATE FUNCTION stood(valid tstzrange, recorded int8range, as_of timestamptz, revision bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN recorded @> revision AND CASE WHEN as_of IS NULL THEN upper_inf(valid) ELSE valid @> as_of END;
COMMENT ON FUNCTION stood IS 'Whether a row was believed at the revision and true at the time; without a time: the row recorded last.';

-- Which revision was the last one at a time.
CREATE INDEX revision_log_time ON revision_log (recorded_at, revision);
-- Who a name led to; the indexes of the present hold current rows only.
CREATE INDEX customer_alias_alias ON customer_alias (alias);
CREATE INDEX customer_domain_domain ON customer_domain (domain);
CREATE INDEX user_membership_user ON user_membership (user_id);
-- The timeline, and the delivery behind a refusal without a license.
CREATE INDEX delivery_customer ON delivery (customer_id, revision, sequence);
