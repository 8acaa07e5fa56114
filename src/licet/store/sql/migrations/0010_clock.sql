-- What time changed, how far the clock has come, and how far others were told.
SET LOCAL lock_timeout = '3s';

CREATE TABLE time_event (
    kind        text        NOT NULL CHECK (kind IN ('license', 'override', 'grace')),
    id          uuid        NOT NULL,
    boundary    text        NOT NULL CHECK (boundary IN ('start', 'end')),
    at          timestamptz NOT NULL,
    customer_id text        COLLATE "C" NOT NULL,
    revision    bigint      NOT NULL,
    UNIQUE (kind, id, boundary, at)
);
CREATE INDEX time_event_customer ON time_event (customer_id, revision);
COMMENT ON TABLE time_event IS 'Boundaries that passed while they stood: what began or ended by time alone, once each. The answer changed at "at"; the feed told it at "revision".';

-- The clock walks each kind of boundary in the order (at, row_id), so that a million of one moment are walked once.
CREATE TABLE clock_position (
    kind     text        NOT NULL,
    boundary text        NOT NULL,
    at       timestamptz NOT NULL,
    row_id   bigint      NOT NULL,
    PRIMARY KEY (kind, boundary)
) WITH (fillfactor = 20);
INSERT INTO clock_position (kind, boundary, at, row_id)
VALUES ('license', 'start', clock_timestamp(), 0), ('license', 'end', clock_timestamp(), 0);
COMMENT ON TABLE clock_position IS 'The last boundary of each kind that the clock has looked at. After a downtime it goes on from there.';

CREATE INDEX license_starts ON license (starts_at, row_id)
    WHERE upper_inf(valid) AND upper_inf(recorded) AND status = 'active' AND starts_at IS NOT NULL;
CREATE INDEX license_ends ON license (ends_at, row_id)
    WHERE upper_inf(valid) AND upper_inf(recorded) AND status = 'active' AND ends_at IS NOT NULL;

CREATE TABLE publish_position (
    topic    text   COLLATE "C" PRIMARY KEY,
    epoch    uuid   NOT NULL,
    revision bigint NOT NULL,
    sequence bigint NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE publish_position IS 'The last revision of change_feed that a topic has, and the last delivery of that revision or before. Without its row the topic is told everything anew.';
