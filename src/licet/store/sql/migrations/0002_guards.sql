-- License history can no more be deleted than it can be rewritten, and every table says what it is.
CREATE FUNCTION license_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE exception 'license rows are history: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'license_is_kept', TABLE = 'license';
END $$;
CREATE TRIGGER license_is_kept BEFORE DELETE OR TRUNCATE ON license FOR EACH STATEMENT
    EXECUTE FUNCTION license_is_kept();

COMMENT ON TABLE sku IS 'What sales sells, by catalog version: the Salesforce fields that each SKU comes from.';
COMMENT ON TABLE feature IS 'What applications ask about, by catalog version.';
COMMENT ON TABLE sku_feature IS 'Which SKU grants which feature, by catalog version.';
COMMENT ON TABLE api_key IS 'The keys that callers show, with their scopes; a revoked one stays listed.';
COMMENT ON TABLE queue_log IS 'The id of the log that this database holds, so that no other log''s offsets are taken for its own.';
COMMENT ON TABLE queue_partition IS 'The next offset of each partition of the log; who appends locks the row.';
COMMENT ON TABLE schema_migration IS 'The migrations that were applied, each with the SHA-256 of its text.';
