-- All migrations together, as pg_dump says it. To read, not to run. See docs/reference/data-model.md.

CREATE FUNCTION public.audit_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE exception 'audit entries are history: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_is_kept', TABLE = 'audit_entry';
END $$;

CREATE FUNCTION public.customer_fated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE public.customer_fate (
    customer_id text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    fate text NOT NULL,
    since timestamp with time zone NOT NULL,
    CONSTRAINT customer_fate_fate_check CHECK ((fate = ANY (ARRAY['living'::text, 'deleted'::text, 'erased'::text])))
);

COMMENT ON TABLE public.customer_fate IS 'Deletions, restorations and erasures: at which revision each was written, and since when it is true. Without a row: living.';

CREATE FUNCTION public.fate(customer_id text, as_of timestamp with time zone, revision bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((SELECT f.fate FROM public.customer_fate f WHERE ((f.customer_id = fate.customer_id) AND (f.revision <= fate.revision) AND ((fate.as_of IS NULL) OR (f.since <= fate.as_of))) ORDER BY f.revision DESC LIMIT 1), 'living'::text);

COMMENT ON FUNCTION public.fate(customer_id text, as_of timestamp with time zone, revision bigint) IS 'What had become of a customer, as believed at the revision and true at the time; without a time: as recorded last.';

CREATE FUNCTION public.grace_from(status text, starts_at timestamp with time zone, ends_at timestamp with time zone, valid tstzrange) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((status = 'active'::text) AND ((starts_at IS NULL) OR (starts_at < ends_at))) THEN ends_at WHEN ((status = 'ended'::text) AND ((starts_at IS NULL) OR (starts_at < LEAST(ends_at, lower(valid))))) THEN LEAST(ends_at, lower(valid)) ELSE NULL::timestamp with time zone END;

COMMENT ON FUNCTION public.grace_from(status text, starts_at timestamp with time zone, ends_at timestamp with time zone, valid tstzrange) IS 'When the grace of a license begins, null where none follows; of one that ended see also license_open.told.';

CREATE FUNCTION public.license_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE exception 'license rows are history: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'license_is_kept', TABLE = 'license';
END $$;

CREATE FUNCTION public.license_no_overlap() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION public.license_only_closes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE exception 'license row % is history: only an open "recorded" may be closed', OLD.row_id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'license_only_closes', TABLE = 'license';
END $$;

CREATE FUNCTION public.override_only_closes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.spool_gate(known bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM spool_state WHERE open AND opening = known FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the spool is closed' USING ERRCODE = 'LS001';
    END IF;
END $$;

COMMENT ON FUNCTION public.spool_gate(known bigint) IS 'Holds the spool open until the transaction ends; refuses where it is closed, or was closed since the caller looked.';

CREATE FUNCTION public.stood(valid tstzrange, recorded int8range, as_of timestamp with time zone, revision bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((recorded @> revision) AND CASE WHEN (as_of IS NULL) THEN upper_inf(valid) ELSE (valid @> as_of) END);

COMMENT ON FUNCTION public.stood(valid tstzrange, recorded int8range, as_of timestamp with time zone, revision bigint) IS 'Whether a row was believed at the revision and true at the time; without a time: the row recorded last.';

CREATE TABLE public.api_key (
    key_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    hash bytea NOT NULL,
    scopes text[] NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone
);

COMMENT ON TABLE public.api_key IS 'The keys that callers show, with their scopes; a revoked one stays listed.';

COMMENT ON COLUMN public.api_key.hash IS 'SHA-256 of the secret, which has 256 random bits; the secret itself is shown once and kept nowhere.';

CREATE TABLE public.audit_entry (
    entry_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    via text NOT NULL,
    action text NOT NULL,
    customer_id text COLLATE pg_catalog."C",
    subject text NOT NULL,
    before jsonb,
    after jsonb,
    reason text,
    CONSTRAINT audit_entry_via_check CHECK ((via = ANY (ARRAY['api'::text, 'cli'::text, 'page'::text, 'service'::text])))
);

COMMENT ON TABLE public.audit_entry IS 'What people did, written in the transaction that did it; rows are added and never changed.';

ALTER TABLE public.audit_entry ALTER COLUMN entry_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_entry_entry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.brake_end (
    customer_id text NOT NULL COLLATE pg_catalog."C",
    sku text NOT NULL COLLATE pg_catalog."C",
    ended_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.brake_end IS 'Licenses that changes ended and the safety brake did not hold, for as long as they may be restored in one step.';

CREATE TABLE public.brake_minute (
    minute timestamp with time zone NOT NULL,
    ends bigint NOT NULL,
    active bigint,
    CONSTRAINT brake_minute_ends_check CHECK ((ends > 0))
);

COMMENT ON TABLE public.brake_minute IS 'How many licenses changes ended, by minute; only minutes with ends have a row. The holds themselves are overrides of kind "brake".';

COMMENT ON COLUMN public.brake_minute.active IS 'How many licenses gave access when this window began; counted once in a window, where as many end as may count.';

CREATE TABLE public.catalog_version (
    version integer NOT NULL,
    document text NOT NULL,
    author text NOT NULL,
    valid tstzrange NOT NULL,
    recorded int8range NOT NULL,
    refolded text COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.catalog_version IS 'Every catalog ever applied, as it was written (TOML). The current one has an open "recorded".';

COMMENT ON COLUMN public.catalog_version.refolded IS 'The last customer id that this version has reached; null before the first, ~ when all are done.';

CREATE TABLE public.change_feed (
    revision bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT change_feed_kind_check CHECK ((kind = ANY (ARRAY['customer'::text, 'user'::text, 'domain'::text, 'catalog'::text])))
);

COMMENT ON TABLE public.change_feed IS 'What each revision touched.';

CREATE TABLE public.clock_position (
    kind text NOT NULL,
    boundary text NOT NULL,
    at timestamp with time zone NOT NULL,
    row_id bigint NOT NULL
)
WITH (fillfactor='20');

COMMENT ON TABLE public.clock_position IS 'The last boundary of each kind that the clock has looked at. After a downtime it goes on from there.';

CREATE TABLE public.console_end (
    whose text NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT console_end_whose_check CHECK ((whose = ANY (ARRAY['session'::text, 'person'::text, 'everyone'::text])))
);

COMMENT ON TABLE public.console_end IS 'Sessions that were ended: one, all of a person, or everyone''s; each that began before "at".';

CREATE TABLE public.console_link (
    digest bytea NOT NULL,
    name text NOT NULL,
    until timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.console_link IS 'Links into the console that were not used yet: SHA-256 of the token, and who comes by it.';

CREATE TABLE public.consumer_offset (
    log text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    next_offset bigint NOT NULL
)
WITH (fillfactor='20');

COMMENT ON TABLE public.consumer_offset IS 'The next offset to apply; moved by compare-and-swap in the transaction that applies, so that a second owner is fenced.';

CREATE TABLE public.consumer_progress (
    log text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    caught_up_at timestamp with time zone NOT NULL
)
WITH (fillfactor='20');

COMMENT ON TABLE public.consumer_progress IS 'All that a partition of the log took before caught_up_at is applied, as its worker said it last, at most four times a second. A stuck or missing worker leaves it behind.';

CREATE TABLE public.customer (
    customer_id text NOT NULL COLLATE pg_catalog."C",
    name text,
    account_manager text,
    sales_engineer text,
    deleted boolean NOT NULL,
    fields json NOT NULL,
    first_delivery bigint NOT NULL,
    last_delivery bigint NOT NULL,
    revision bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE public.customer IS 'A Salesforce account, as the changes folded so far describe it.';

COMMENT ON COLUMN public.customer.fields IS 'Field name → [value, sequence of the delivery that wrote it, source time in microseconds since 1970 or null, whether that write was timed].';

CREATE TABLE public.customer_alias (
    alias text NOT NULL COLLATE pg_catalog."C",
    customer_id text NOT NULL COLLATE pg_catalog."C",
    origin text NOT NULL,
    author text NOT NULL,
    valid tstzrange NOT NULL,
    recorded int8range NOT NULL,
    CONSTRAINT customer_alias_origin_check CHECK ((origin = ANY (ARRAY['source'::text, 'person'::text])))
);

COMMENT ON TABLE public.customer_alias IS 'Another name of a customer, system:value. From a Salesforce field (source) or from a person.';

CREATE TABLE public.customer_domain (
    domain text NOT NULL COLLATE pg_catalog."C",
    customer_id text NOT NULL COLLATE pg_catalog."C",
    origin text NOT NULL,
    author text NOT NULL,
    valid tstzrange NOT NULL,
    recorded int8range NOT NULL,
    CONSTRAINT customer_domain_origin_check CHECK ((origin = ANY (ARRAY['source'::text, 'person'::text])))
);

COMMENT ON TABLE public.customer_domain IS 'A verified e-mail domain of a customer; its addresses resolve to the customer.';

CREATE TABLE public.dead_letter (
    sequence bigint NOT NULL,
    reason text NOT NULL,
    faults jsonb NOT NULL,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    letter bigint NOT NULL,
    origin text DEFAULT 'log'::text NOT NULL,
    CONSTRAINT dead_letter_origin_check CHECK ((origin = ANY (ARRAY['log'::text, 'door'::text])))
);

COMMENT ON TABLE public.dead_letter IS 'What could not be applied: the raw bytes, the reason, every fault. A letter of the log has its delivery''s sequence.';

COMMENT ON COLUMN public.dead_letter.headers IS '[[name, value in base64], …] as they stood in the log.';

COMMENT ON COLUMN public.dead_letter.origin IS 'log: a delivery ended dead. door: an authenticated sender posted it and got a 4xx; bounded in number and age.';

CREATE TABLE public.dead_letter_action (
    action_id bigint NOT NULL,
    letter bigint NOT NULL,
    action text NOT NULL,
    run uuid NOT NULL,
    author text NOT NULL,
    reason text,
    partition integer,
    "offset" bigint,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dead_letter_action_action_check CHECK ((action = ANY (ARRAY['replay'::text, 'drop'::text])))
);

COMMENT ON TABLE public.dead_letter_action IS 'Replays and drops of dead letters: who, when, in which run, and where a replay was appended.';

ALTER TABLE public.dead_letter_action ALTER COLUMN action_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letter_action_action_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.dead_letter ALTER COLUMN letter ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letter_letter_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.delivery (
    log text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    sequence bigint NOT NULL,
    revision bigint NOT NULL,
    source text COLLATE pg_catalog."C",
    event_id text COLLATE pg_catalog."C",
    customer_id text COLLATE pg_catalog."C",
    payload_hash bytea NOT NULL,
    received_at timestamp with time zone,
    source_time timestamp with time zone,
    outcome text NOT NULL,
    reason text,
    rule text NOT NULL,
    replay_of bigint,
    payload bytea,
    replay_letter bigint,
    compared_at bigint,
    CONSTRAINT delivery_outcome_check CHECK ((outcome = ANY (ARRAY['applied'::text, 'ignored'::text, 'superseded'::text, 'dead'::text])))
);

COMMENT ON TABLE public.delivery IS 'The ledger: one row for each arrival of a change in a log, with its one outcome.';

COMMENT ON COLUMN public.delivery.replay_of IS 'delivery.sequence of the original, where this delivery is a replay.';

COMMENT ON COLUMN public.delivery.replay_letter IS 'dead_letter.letter, where this delivery replays a bad post that the door kept; replay_of is then the sequence at which it is judged.';

COMMENT ON COLUMN public.delivery.compared_at IS 'Of a repair: the last delivery.sequence when the store was compared with the export; what was written after it stays.';

CREATE VIEW public.dead_letter_state AS
 SELECT l.letter,
    l.origin,
    l.reason,
    l.sequence,
    l.recorded_at,
    l.faults,
    l.key,
    l.value,
    l.headers,
    d.log,
    d.partition,
    d."offset",
    COALESCE(d.source, named.source) AS source,
    COALESCE(d.event_id, named.event_id) AS event_id,
    d.customer_id,
        CASE
            WHEN (l.origin = 'door'::text) THEN l.recorded_at
            ELSE d.received_at
        END AS received_at,
    judged.attempts,
    judged.last_outcome,
        CASE
            WHEN acted.dropped THEN 'dropped'::text
            WHEN judged.done THEN 'replayed'::text
            WHEN ((acted.replays > judged.attempts) AND (acted.last_at > (now() - '01:00:00'::interval))) THEN 'replaying'::text
            ELSE 'open'::text
        END AS state
   FROM ((((public.dead_letter l
     LEFT JOIN public.delivery d ON (((l.origin = 'log'::text) AND (d.sequence = l.sequence))))
     CROSS JOIN LATERAL ( SELECT max(convert_from(decode((h.value ->> 1), 'base64'::text), 'UTF8'::name)) FILTER (WHERE ((h.value ->> 0) = 'ce_source'::text)) AS source,
            max(convert_from(decode((h.value ->> 1), 'base64'::text), 'UTF8'::name)) FILTER (WHERE ((h.value ->> 0) = 'ce_id'::text)) AS event_id
           FROM jsonb_array_elements(
                CASE
                    WHEN (l.origin = 'door'::text) THEN l.headers
                    ELSE '[]'::jsonb
                END) h(value)) named)
     CROSS JOIN LATERAL ( SELECT count(*) AS attempts,
            COALESCE(bool_or((r.outcome <> 'dead'::text)), false) AS done,
            (array_agg((r.outcome || COALESCE((('('::text || r.reason) || ')'::text), ''::text)) ORDER BY r.sequence DESC))[1] AS last_outcome
           FROM ( SELECT delivery.outcome,
                    delivery.reason,
                    delivery.sequence
                   FROM public.delivery
                  WHERE ((l.origin = 'log'::text) AND (delivery.replay_of = l.sequence) AND (delivery.replay_letter IS NULL))
                UNION ALL
                 SELECT delivery.outcome,
                    delivery.reason,
                    delivery.sequence
                   FROM public.delivery
                  WHERE ((l.origin = 'door'::text) AND (delivery.replay_letter = l.letter))) r) judged)
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (a.action = 'replay'::text)) AS replays,
            max(a.acted_at) AS last_at,
            COALESCE(bool_or((a.action = 'drop'::text)), false) AS dropped
           FROM public.dead_letter_action a
          WHERE (a.letter = l.letter)) acted)
  WHERE (d.replay_of IS NULL);

COMMENT ON VIEW public.dead_letter_state IS 'Dead letters and what became of them: open, replaying (not judged yet; after an hour open again), replayed, dropped.';

CREATE TABLE public.feature (
    catalog_version integer NOT NULL,
    feature text NOT NULL COLLATE pg_catalog."C",
    title text NOT NULL
);

COMMENT ON TABLE public.feature IS 'What applications ask about, by catalog version.';

CREATE TABLE public.license (
    row_id bigint NOT NULL,
    license_id uuid NOT NULL,
    customer_id text NOT NULL COLLATE pg_catalog."C",
    sku text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone,
    quantity bigint,
    valid tstzrange NOT NULL,
    recorded int8range NOT NULL,
    opened_delivery bigint,
    opened_catalog integer,
    closed_delivery bigint,
    closed_catalog integer,
    CONSTRAINT license_check CHECK ((num_nonnulls(opened_delivery, opened_catalog) = 1)),
    CONSTRAINT license_check1 CHECK ((num_nonnulls(closed_delivery, closed_catalog) <= 1)),
    CONSTRAINT license_recorded_check CHECK (((NOT isempty(recorded)) AND (NOT lower_inf(recorded)))),
    CONSTRAINT license_status_check CHECK ((status = ANY (ARRAY['active'::text, 'pending_terms'::text, 'suspended'::text, 'ended'::text]))),
    CONSTRAINT license_valid_check CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

COMMENT ON TABLE public.license IS 'Customer × SKU × validity × status; never overwritten. A row is current where valid and recorded are both open.';

COMMENT ON COLUMN public.license.valid IS 'When this state was true.';

COMMENT ON COLUMN public.license.recorded IS 'The revisions in which Licet believed this row.';

COMMENT ON COLUMN public.license.opened_delivery IS 'delivery.sequence of the change that opened the row; opened_catalog where a catalog version did.';

CREATE VIEW public.license_current AS
 SELECT l.customer_id,
    c.name AS customer,
    l.sku,
        CASE
            WHEN (l.status <> 'active'::text) THEN l.status
            WHEN (l.starts_at > now()) THEN 'not_yet_valid'::text
            WHEN (l.ends_at <= now()) THEN 'expired'::text
            ELSE 'active'::text
        END AS state,
    l.starts_at,
    l.ends_at,
    l.quantity,
    lower(l.valid) AS since,
    c.account_manager,
    l.license_id,
    l.opened_delivery,
    l.opened_catalog
   FROM (public.license l
     LEFT JOIN public.customer c USING (customer_id))
  WHERE (upper_inf(l.valid) AND upper_inf(l.recorded));

COMMENT ON VIEW public.license_current IS 'The licenses as Licet believes them now, one row per customer and SKU.';

CREATE VIEW public.license_open AS
 SELECT row_id,
    license_id,
    customer_id,
    sku,
    status,
    starts_at,
    ends_at,
    quantity,
    valid,
    recorded,
    opened_delivery,
    opened_catalog,
    closed_delivery,
    closed_catalog,
        CASE
            WHEN ((status = 'ended'::text) AND (NOT (EXISTS ( SELECT
               FROM (public.license b
                 JOIN public.customer c ON (((c.customer_id = b.customer_id) AND (NOT c.deleted))))
              WHERE ((b.customer_id = l.customer_id) AND (b.sku = l.sku) AND upper_inf(b.recorded) AND (COALESCE(upper(b.valid), 'infinity'::timestamp with time zone) = lower(l.valid)) AND (b.status = 'active'::text)))))) THEN 'void'::text
            ELSE status
        END AS told
   FROM public.license l
  WHERE ((COALESCE(upper(valid), 'infinity'::timestamp with time zone) = 'infinity'::timestamp with time zone) AND upper_inf(recorded));

COMMENT ON VIEW public.license_open IS 'The open license rows, with the status that followers are told.';

ALTER TABLE public.license ALTER COLUMN row_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.license_row_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.override (
    row_id bigint NOT NULL,
    override_id uuid NOT NULL,
    customer_id text NOT NULL COLLATE pg_catalog."C",
    sku text COLLATE pg_catalog."C",
    feature text COLLATE pg_catalog."C",
    effect text NOT NULL,
    kind text NOT NULL,
    value double precision,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    ended_by text,
    end_reason text,
    valid tstzrange NOT NULL,
    recorded int8range NOT NULL,
    CONSTRAINT override_check CHECK (((value IS NULL) OR ((effect = 'grant'::text) AND (value >= (0)::double precision) AND (value < 'Infinity'::double precision)))),
    CONSTRAINT override_check1 CHECK ((ends_at > starts_at)),
    CONSTRAINT override_check2 CHECK ((num_nonnulls(sku, feature) = 1)),
    CONSTRAINT override_check3 CHECK ((COALESCE(sku, feature) ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'::text)),
    CONSTRAINT override_check4 CHECK ((num_nonnulls(ended_by, end_reason) <> 1)),
    CONSTRAINT override_effect_check CHECK ((effect = ANY (ARRAY['grant'::text, 'block'::text]))),
    CONSTRAINT override_kind_check CHECK ((kind = ANY (ARRAY['override'::text, 'trial'::text, 'brake'::text]))),
    CONSTRAINT override_recorded_check CHECK (((NOT isempty(recorded)) AND (NOT lower_inf(recorded)))),
    CONSTRAINT override_valid_check CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

COMMENT ON TABLE public.override IS 'Grants and blocks, each with a reason, an author and an end; never overwritten. A row is current where valid and recorded are both open.';

COMMENT ON COLUMN public.override.value IS 'Null: on, or the value that the SKU grants.';

COMMENT ON COLUMN public.override.ended_by IS 'Who ended it early, on the copy with "valid" cut; end_reason says why.';

ALTER TABLE public.override ALTER COLUMN row_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.override_row_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.partition_decision (
    decision_id bigint NOT NULL,
    log text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    stopped_at timestamp with time zone NOT NULL,
    from_offset bigint,
    next_offset bigint,
    author text NOT NULL,
    decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT partition_decision_action_check CHECK ((action = ANY (ARRAY['resume'::text, 'accept'::text])))
);

COMMENT ON TABLE public.partition_decision IS 'Who let a stopped partition go on, when, and what that skipped: the offsets from from_offset up to next_offset.';

ALTER TABLE public.partition_decision ALTER COLUMN decision_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.partition_decision_decision_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.partition_stop (
    log text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    next_offset bigint,
    stopped_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT partition_stop_reason_check CHECK ((reason = ANY (ARRAY['below_start'::text, 'beyond_end'::text, 'recreated'::text, 'dead_limit'::text, 'refused'::text])))
);

COMMENT ON TABLE public.partition_stop IS 'The partitions that no worker reads until a person has decided; see docs/how-to/stopped-partition.md.';

COMMENT ON COLUMN public.partition_stop.next_offset IS 'The next offset to apply when it stopped; null where it had none.';

CREATE TABLE public.publish_position (
    topic text NOT NULL COLLATE pg_catalog."C",
    epoch uuid NOT NULL,
    revision bigint NOT NULL,
    sequence bigint NOT NULL
)
WITH (fillfactor='20');

COMMENT ON TABLE public.publish_position IS 'The last revision of change_feed that a topic has, and the last delivery of that revision or before. Without its row the topic is told everything anew.';

CREATE TABLE public.queue_log (
    one boolean DEFAULT true NOT NULL,
    log_id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT queue_log_one_check CHECK (one)
);

COMMENT ON TABLE public.queue_log IS 'The id of the log that this database holds, so that no other log''s offsets are taken for its own.';

CREATE TABLE public.queue_partition (
    partition integer NOT NULL,
    next_offset bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='20');

COMMENT ON TABLE public.queue_partition IS 'The next offset of each partition of the log; who appends locks the row.';

CREATE TABLE public.queue_record (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    value bytea,
    headers bytea NOT NULL,
    appended_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.queue_record IS 'The log where no Kafka is configured; trimmed below the committed offset. Headers are MessagePack [[name, bytes], …].';

CREATE TABLE public.reconciliation (
    reconciliation_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    file text NOT NULL,
    revision bigint NOT NULL,
    rows bigint NOT NULL,
    excluded bigint NOT NULL,
    missing bigint NOT NULL,
    extra bigint NOT NULL,
    different bigint NOT NULL,
    unknown_sku bigint NOT NULL,
    repaired bigint DEFAULT 0 NOT NULL,
    held_back bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.reconciliation IS 'Each comparison with a full export: who, which file, at which revision, and how many customers were off, by kind.';

COMMENT ON COLUMN public.reconciliation.repaired IS 'Of how many customers a repair was published; held_back: of how many that were off it was not.';

ALTER TABLE public.reconciliation ALTER COLUMN reconciliation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.reconciliation_reconciliation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.revision (
    one boolean DEFAULT true NOT NULL,
    epoch uuid DEFAULT gen_random_uuid() NOT NULL,
    revision bigint NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT revision_one_check CHECK (one)
)
WITH (fillfactor='10');

COMMENT ON TABLE public.revision IS 'The number of the last committed write, and of the last delivery. Its row lock is the only write lock.';

COMMENT ON COLUMN public.revision.sequence IS 'The last sequence number given to a delivery.';

CREATE TABLE public.revision_log (
    revision bigint NOT NULL,
    epoch uuid NOT NULL,
    tag bigint NOT NULL,
    recorded_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.revision_log IS 'When each revision was written. Followers present (epoch, revision, tag) and reload where that row is missing or differs.';

CREATE TABLE public.schema_migration (
    number integer NOT NULL,
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE public.schema_migration IS 'The migrations that were applied, each with the SHA-256 of its text.';

CREATE TABLE public.sender (
    source text NOT NULL COLLATE pg_catalog."C",
    last_received_at timestamp with time zone,
    last_refused_at timestamp with time zone,
    last_refused_for text,
    unmapped jsonb DEFAULT '{}'::jsonb NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.sender IS 'What the doors saw of each sender, a few seconds late; the empty source is whoever could not be told.';

COMMENT ON COLUMN public.sender.unmapped IS '{"field": "when it was last seen"} of fields that the catalog gives no meaning.';

CREATE TABLE public.sku (
    catalog_version integer NOT NULL,
    sku text NOT NULL COLLATE pg_catalog."C",
    title text NOT NULL,
    flag_field text NOT NULL,
    from_field text,
    until_field text,
    quantity_field text,
    grace_days integer DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.sku IS 'What sales sells, by catalog version: the Salesforce fields that each SKU comes from.';

COMMENT ON COLUMN public.sku.grace_days IS 'How long access goes on after a license that gave it has ended; days of 24 hours.';

CREATE TABLE public.sku_feature (
    catalog_version integer NOT NULL,
    sku text NOT NULL COLLATE pg_catalog."C",
    feature text NOT NULL COLLATE pg_catalog."C",
    value numeric
);

COMMENT ON TABLE public.sku_feature IS 'Which SKU grants which feature, by catalog version.';

COMMENT ON COLUMN public.sku_feature.value IS 'Null: the feature is on. A number: its value; the largest among several SKUs wins.';

CREATE TABLE public.spool_state (
    one boolean DEFAULT true NOT NULL,
    open boolean DEFAULT false NOT NULL,
    opening bigint DEFAULT 0 NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT spool_state_one_check CHECK (one)
)
WITH (fillfactor='20');

COMMENT ON TABLE public.spool_state IS 'Whether Kafka is away and changes wait in queue_record until it is back.';

COMMENT ON COLUMN public.spool_state.opening IS 'Counts the openings; who spools must know the present one.';

CREATE TABLE public.time_event (
    kind text NOT NULL,
    id uuid NOT NULL,
    boundary text NOT NULL,
    at timestamp with time zone NOT NULL,
    customer_id text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    CONSTRAINT time_event_boundary_check CHECK ((boundary = ANY (ARRAY['start'::text, 'end'::text]))),
    CONSTRAINT time_event_kind_check CHECK ((kind = ANY (ARRAY['license'::text, 'override'::text, 'grace'::text])))
);

COMMENT ON TABLE public.time_event IS 'Boundaries that passed while they stood: what began or ended by time alone, once each. The answer changed at "at"; the feed told it at "revision".';

CREATE TABLE public.user_membership (
    user_id text NOT NULL COLLATE pg_catalog."C",
    customer_id text NOT NULL COLLATE pg_catalog."C",
    origin text NOT NULL,
    author text NOT NULL,
    valid tstzrange NOT NULL,
    recorded int8range NOT NULL,
    CONSTRAINT user_membership_origin_check CHECK ((origin = ANY (ARRAY['source'::text, 'person'::text])))
);

COMMENT ON TABLE public.user_membership IS 'A user of a customer, said outright; it goes before the e-mail domain.';

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY public.audit_entry
    ADD CONSTRAINT audit_entry_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY public.brake_end
    ADD CONSTRAINT brake_end_pkey PRIMARY KEY (customer_id, sku);

ALTER TABLE ONLY public.brake_minute
    ADD CONSTRAINT brake_minute_pkey PRIMARY KEY (minute);

ALTER TABLE ONLY public.catalog_version
    ADD CONSTRAINT catalog_version_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.change_feed
    ADD CONSTRAINT change_feed_pkey PRIMARY KEY (revision, kind, subject);

ALTER TABLE ONLY public.clock_position
    ADD CONSTRAINT clock_position_pkey PRIMARY KEY (kind, boundary);

ALTER TABLE ONLY public.console_end
    ADD CONSTRAINT console_end_pkey PRIMARY KEY (whose, subject);

ALTER TABLE ONLY public.console_link
    ADD CONSTRAINT console_link_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.consumer_offset
    ADD CONSTRAINT consumer_offset_pkey PRIMARY KEY (log, partition);

ALTER TABLE ONLY public.consumer_progress
    ADD CONSTRAINT consumer_progress_pkey PRIMARY KEY (log, partition);

ALTER TABLE ONLY public.customer_fate
    ADD CONSTRAINT customer_fate_pkey PRIMARY KEY (customer_id, revision);

ALTER TABLE ONLY public.customer
    ADD CONSTRAINT customer_pkey PRIMARY KEY (customer_id);

ALTER TABLE ONLY public.dead_letter_action
    ADD CONSTRAINT dead_letter_action_pkey PRIMARY KEY (action_id);

ALTER TABLE ONLY public.dead_letter
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (letter);

ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (log, partition, "offset");

ALTER TABLE ONLY public.feature
    ADD CONSTRAINT feature_pkey PRIMARY KEY (catalog_version, feature);

ALTER TABLE ONLY public.license
    ADD CONSTRAINT license_pkey PRIMARY KEY (row_id);

ALTER TABLE ONLY public.override
    ADD CONSTRAINT override_pkey PRIMARY KEY (row_id);

ALTER TABLE ONLY public.partition_decision
    ADD CONSTRAINT partition_decision_pkey PRIMARY KEY (decision_id);

ALTER TABLE ONLY public.partition_stop
    ADD CONSTRAINT partition_stop_pkey PRIMARY KEY (log, partition);

ALTER TABLE ONLY public.publish_position
    ADD CONSTRAINT publish_position_pkey PRIMARY KEY (topic);

ALTER TABLE ONLY public.queue_log
    ADD CONSTRAINT queue_log_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.queue_partition
    ADD CONSTRAINT queue_partition_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY public.queue_record
    ADD CONSTRAINT queue_record_pkey PRIMARY KEY (partition, "offset");

ALTER TABLE ONLY public.reconciliation
    ADD CONSTRAINT reconciliation_pkey PRIMARY KEY (reconciliation_id);

ALTER TABLE ONLY public.revision_log
    ADD CONSTRAINT revision_log_pkey PRIMARY KEY (revision);

ALTER TABLE ONLY public.revision
    ADD CONSTRAINT revision_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.schema_migration
    ADD CONSTRAINT schema_migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.sender
    ADD CONSTRAINT sender_pkey PRIMARY KEY (source);

ALTER TABLE ONLY public.sku_feature
    ADD CONSTRAINT sku_feature_pkey PRIMARY KEY (catalog_version, sku, feature);

ALTER TABLE ONLY public.sku
    ADD CONSTRAINT sku_pkey PRIMARY KEY (catalog_version, sku);

ALTER TABLE ONLY public.spool_state
    ADD CONSTRAINT spool_state_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.time_event
    ADD CONSTRAINT time_event_kind_id_boundary_at_key UNIQUE (kind, id, boundary, at);

CREATE INDEX audit_entry_customer ON public.audit_entry USING btree (customer_id, entry_id) WHERE (customer_id IS NOT NULL);

CREATE INDEX brake_end_time ON public.brake_end USING btree (ended_at);

CREATE UNIQUE INDEX catalog_version_current ON public.catalog_version USING btree ((true)) WHERE upper_inf(recorded);

CREATE INDEX customer_alias_alias ON public.customer_alias USING btree (alias);

CREATE UNIQUE INDEX customer_alias_current ON public.customer_alias USING btree (alias) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX customer_alias_customer ON public.customer_alias USING btree (customer_id);

CREATE INDEX customer_alias_value ON public.customer_alias USING btree (substr(alias, (strpos(alias, ':'::text) + 1)), alias) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE UNIQUE INDEX customer_domain_current ON public.customer_domain USING btree (domain, customer_id) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX customer_domain_customer ON public.customer_domain USING btree (customer_id);

CREATE INDEX customer_domain_domain ON public.customer_domain USING btree (domain);

CREATE INDEX customer_name ON public.customer USING btree (lower(name) text_pattern_ops, customer_id);

CREATE INDEX customer_name_2 ON public.customer USING btree (lower(((((split_part(name, ' '::text, 2) || ' '::text) || split_part(name, ' '::text, 3)) || ' '::text) || split_part(name, ' '::text, 4))) text_pattern_ops) WHERE (split_part(name, ' '::text, 2) <> ''::text);

CREATE INDEX customer_name_3 ON public.customer USING btree (lower(((((split_part(name, ' '::text, 3) || ' '::text) || split_part(name, ' '::text, 4)) || ' '::text) || split_part(name, ' '::text, 5))) text_pattern_ops) WHERE (split_part(name, ' '::text, 3) <> ''::text);

CREATE INDEX dead_letter_action_letter ON public.dead_letter_action USING btree (letter);

CREATE UNIQUE INDEX dead_letter_delivery ON public.dead_letter USING btree (sequence) WHERE (origin = 'log'::text);

CREATE INDEX dead_letter_door ON public.dead_letter USING btree (letter) WHERE (origin = 'door'::text);

CREATE INDEX delivery_customer ON public.delivery USING btree (customer_id, revision, sequence);

CREATE INDEX delivery_event ON public.delivery USING btree (event_id);

CREATE INDEX delivery_replay_letter ON public.delivery USING btree (replay_letter) WHERE (replay_letter IS NOT NULL);

CREATE INDEX delivery_replay_of ON public.delivery USING btree (replay_of) WHERE (replay_of IS NOT NULL);

CREATE UNIQUE INDEX delivery_sequence ON public.delivery USING btree (sequence);

CREATE UNIQUE INDEX license_believed ON public.license USING btree (customer_id, COALESCE(upper(valid), 'infinity'::timestamp with time zone), sku) WHERE upper_inf(recorded);

CREATE INDEX license_customer ON public.license USING btree (customer_id, sku);

CREATE INDEX license_ends ON public.license USING btree (ends_at, row_id) WHERE (upper_inf(valid) AND upper_inf(recorded) AND (status = 'active'::text) AND (ends_at IS NOT NULL));

CREATE INDEX license_graces ON public.license USING btree (sku, public.grace_from(status, starts_at, ends_at, valid), row_id) WHERE (upper_inf(valid) AND upper_inf(recorded) AND (public.grace_from(status, starts_at, ends_at, valid) IS NOT NULL));

CREATE INDEX license_starts ON public.license USING btree (starts_at, row_id) WHERE (upper_inf(valid) AND upper_inf(recorded) AND (status = 'active'::text) AND (starts_at IS NOT NULL));

CREATE INDEX override_brake ON public.override USING btree (customer_id, sku) WHERE ((kind = 'brake'::text) AND upper_inf(valid) AND upper_inf(recorded));

CREATE UNIQUE INDEX override_current ON public.override USING btree (override_id) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX override_customer ON public.override USING btree (customer_id, override_id) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX override_ends ON public.override USING btree (ends_at, row_id) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX override_history ON public.override USING btree (customer_id, row_id);

CREATE INDEX override_rows ON public.override USING btree (override_id, row_id);

CREATE INDEX override_starts ON public.override USING btree (starts_at, row_id) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX partition_decision_place ON public.partition_decision USING btree (log, partition);

CREATE INDEX revision_log_time ON public.revision_log USING btree (recorded_at, revision);

CREATE INDEX time_event_customer ON public.time_event USING btree (customer_id, revision);

CREATE UNIQUE INDEX user_membership_current ON public.user_membership USING btree (user_id, customer_id) WHERE (upper_inf(valid) AND upper_inf(recorded));

CREATE INDEX user_membership_customer ON public.user_membership USING btree (customer_id);

CREATE INDEX user_membership_user ON public.user_membership USING btree (user_id);

CREATE TRIGGER audit_is_kept BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_entry FOR EACH STATEMENT EXECUTE FUNCTION public.audit_is_kept();

CREATE TRIGGER customer_fated AFTER UPDATE ON public.customer FOR EACH ROW WHEN ((new.deleted OR old.deleted)) EXECUTE FUNCTION public.customer_fated();

CREATE TRIGGER customer_fated_new AFTER INSERT ON public.customer FOR EACH ROW WHEN (new.deleted) EXECUTE FUNCTION public.customer_fated();

CREATE TRIGGER license_is_kept BEFORE DELETE OR TRUNCATE ON public.license FOR EACH STATEMENT EXECUTE FUNCTION public.license_is_kept();

CREATE TRIGGER license_no_overlap_insert AFTER INSERT ON public.license REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.license_no_overlap();

CREATE TRIGGER license_only_closes BEFORE UPDATE ON public.license FOR EACH ROW WHEN (((NOT upper_inf(old.recorded)) OR (NOT (new.recorded <@ old.recorded)) OR (((((((new.row_id IS DISTINCT FROM old.row_id) OR (new.license_id IS DISTINCT FROM old.license_id)) OR (new.customer_id IS DISTINCT FROM old.customer_id)) OR (new.sku IS DISTINCT FROM old.sku)) OR (new.status IS DISTINCT FROM old.status)) OR (new.valid IS DISTINCT FROM old.valid)) OR (new.opened_delivery IS DISTINCT FROM old.opened_delivery)) OR ((((((new.starts_at IS DISTINCT FROM old.starts_at) OR (new.ends_at IS DISTINCT FROM old.ends_at)) OR (new.quantity IS DISTINCT FROM old.quantity)) OR (new.opened_catalog IS DISTINCT FROM old.opened_catalog)) OR (new.closed_delivery IS DISTINCT FROM old.closed_delivery)) OR (new.closed_catalog IS DISTINCT FROM old.closed_catalog)))) EXECUTE FUNCTION public.license_only_closes();

CREATE TRIGGER override_is_kept BEFORE TRUNCATE ON public.override FOR EACH STATEMENT EXECUTE FUNCTION public.override_only_closes();

CREATE TRIGGER override_only_closes BEFORE DELETE OR UPDATE ON public.override FOR EACH ROW EXECUTE FUNCTION public.override_only_closes();

ALTER TABLE ONLY public.feature
    ADD CONSTRAINT feature_catalog_version_fkey FOREIGN KEY (catalog_version) REFERENCES public.catalog_version(version);

ALTER TABLE ONLY public.queue_record
    ADD CONSTRAINT queue_record_partition_fkey FOREIGN KEY (partition) REFERENCES public.queue_partition(partition);

ALTER TABLE ONLY public.sku
    ADD CONSTRAINT sku_catalog_version_fkey FOREIGN KEY (catalog_version) REFERENCES public.catalog_version(version);

ALTER TABLE ONLY public.sku_feature
    ADD CONSTRAINT sku_feature_catalog_version_feature_fkey FOREIGN KEY (catalog_version, feature) REFERENCES public.feature(catalog_version, feature);

ALTER TABLE ONLY public.sku_feature
    ADD CONSTRAINT sku_feature_catalog_version_sku_fkey FOREIGN KEY (catalog_version, sku) REFERENCES public.sku(catalog_version, sku);
