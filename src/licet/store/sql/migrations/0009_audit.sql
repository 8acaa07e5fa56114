-- Who did what: entries are added and never changed, not even by whoever owns the table.
SET LOCAL lock_timeout = '3s';

CREATE TABLE audit_entry (
    entry_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text        NOT NULL,
    via         text        NOT NULL CHECK (via IN ('api', 'cli', 'page', 'service')),
    action      text        NOT NULL,
    customer_id text        COLLATE "C",
    subject     text        NOT NULL,
    before      jsonb,
    after       jsonb,
    reason      text
);
CREATE INDEX audit_entry_customer ON audit_entry (customer_id, entry_id) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE audit_entry IS 'What people did, written in the transaction that did it; rows are added and never changed.';

CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE exception 'audit entries are history: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_is_kept', TABLE = 'audit_entry';
END $$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry FOR EACH STATEMENT
    EXECUTE FUNCTION audit_is_kept();
-- Holds for the owner too, until it grants itself the right anew: so services should run as a role that owns nothing
-- (docs/reference/audit.md).
REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM PUBLIC, CURRENT_USER;

-- All deliveries of one customer: what an erasure empties.
CREATE INDEX IF NOT EXISTS delivery_customer ON delivery (customer_id, sequence);
