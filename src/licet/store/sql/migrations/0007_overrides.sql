-- What a person, or the safety brake, grants or blocks for a time, whatever the licenses say.
SET LOCAL lock_timeout = '3s';

CREATE TABLE override (
    row_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    override_id uuid        NOT NULL,
    customer_id text        COLLATE "C" NOT NULL,
    sku         text        COLLATE "C",
    feature     text        COLLATE "C",
    effect      text        NOT NULL CHECK (effect IN ('grant', 'block')),
    kind        text        NOT NULL CHECK (kind IN ('override', 'trial', 'brake')),
    value       double precision CHECK (value IS NULL OR (effect = 'grant' AND value >= 0 AND value < 'Infinity')),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL CHECK (ends_at > starts_at),
    reason      text        NOT NULL,
    author      text        NOT NULL,
    ended_by    text,
    end_reason  text,
    valid       tstzrange   NOT NULL CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
    recorded    int8range   NOT NULL CHECK (NOT isempty(recorded) AND NOT lower_inf(recorded)),
    CHECK (num_nonnulls(sku, feature) = 1),
    CHECK (coalesce(sku, feature) ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'), -- the feed joins them by space and bar
    CHECK (num_nonnulls(ended_by, end_reason) <> 1)
);
CREATE INDEX override_customer ON override (customer_id, override_id) WHERE upper_inf(valid) AND upper_inf(recorded);
CREATE UNIQUE INDEX override_current ON override (override_id) WHERE upper_inf(valid) AND upper_inf(recorded);
CREATE INDEX override_history ON override (customer_id, row_id);
CREATE INDEX override_rows ON override (override_id, row_id);
COMMENT ON TABLE override IS 'Grants and blocks, each with a reason, an author and an end; never overwritten. A row is current where valid and recorded are both open.';
COMMENT ON COLUMN override.value IS 'Null: on, or the value that the SKU grants.';
COMMENT ON COLUMN override.ended_by IS 'Who ended it early, on the copy with "valid" cut; end_reason says why.';

CREATE FUNCTION override_only_closes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    words text[] := '{reason,author,ended_by,end_reason}';
BEGIN
    IF TG_OP = 'UPDATE' AND upper_inf(OLD.recorded) AND NEW.recorded <@ OLD.recorded
       AND to_jsonb(NEW) - 'recorded' = to_jsonb(OLD) - 'recorded' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - words = to_jsonb(OLD) - words
       AND concat(NEW.reason, NEW.author, NEW.ended_by, NEW.end_reason) = '' THEN -- the customer is erased
        RETURN NEW;
    END IF;
    RAISE exception 'override rows are history: only an open "recorded" may be closed, % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'override_only_closes', TABLE = 'override';
END $$;
CREATE TRIGGER override_only_closes BEFORE UPDATE OR DELETE ON override FOR EACH ROW
    EXECUTE FUNCTION override_only_closes();
CREATE TRIGGER override_is_kept BEFORE TRUNCATE ON override FOR EACH STATEMENT
    EXECUTE FUNCTION override_only_closes();

-- What a decision reads of licenses. Grace follows an end only where access ended with it: "told" is 'void' where the
-- license ended from another state than 'active', or where the customer is deleted.
CREATE VIEW license_open AS
SELECT l.*,
       CASE WHEN l.status = 'ended' AND NOT EXISTS (
           SELECT FROM license b JOIN customer c ON c.customer_id = b.customer_id AND NOT c.deleted
           WHERE b.customer_id = l.customer_id AND b.sku = l.sku AND upper_inf(b.recorded)
             AND coalesce(upper(b.valid), 'infinity') = lower(l.valid) AND b.status = 'active'
       ) THEN 'void' ELSE l.status END AS told
FROM license l
WHERE coalesce(upper(l.valid), 'infinity') = 'infinity' AND upper_inf(l.recorded);
COMMENT ON VIEW license_open IS 'The open license rows, with the status that followers are told.';
