-- name: erase_payloads
-- Empty the bytes of a customer's deliveries; rows, hashes and outcomes stay.
UPDATE delivery SET payload = NULL WHERE customer_id = %(customer_id)s AND payload IS NOT NULL

-- name: erase_letters
-- Empty and drop the dead letters that are the customer's, or that name it as a JSON string ("named").
WITH its AS (
    UPDATE dead_letter l SET key = NULL, value = NULL, headers = '[]', faults = '[]'
    WHERE l.value IS NOT NULL
      AND (l.key = %(key)s OR EXISTS (SELECT FROM unnest(%(named)s::bytea[]) n WHERE position(n IN l.value) > 0)
           OR (l.origin = 'log' AND l.sequence IN (SELECT sequence FROM delivery WHERE customer_id = %(customer_id)s)))
    RETURNING letter, origin, sequence
), emptied AS (
    UPDATE delivery d SET payload = NULL FROM its WHERE its.origin = 'log' AND d.sequence = its.sequence
)
INSERT INTO dead_letter_action (letter, action, run, author, reason)
SELECT letter, 'drop', gen_random_uuid(), %(author)s, 'the customer was erased' FROM its

-- name: erase_names
-- Forget a customer's users, e-mail domains and aliases, those of the past too, and tell followers which they were.
WITH users AS (
    DELETE FROM user_membership WHERE customer_id = %(customer_id)s RETURNING user_id
), domains AS (
    DELETE FROM customer_domain WHERE customer_id = %(customer_id)s RETURNING domain
), aliases AS (
    DELETE FROM customer_alias WHERE customer_id = %(customer_id)s
)
INSERT INTO change_feed (revision, kind, subject)
SELECT %(revision)s, 'user', user_id FROM users UNION SELECT %(revision)s, 'domain', domain FROM domains
ON CONFLICT DO NOTHING

-- name: erase_overrides
-- Empty who made and ended a customer's overrides, and why; what they granted and blocked stays.
UPDATE override SET reason = '', author = '', ended_by = left(ended_by, 0), end_reason = left(end_reason, 0)
WHERE customer_id = %(customer_id)s

-- name: erase_ends
-- Forget which of a customer's licenses the safety brake let end: nobody restores them by that.
DELETE FROM brake_end WHERE customer_id = %(customer_id)s
