-- Partitions that stopped, dead letters that people took care of, and who decided what.
SET LOCAL lock_timeout = '3s';

CREATE TABLE partition_stop (
    log         text        COLLATE "C" NOT NULL,
    partition   integer     NOT NULL,
    reason      text        NOT NULL
                CHECK (reason IN ('below_start', 'beyond_end', 'recreated', 'dead_limit', 'refused')),
    detail      text        NOT NULL,
    next_offset bigint,
    stopped_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, partition)
);
COMMENT ON TABLE partition_stop IS 'The partitions that no worker reads until a person has decided; see docs/how-to/stopped-partition.md.';
COMMENT ON COLUMN partition_stop.next_offset IS 'The next offset to apply when it stopped; null where it had none.';

CREATE TABLE partition_decision (
    decision_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log         text        COLLATE "C" NOT NULL,
    partition   integer     NOT NULL,
    action      text        NOT NULL CHECK (action IN ('resume', 'accept')),
    reason      text        NOT NULL,
    detail      text        NOT NULL,
    stopped_at  timestamptz NOT NULL,
    from_offset bigint,
    next_offset bigint,
    author      text        NOT NULL,
    decided_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX partition_decision_place ON partition_decision (log, partition);
COMMENT ON TABLE partition_decision IS 'Who let a stopped partition go on, when, and what that skipped: the offsets from from_offset up to next_offset.';

-- What a person did with a dead letter. The letter itself is never changed.
CREATE TABLE dead_letter_action (
    action_id   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter      bigint      NOT NULL,
    action      text        NOT NULL CHECK (action IN ('replay', 'drop')),
    run         uuid        NOT NULL,
    author      text        NOT NULL,
    reason      text,
    partition   integer,
    "offset"    bigint,
    acted_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_letter_action_letter ON dead_letter_action (letter);
COMMENT ON TABLE dead_letter_action IS 'Replays and drops of dead letters: who, when, in which run, and where a replay was appended.';

-- What became of a letter's replays; few deliveries are one.
CREATE INDEX delivery_replay_of ON delivery (replay_of) WHERE replay_of IS NOT NULL;

-- A replay that ends dead is another attempt of its letter, and no letter of its own.
CREATE VIEW dead_letter_state AS
SELECT l.letter, l.origin, l.reason, l.sequence, l.recorded_at, l.faults, l.key, l.value, l.headers,
       d.log, d.partition, d."offset", d.source, d.event_id, d.customer_id, d.received_at,
       judged.attempts, judged.last_outcome,
       CASE WHEN acted.dropped THEN 'dropped' WHEN judged.done THEN 'replayed'
            WHEN acted.replays > judged.attempts THEN 'replaying' ELSE 'open' END AS state
FROM dead_letter l
LEFT JOIN delivery d ON l.origin = 'log' AND d.sequence = l.sequence
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, coalesce(bool_or(r.outcome <> 'dead'), false) AS done,
           (array_agg(r.outcome || coalesce('(' || r.reason || ')', '') ORDER BY r.sequence DESC))[1] AS last_outcome
    FROM delivery r WHERE l.origin = 'log' AND r.replay_of = l.sequence
) AS judged
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.action = 'replay') AS replays, coalesce(bool_or(a.action = 'drop'), false) AS dropped
    FROM dead_letter_action a WHERE a.letter = l.letter
) AS acted
WHERE d.replay_of IS NULL;
COMMENT ON VIEW dead_letter_state IS 'Dead letters and what became of them: open, replaying (not yet judged), replayed, dropped.';
