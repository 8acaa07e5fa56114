-- What time changes of overrides and graces; and when a customer was deleted, restored or erased.
SET LOCAL lock_timeout = '3s';

INSERT INTO clock_position (kind, boundary, at, row_id)
VALUES ('override', 'start', clock_timestamp(), 0), ('override', 'end', clock_timestamp(), 0),
       ('grace', 'end', clock_timestamp(), 0);

CREATE INDEX override_starts ON override (starts_at, row_id) WHERE upper_inf(valid) AND upper_inf(recorded);
CREATE INDEX override_ends ON override (ends_at, row_id) WHERE upper_inf(valid) AND upper_inf(recorded);

-- Versions applied so far say it in their text only, each in the table of its SKU.
ALTER TABLE sku ADD COLUMN grace_days integer NOT NULL DEFAULT 0;
UPDATE sku SET grace_days = coalesce((
    SELECT (regexp_match(document, '\[skus\."?' || replace(sku, '.', '\.') || '"?\][^[]*?\n\s*grace_days\s*=\s*(\d+)'))[1]
    FROM catalog_version WHERE version = sku.catalog_version)::int, 0);
COMMENT ON COLUMN sku.grace_days IS 'How long access goes on after a license that gave it has ended; days of 24 hours.';

CREATE FUNCTION grace_from(status text, starts_at timestamptz, ends_at timestamptz, valid tstzrange) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN status = 'active' AND (starts_at IS NULL OR starts_at < ends_at) THEN ends_at
                WHEN status = 'ended' AND (starts_at IS NULL OR starts_at < least(ends_at, lower(valid)))
                THEN least(ends_at, lower(valid)) END;
COMMENT ON FUNCTION grace_from IS 'When the grace of a license begins, null where none follows; of one that ended see also license_open.told.';
CREATE INDEX license_graces ON license (sku, grace_from(status, starts_at, ends_at, valid), row_id)
    WHERE upper_inf(valid) AND upper_inf(recorded) AND grace_from(status, starts_at, ends_at, valid) IS NOT NULL;

CREATE TABLE customer_fate (
    customer_id text        COLLATE "C" NOT NULL,
    revision    bigint      NOT NULL,
    fate        text        NOT NULL CHECK (fate IN ('living', 'deleted', 'erased')),
    since       timestamptz NOT NULL,
    PRIMARY KEY (customer_id, revision)
);
COMMENT ON TABLE customer_fate IS 'Deletions, restorations and erasures: at which revision each was written, and since when it is true. Without a row: living.';
INSERT INTO customer_fate (customer_id, revision, fate, since)
SELECT c.customer_id, d.revision, CASE WHEN d.rule = 'erased' THEN 'erased' ELSE 'deleted' END,
       coalesce(CASE d.log WHEN 'people' THEN d.received_at ELSE least(d.source_time, d.received_at) END, c.updated_at)
FROM customer c JOIN delivery d ON d.sequence = c.last_delivery WHERE c.deleted;

CREATE FUNCTION fate(customer_id text, as_of timestamptz, revision bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce((
        SELECT f.fate FROM customer_fate f
        WHERE f.customer_id = fate.customer_id AND f.revision <= fate.revision AND (as_of IS NULL OR f.since <= as_of)
        ORDER BY f.revision DESC LIMIT 1), 'living');
COMMENT ON FUNCTION fate IS 'What had become of a customer, as believed at the revision and true at the time; without a time: as recorded last.';

-- The delivery that a write comes from is there before it; a catalog's write has none of its own.
CREATE FUNCTION customer_fated() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    cause  delivery%ROWTYPE;
    before customer_fate%ROWTYPE;
    came   text := CASE WHEN NEW.deleted THEN 'deleted' ELSE 'living' END;
    at     timestamptz;
BEGIN
    IF TG_OP = 'INSERT' OR NEW.last_delivery <> OLD.last_delivery THEN
        SELECT * INTO cause FROM delivery WHERE sequence = NEW.last_delivery;
    END IF;
    SELECT * INTO before FROM customer_fate f WHERE f.customer_id = NEW.customer_id ORDER BY f.revision DESC LIMIT 1;
    IF cause.rule = 'erased' THEN
        came := 'erased';
    ELSIF came = 'deleted' AND before.fate = 'erased' THEN
        RETURN NULL; -- a later deletion of what is gone
    END IF;
    IF came = coalesce(before.fate, 'living') THEN
        RETURN NULL;
    END IF;
    at := coalesce(CASE cause.log WHEN 'people' THEN cause.received_at ELSE least(cause.source_time, cause.received_at) END,
                   clock_timestamp());
    INSERT INTO customer_fate AS f (customer_id, revision, fate, since)
    VALUES (NEW.customer_id, NEW.revision, came, greatest(at, before.since + interval '1 microsecond'))
    ON CONFLICT (customer_id, revision) DO UPDATE SET fate = excluded.fate, since = excluded.since;
    RETURN NULL;
END $$;
CREATE TRIGGER customer_fated_new AFTER INSERT ON customer FOR EACH ROW WHEN (NEW.deleted)
    EXECUTE FUNCTION customer_fated();
CREATE TRIGGER customer_fated AFTER UPDATE ON customer FOR EACH ROW WHEN (NEW.deleted OR OLD.deleted)
    EXECUTE FUNCTION customer_fated();
