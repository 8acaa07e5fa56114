-- name: last
-- Return the last revision older than so many days, and the last delivery's number.
SELECT coalesce(max(l.revision), 0), (SELECT sequence FROM revision) FROM revision_log l
WHERE l.recorded_at < now() - make_interval(days => %(days)s)

-- name: prune_payloads
-- Empty a bounded range of the ledger's payloads. The row stays, with the payload's hash: it is what deduplicates.
UPDATE delivery SET payload = NULL
WHERE sequence > %(after)s AND sequence <= %(upto)s AND revision <= %(revision)s AND payload IS NOT NULL

-- name: prune_letters
-- Empty the bytes of closed dead letters of the same range; who did what with them stays.
UPDATE dead_letter l SET key = NULL, value = NULL, headers = '[]'
FROM dead_letter_state s
WHERE l.letter = s.letter AND s.state IN ('replayed', 'dropped') AND l.value IS NOT NULL
  AND l.sequence > %(after)s AND l.sequence <= %(upto)s AND l.recorded_at < now() - make_interval(days => %(days)s)
