-- name: write_senders
-- Adds what a door saw of senders; the later moment counts, and of fields that nothing maps the first 200 names.
INSERT INTO sender AS s (source, last_received_at, last_refused_at, last_refused_for, unmapped)
SELECT source, received_at, refused_at, refused_for, coalesce(unmapped, '{}')
FROM jsonb_to_recordset(%(senders)s::jsonb)
     AS seen (source text, received_at timestamptz, refused_at timestamptz, refused_for text, unmapped jsonb)
ORDER BY source
ON CONFLICT (source) DO UPDATE SET
    last_received_at = greatest(s.last_received_at, excluded.last_received_at),
    last_refused_at = greatest(s.last_refused_at, excluded.last_refused_at),
    last_refused_for = CASE WHEN excluded.last_refused_at >= coalesce(s.last_refused_at, '-infinity')
                            THEN excluded.last_refused_for ELSE s.last_refused_for END,
    unmapped = CASE WHEN (SELECT count(*) FROM jsonb_object_keys(s.unmapped)) < 200
                    THEN s.unmapped || excluded.unmapped ELSE s.unmapped END

-- name: keep_letters
-- Keeps bad posts of known senders. A letter of the door has no delivery: it takes the highest sequence there is.
INSERT INTO dead_letter (sequence, reason, faults, value, headers, origin, recorded_at)
SELECT sequence, reason, faults::jsonb, value, headers::jsonb, 'door', at
FROM revision, unnest(%(reasons)b::text[], %(faults)b::text[], %(values)b::bytea[], %(headers)b::text[], %(at)b::timestamptz[])
     WITH ORDINALITY AS letter (reason, faults, value, headers, at, place)
ORDER BY place

-- name: prune_letters
-- Drops letters of the door that are too old or too many.
DELETE FROM dead_letter WHERE origin = 'door' AND (recorded_at < now() - make_interval(days => %(days)s) OR letter <= (
    SELECT letter FROM dead_letter WHERE origin = 'door' ORDER BY letter DESC OFFSET %(most)s LIMIT 1))
