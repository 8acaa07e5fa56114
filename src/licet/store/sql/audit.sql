-- name: insert_entry
-- Keep what a person did.
INSERT INTO audit_entry (actor, via, action, customer_id, subject, before, after, reason)
VALUES (%(actor)s, %(via)s, %(action)s, %(customer_id)s, %(subject)s, %(before)s::jsonb, %(after)s::jsonb, %(reason)s)

-- name: list_entries
-- Return entries, the one written last first; "actor" is any part of the name or the key's id.
SELECT coalesce(json_agg(line ORDER BY entry_id DESC), '[]')::text FROM (
    SELECT entry_id, json_build_object(
        'entry', entry_id, 'at', at, 'actor', actor, 'via', via, 'action', action, 'customer', customer_id,
        'subject', subject, 'before', before, 'after', after, 'reason', reason) AS line
    FROM audit_entry
    WHERE (%(before_entry)s::bigint IS NULL OR entry_id < %(before_entry)s::bigint)
      AND (%(customer)s::text IS NULL OR customer_id = %(customer)s::text)
      AND (%(actor)s::text IS NULL OR strpos(actor, %(actor)s::text) > 0)
      AND (%(action)s::text IS NULL OR action = %(action)s::text)
    ORDER BY entry_id DESC LIMIT %(limit)s
) AS page

-- name: export_entries
-- Return entries since a moment, each as a line of JSON, in the order in which they were written.
SELECT json_build_object(
    'entry', entry_id, 'at', at, 'actor', actor, 'via', via, 'action', action, 'customer', customer_id,
    'subject', subject, 'before', before, 'after', after, 'reason', reason)::text
FROM audit_entry WHERE %(since)s::timestamptz IS NULL OR at >= %(since)s::timestamptz ORDER BY entry_id
