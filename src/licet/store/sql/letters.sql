-- name: list_letters
-- Return dead letters of a state and a reason (null: any), the one kept last first.
SELECT coalesce(json_agg(line ORDER BY letter DESC), '[]')::text FROM (
    SELECT letter, json_build_object(
        'letter', letter, 'state', state, 'reason', reason, 'origin', origin, 'log', log, 'partition', partition,
        'offset', "offset", 'sequence', sequence, 'source', source, 'event_id', event_id, 'customer', customer_id,
        'received_at', received_at, 'recorded_at', recorded_at, 'attempts', attempts + 1,
        'last_outcome', last_outcome) AS line
    FROM dead_letter_state
    WHERE (%(before)s::bigint IS NULL OR letter < %(before)s::bigint)
      AND (%(state)s::text IS NULL OR state = %(state)s::text) AND (%(reason)s::text IS NULL OR reason = %(reason)s::text)
    ORDER BY letter DESC LIMIT %(limit)s
) AS page

-- name: find_letters
-- Return dead letters with their bytes (base64), what people did with them, and what became of their replays.
SELECT coalesce(json_agg(json_build_object(
    'letter', letter, 'state', state, 'reason', reason, 'origin', origin, 'log', log, 'partition', partition,
    'offset', "offset", 'sequence', sequence, 'source', source, 'event_id', event_id, 'customer', customer_id,
    'received_at', received_at, 'recorded_at', recorded_at, 'attempts', attempts + 1, 'last_outcome', last_outcome,
    'faults', faults, 'key', translate(encode(key, 'base64'), E'\n', ''), 'headers', headers,
    'value', translate(encode(value, 'base64'), E'\n', ''),
    'actions', (
        SELECT coalesce(json_agg(json_build_object(
            'action', action, 'author', author, 'at', acted_at, 'run', run, 'reason', a.reason,
            'partition', a.partition, 'offset', a."offset") ORDER BY action_id), '[]')
        FROM dead_letter_action a WHERE a.letter = s.letter),
    'replays', (
        SELECT coalesce(json_agg(json_build_object(
            'log', r.log, 'partition', r.partition, 'offset', r."offset", 'sequence', r.sequence, 'outcome', r.outcome,
            'reason', r.reason, 'revision', r.revision) ORDER BY r.sequence), '[]')
        FROM delivery r WHERE CASE s.origin WHEN 'door' THEN r.replay_letter = s.letter
                                           ELSE r.replay_of = s.sequence AND r.replay_letter IS NULL END)) ORDER BY letter), '[]')::text
FROM dead_letter_state s WHERE letter = ANY(%(letters)s)

-- name: open_letters
-- Return the numbers of the next open letters that a run has not replayed yet, in the order in which they were kept.
SELECT letter FROM dead_letter_state s
WHERE letter > %(after)s AND state = 'open' AND (%(reason)s::text IS NULL OR reason = %(reason)s::text)
  AND NOT EXISTS (SELECT FROM dead_letter_action a WHERE a.letter = s.letter AND a.run = %(run)s)
ORDER BY letter LIMIT %(limit)s

-- name: count_open
-- Count the letters that a run has before it.
SELECT count(*) FROM dead_letter_state s
WHERE state = 'open' AND (%(reason)s::text IS NULL OR reason = %(reason)s::text)
  AND NOT EXISTS (SELECT FROM dead_letter_action a WHERE a.letter = s.letter AND a.run = %(run)s)

-- name: note_replays
-- Keep who replayed which letters, and where the log has them now.
INSERT INTO dead_letter_action (letter, action, run, author, partition, "offset")
SELECT letter, 'replay', %(run)s, %(author)s, partition, "offset"
FROM unnest(%(letters)s::bigint[], %(partitions)s::int[], %(offsets)s::bigint[]) AS n (letter, partition, "offset")

-- name: note_drop
-- Keep who dropped a letter, and why.
INSERT INTO dead_letter_action (letter, action, run, author, reason)
VALUES (%(letter)s, 'drop', gen_random_uuid(), %(author)s, %(reason)s)
