-- What comparing the store with a full export of Salesforce came to.
SET LOCAL lock_timeout = '3s';

CREATE TABLE reconciliation (
    reconciliation_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor             text        NOT NULL,
    file              text        NOT NULL,
    revision          bigint      NOT NULL,
    rows              bigint      NOT NULL,
    excluded          bigint      NOT NULL,
    missing           bigint      NOT NULL,
    extra             bigint      NOT NULL,
    different         bigint      NOT NULL,
    unknown_sku       bigint      NOT NULL
);
COMMENT ON TABLE reconciliation IS 'Each comparison with a full export: who, which file, at which revision, and how many customers were off, by kind.';
