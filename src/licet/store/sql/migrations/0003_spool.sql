-- The spool of an outage, dead letters of the door, and what is known of each sender.
SET LOCAL lock_timeout = '3s';

-- Whether changes go to the queue's tables instead of Kafka. One row: it is a state of the whole deployment. Who spools
-- share-locks it in the transaction that appends; who closes it locks it alone, with the spool empty.
CREATE TABLE spool_state (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    open    boolean     NOT NULL DEFAULT false,
    opening bigint      NOT NULL DEFAULT 0,
    since   timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);
COMMENT ON TABLE spool_state IS 'Whether Kafka is away and changes wait in queue_record until it is back.';
COMMENT ON COLUMN spool_state.opening IS 'Counts the openings; who spools must know the present one.';
INSERT INTO spool_state DEFAULT VALUES;

CREATE FUNCTION spool_gate(known bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM spool_state WHERE open AND opening = known FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the spool is closed' USING ERRCODE = 'LS001';
    END IF;
END $$;
COMMENT ON FUNCTION spool_gate IS 'Holds the spool open until the transaction ends; refuses where it is closed, or was closed since the caller looked.';

-- A letter of the door has no delivery: it takes the highest sequence of the moment when it was kept.
ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_pkey;
ALTER TABLE dead_letter ADD COLUMN letter bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE dead_letter ADD COLUMN origin text NOT NULL DEFAULT 'log' CHECK (origin IN ('log', 'door'));
CREATE UNIQUE INDEX dead_letter_delivery ON dead_letter (sequence) WHERE origin = 'log';
CREATE INDEX dead_letter_door ON dead_letter (letter) WHERE origin = 'door';
COMMENT ON TABLE dead_letter IS 'What could not be applied: the raw bytes, the reason, every fault. A letter of the log has its delivery''s sequence.';
COMMENT ON COLUMN dead_letter.origin IS 'log: a delivery ended dead. door: an authenticated sender posted it and got a 4xx; bounded in number and age.';

CREATE TABLE sender (
    source           text        COLLATE "C" PRIMARY KEY,
    last_received_at timestamptz,
    last_refused_at  timestamptz,
    last_refused_for text,
    unmapped         jsonb       NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
COMMENT ON TABLE sender IS 'What the doors saw of each sender, a few seconds late; the empty source is whoever could not be told.';
COMMENT ON COLUMN sender.unmapped IS '{"field": "when it was last seen"} of fields that the catalog gives no meaning.';
