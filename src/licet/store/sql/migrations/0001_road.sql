-- The road: catalog, customers, licenses, ledger, revisions, queue.
-- Two times stand on all that a decision reads: "valid" (when it was true) and "recorded" (the revisions in which
-- Licet believed it).

-- The one write lock: who changes an answer increments this row first. So revisions rise in commit order.
CREATE TABLE revision (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch    uuid   NOT NULL DEFAULT gen_random_uuid(),
    revision bigint NOT NULL,
    sequence bigint NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE revision IS 'The number of the last committed write, and of the last delivery. Its row lock is the only write lock.';
COMMENT ON COLUMN revision.sequence IS 'The last sequence number given to a delivery.';
INSERT INTO revision (revision, sequence) VALUES (0, 0);

CREATE TABLE revision_log (
    revision    bigint      PRIMARY KEY,
    epoch       uuid        NOT NULL,
    tag         bigint      NOT NULL,
    recorded_at timestamptz NOT NULL
);
COMMENT ON TABLE revision_log IS 'When each revision was written. Followers present (epoch, revision, tag) and reload where that row is missing or differs.';

CREATE TABLE change_feed (
    revision bigint NOT NULL,
    kind     text   NOT NULL CHECK (kind IN ('customer', 'user', 'domain', 'catalog')),
    subject  text   COLLATE "C" NOT NULL,
    PRIMARY KEY (revision, kind, subject)
);
COMMENT ON TABLE change_feed IS 'What each revision touched.';

CREATE TABLE catalog_version (
    version    integer     PRIMARY KEY,
    document   text        NOT NULL,
    author     text        NOT NULL,
    valid      tstzrange   NOT NULL,
    recorded   int8range   NOT NULL,
    refolded   text        COLLATE "C"
);
CREATE UNIQUE INDEX catalog_version_current ON catalog_version ((true)) WHERE upper_inf(recorded);
COMMENT ON TABLE catalog_version IS 'Every catalog ever applied, as it was written (TOML). The current one has an open "recorded".';
COMMENT ON COLUMN catalog_version.refolded IS 'The last customer id that this version has reached; null before the first, ~ when all are done.';

CREATE TABLE sku (
    catalog_version integer NOT NULL REFERENCES catalog_version,
    sku             text    COLLATE "C" NOT NULL,
    title           text    NOT NULL,
    flag_field      text    NOT NULL,
    from_field      text,
    until_field     text,
    quantity_field  text,
    PRIMARY KEY (catalog_version, sku)
);
CREATE TABLE feature (
    catalog_version integer NOT NULL REFERENCES catalog_version,
    feature         text    COLLATE "C" NOT NULL,
    title           text    NOT NULL,
    PRIMARY KEY (catalog_version, feature)
);
CREATE TABLE sku_feature (
    catalog_version integer NOT NULL,
    sku             text    COLLATE "C" NOT NULL,
    feature         text    COLLATE "C" NOT NULL,
    value           numeric,
    PRIMARY KEY (catalog_version, sku, feature),
    FOREIGN KEY (catalog_version, sku) REFERENCES sku,
    FOREIGN KEY (catalog_version, feature) REFERENCES feature
);
COMMENT ON COLUMN sku_feature.value IS 'Null: the feature is on. A number: its value; the largest among several SKUs wins.';

CREATE TABLE customer (
    customer_id     text        COLLATE "C" PRIMARY KEY,
    name            text,
    account_manager text,
    sales_engineer  text,
    deleted         boolean     NOT NULL,
    fields          json        NOT NULL,
    first_delivery  bigint      NOT NULL,
    last_delivery   bigint      NOT NULL,
    revision        bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX customer_name ON customer (lower(name) text_pattern_ops, customer_id);
COMMENT ON TABLE customer IS 'A Salesforce account, as the changes folded so far describe it.';
COMMENT ON COLUMN customer.fields IS 'Field name → [value, sequence of the delivery that wrote it, source time in microseconds since 1970 or null, whether that write was timed].';

CREATE TABLE customer_alias (
    alias       text      COLLATE "C" NOT NULL,
    customer_id text      COLLATE "C" NOT NULL,
    origin      text      NOT NULL CHECK (origin IN ('source', 'person')),
    author      text      NOT NULL,
    valid       tstzrange NOT NULL,
    recorded    int8range NOT NULL
);
CREATE UNIQUE INDEX customer_alias_current ON customer_alias (alias) WHERE upper_inf(valid) AND upper_inf(recorded);
CREATE INDEX customer_alias_customer ON customer_alias (customer_id);
COMMENT ON TABLE customer_alias IS 'Another name of a customer, system:value. From a Salesforce field (source) or from a person.';

CREATE TABLE customer_domain (
    domain      text      COLLATE "C" NOT NULL,
    customer_id text      COLLATE "C" NOT NULL,
    origin      text      NOT NULL CHECK (origin IN ('source', 'person')),
    author      text      NOT NULL,
    valid       tstzrange NOT NULL,
    recorded    int8range NOT NULL
);
CREATE UNIQUE INDEX customer_domain_current ON customer_domain (domain, customer_id)
    WHERE upper_inf(valid) AND upper_inf(recorded);
CREATE INDEX customer_domain_customer ON customer_domain (customer_id);
COMMENT ON TABLE customer_domain IS 'A verified e-mail domain of a customer; its addresses resolve to the customer.';

CREATE TABLE user_membership (
    user_id     text      COLLATE "C" NOT NULL,
    customer_id text      COLLATE "C" NOT NULL,
    origin      text      NOT NULL CHECK (origin IN ('source', 'person')),
    author      text      NOT NULL,
    valid       tstzrange NOT NULL,
    recorded    int8range NOT NULL
);
CREATE UNIQUE INDEX user_membership_current ON user_membership (user_id, customer_id)
    WHERE upper_inf(valid) AND upper_inf(recorded);
CREATE INDEX user_membership_customer ON user_membership (customer_id);
COMMENT ON TABLE user_membership IS 'A user of a customer, said outright; it goes before the e-mail domain.';

CREATE TABLE license (
    row_id          bigint    GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    license_id      uuid      NOT NULL,
    customer_id     text      COLLATE "C" NOT NULL,
    sku             text      COLLATE "C" NOT NULL,
    status          text      NOT NULL CHECK (status IN ('active', 'pending_terms', 'suspended', 'ended')),
    starts_at       timestamptz,
    ends_at         timestamptz,
    quantity        bigint,
    valid           tstzrange NOT NULL CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
    recorded        int8range NOT NULL CHECK (NOT isempty(recorded) AND NOT lower_inf(recorded)),
    opened_delivery bigint,
    opened_catalog  integer,
    closed_delivery bigint,
    closed_catalog  integer,
    CHECK (num_nonnulls(opened_delivery, opened_catalog) = 1),
    CHECK (num_nonnulls(closed_delivery, closed_catalog) <= 1)
);
CREATE INDEX license_customer ON license (customer_id, sku);
-- What Licet believes now, the row valid last first to find: 'infinity' is the open one, of which there is one per SKU.
CREATE UNIQUE INDEX license_believed ON license (customer_id, (coalesce(upper(valid), 'infinity')), sku)
    WHERE upper_inf(recorded);
COMMENT ON TABLE license IS 'Customer × SKU × validity × status; never overwritten. A row is current where valid and recorded are both open.';
COMMENT ON COLUMN license.valid IS 'When this state was true.';
COMMENT ON COLUMN license.recorded IS 'The revisions in which Licet believed this row.';
COMMENT ON COLUMN license.opened_delivery IS 'delivery.sequence of the change that opened the row; opened_catalog where a catalog version did.';

-- The database itself forbids two rows of one customer and SKU that overlap in both times. A row is inserted with
-- "recorded" open from the present revision on (so only rows believed now can overlap it there), and an update may
-- only close "recorded" (so it cannot make an overlap). A GiST exclusion says the same and cost 20 µs a row, of the
-- some 50 µs that a whole change may take; this look-up costs 5 (docs/decisions/0004). The trigger takes the write
-- lock, so that no other transaction's row can be missed.
CREATE FUNCTION license_no_overlap() RETURNS trigger LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    present bigint;
    clash   record;
BEGIN
    SELECT revision INTO present FROM revision FOR UPDATE;
    SELECT * INTO clash FROM added WHERE recorded <> int8range(present, NULL) LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING
            MESSAGE = format('license row %s is recorded %s; a new row is recorded from the present revision %s on',
                             clash.row_id, clash.recorded, present),
            CONSTRAINT = 'license_recorded_now', TABLE = 'license';
    END IF;
    SELECT added.customer_id, added.sku, added.row_id AS one, other.row_id AS two INTO clash
    FROM added JOIN license other ON other.customer_id = added.customer_id
        AND coalesce(upper(other.valid), 'infinity') > lower(added.valid) AND other.sku = added.sku
    WHERE upper_inf(other.recorded) AND other.row_id <> added.row_id AND other.valid && added.valid
    LIMIT 1;
    IF FOUND THEN
        RAISE exclusion_violation USING
            MESSAGE = format('license rows %s and %s of customer %s, SKU %s overlap in both times',
                             clash.one, clash.two, clash.customer_id, clash.sku),
            CONSTRAINT = 'license_no_overlap', TABLE = 'license';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER license_no_overlap_insert AFTER INSERT ON license
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION license_no_overlap();
CREATE FUNCTION license_only_closes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE exception 'license row % is history: only an open "recorded" may be closed', OLD.row_id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'license_only_closes', TABLE = 'license';
END $$;
CREATE TRIGGER license_only_closes BEFORE UPDATE ON license FOR EACH ROW
    WHEN (NOT upper_inf(OLD.recorded) OR NOT (NEW.recorded <@ OLD.recorded)
          OR (NEW.row_id, NEW.license_id, NEW.customer_id, NEW.sku, NEW.status, NEW.valid, NEW.opened_delivery)
             IS DISTINCT FROM
             (OLD.row_id, OLD.license_id, OLD.customer_id, OLD.sku, OLD.status, OLD.valid, OLD.opened_delivery)
          OR (NEW.starts_at, NEW.ends_at, NEW.quantity, NEW.opened_catalog, NEW.closed_delivery, NEW.closed_catalog)
             IS DISTINCT FROM
             (OLD.starts_at, OLD.ends_at, OLD.quantity, OLD.opened_catalog, OLD.closed_delivery, OLD.closed_catalog))
    EXECUTE FUNCTION license_only_closes();

CREATE TABLE delivery (
    log          text        COLLATE "C" NOT NULL,
    partition    integer     NOT NULL,
    "offset"     bigint      NOT NULL,
    sequence     bigint      NOT NULL,
    revision     bigint      NOT NULL,
    source       text        COLLATE "C",
    event_id     text        COLLATE "C",
    customer_id  text        COLLATE "C",
    payload_hash bytea       NOT NULL,
    received_at  timestamptz,
    source_time  timestamptz,
    outcome      text        NOT NULL CHECK (outcome IN ('applied', 'ignored', 'superseded', 'dead')),
    reason       text,
    rule         text        NOT NULL,
    replay_of    bigint,
    payload      bytea,
    PRIMARY KEY (log, partition, "offset")
);
CREATE UNIQUE INDEX delivery_sequence ON delivery (sequence);
CREATE INDEX delivery_event ON delivery (event_id);
COMMENT ON TABLE delivery IS 'The ledger: one row for each arrival of a change in a log, with its one outcome.';
COMMENT ON COLUMN delivery.replay_of IS 'delivery.sequence of the original, where this delivery is a replay.';

CREATE TABLE dead_letter (
    sequence    bigint      PRIMARY KEY,
    reason      text        NOT NULL,
    faults      jsonb       NOT NULL,
    key         bytea,
    value       bytea,
    headers     jsonb       NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE dead_letter IS 'What could not be applied: the raw bytes, the reason, every fault. Its delivery has the same sequence.';
COMMENT ON COLUMN dead_letter.headers IS '[[name, value in base64], …] as they stood in the log.';

CREATE TABLE consumer_offset (
    log         text    COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (log, partition)
) WITH (fillfactor = 20);
COMMENT ON TABLE consumer_offset IS 'The next offset to apply; moved by compare-and-swap in the transaction that applies, so that a second owner is fenced.';

CREATE TABLE api_key (
    key_id       text        COLLATE "C" PRIMARY KEY,
    name         text        NOT NULL,
    hash         bytea       NOT NULL UNIQUE,
    scopes       text[]      NOT NULL,
    author       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);
COMMENT ON COLUMN api_key.hash IS 'SHA-256 of the secret, which has 256 random bits; the secret itself is shown once and kept nowhere.';

-- The queue, where no Kafka is configured. Who appends locks the partition's row, so offsets rise in commit order.
CREATE TABLE queue_log (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    log_id  uuid    NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO queue_log DEFAULT VALUES;
CREATE TABLE queue_partition (
    partition   integer PRIMARY KEY,
    next_offset bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO queue_partition (partition) SELECT generate_series(0, 11);
CREATE TABLE queue_record (
    partition   integer     NOT NULL REFERENCES queue_partition,
    "offset"    bigint      NOT NULL,
    key         bytea,
    value       bytea,
    headers     bytea       NOT NULL,
    appended_at timestamptz NOT NULL,
    PRIMARY KEY (partition, "offset")
);
COMMENT ON TABLE queue_record IS 'The log where no Kafka is configured; trimmed below the committed offset. Headers are MessagePack [[name, bytes], …].';

-- What a person reads in psql.
CREATE VIEW license_current AS
SELECT l.customer_id, c.name AS customer, l.sku,
       CASE WHEN l.status <> 'active' THEN l.status
            WHEN l.starts_at > now() THEN 'not_yet_valid'
            WHEN l.ends_at <= now() THEN 'expired'
            ELSE 'active' END AS state,
       l.starts_at, l.ends_at, l.quantity, lower(l.valid) AS since, c.account_manager,
       l.license_id, l.opened_delivery, l.opened_catalog
FROM license l LEFT JOIN customer c USING (customer_id)
WHERE upper_inf(l.valid) AND upper_inf(l.recorded);
COMMENT ON VIEW license_current IS 'The licenses as Licet believes them now, one row per customer and SKU.';
