-- Exceptions that a person made, or the safety brake.
SET LOCAL lock_timeout = '3s';

CREATE TABLE override (
    row_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    override_id uuid NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    sku         text COLLATE "C",
    feature     text COLLATE "C",
    effect      text NOT NULL CHECK (effect IN ('grant', 'block')),
    kind        text NOT NULL CHECK (kind IN ('override', 'trial', 'brake')),
    value       double precision,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    reason      text NOT NULL,
    author      text NOT NULL,
    ended_by    text,
    end_reason  text,
    valid       tstzrange NOT NULL,
    recorded    int8range NOT NULL,
    CHECK (num_nonnulls(sku, feature) = 1)
);
COMMENT ON TABLE override IS 'Grants and blocks that a person made, with a reason, an author and an end; kept as licenses are.';
