-- A bad post that the door kept can be replayed, once a catalog reads it.
SET LOCAL lock_timeout = '3s';

ALTER TABLE delivery ADD COLUMN replay_letter bigint;
COMMENT ON COLUMN delivery.replay_letter IS 'dead_letter.letter, where this delivery replays a bad post that the door kept; replay_of is then the sequence at which it is judged.';
CREATE INDEX delivery_replay_letter ON delivery (replay_letter) WHERE replay_letter IS NOT NULL;

CREATE OR REPLACE VIEW dead_letter_state AS
SELECT l.letter, l.origin, l.reason, l.sequence, l.recorded_at, l.faults, l.key, l.value, l.headers,
       d.log, d.partition, d."offset", coalesce(d.source, named.source) AS source,
       coalesce(d.event_id, named.event_id) AS event_id, d.customer_id,
       CASE WHEN l.origin = 'door' THEN l.recorded_at ELSE d.received_at END AS received_at,
       judged.attempts, judged.last_outcome,
       CASE WHEN acted.dropped THEN 'dropped' WHEN judged.done THEN 'replayed'
            WHEN acted.replays > judged.attempts AND acted.last_at > now() - interval '1 hour' THEN 'replaying'
            ELSE 'open' END AS state
FROM dead_letter l
LEFT JOIN delivery d ON l.origin = 'log' AND d.sequence = l.sequence
CROSS JOIN LATERAL (
    -- The door's own headers; those of a log may be anybody's bytes.
    SELECT max(convert_from(decode(h ->> 1, 'base64'), 'UTF8')) FILTER (WHERE h ->> 0 = 'ce_source') AS source,
           max(convert_from(decode(h ->> 1, 'base64'), 'UTF8')) FILTER (WHERE h ->> 0 = 'ce_id') AS event_id
    FROM jsonb_array_elements(CASE WHEN l.origin = 'door' THEN l.headers ELSE '[]' END) AS h
) AS named
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, coalesce(bool_or(r.outcome <> 'dead'), false) AS done,
           (array_agg(r.outcome || coalesce('(' || r.reason || ')', '') ORDER BY r.sequence DESC))[1] AS last_outcome
    FROM (
        SELECT outcome, reason, sequence FROM delivery
        WHERE l.origin = 'log' AND replay_of = l.sequence AND replay_letter IS NULL
        UNION ALL
        SELECT outcome, reason, sequence FROM delivery WHERE l.origin = 'door' AND replay_letter = l.letter
    ) AS r
) AS judged
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.action = 'replay') AS replays, max(a.acted_at) AS last_at,
           coalesce(bool_or(a.action = 'drop'), false) AS dropped
    FROM dead_letter_action a WHERE a.letter = l.letter
) AS acted
WHERE d.replay_of IS NULL;
