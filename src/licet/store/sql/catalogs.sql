-- name: close_version
-- End the current version. Versions follow each other and none is back-dated, so their starts alone tell which one was
-- true, and believed, when; no copy is needed.
UPDATE catalog_version SET recorded = int8range(lower(recorded), %(revision)s), valid = tstzrange(lower(valid), %(at)s)
WHERE upper_inf(recorded)

-- name: insert_version
-- Keep a version as it was written.
INSERT INTO catalog_version (version, document, author, valid, recorded)
VALUES (%(version)s, %(document)s, %(author)s, tstzrange(%(at)s, NULL), int8range(%(revision)s, NULL))

-- name: insert_sku
-- Keep an SKU of a version.
INSERT INTO sku (catalog_version, sku, title, flag_field, from_field, until_field, quantity_field, grace_days)
VALUES (%(version)s, %(sku)s, %(title)s, %(flag)s, %(from_)s, %(until)s, %(quantity)s, %(grace_days)s)

-- name: insert_feature
-- Keep a feature of a version.
INSERT INTO feature (catalog_version, feature, title) VALUES (%(version)s, %(feature)s, %(title)s)

-- name: insert_grant
-- Keep what an SKU of a version grants.
INSERT INTO sku_feature (catalog_version, sku, feature, value) VALUES (%(version)s, %(sku)s, %(feature)s, %(value)s)

-- name: document
-- Return a version of the catalog, or the current one where none is named.
SELECT version, document FROM catalog_version
WHERE CASE WHEN %(version)s::int IS NULL THEN upper_inf(recorded) ELSE version = %(version)s::int END

-- name: versions
-- Return versions with who applied them and when, the current one first; "reached": no customer waits for it.
SELECT version, document, author, lower(valid), lower(recorded), coalesce(refolded = '~', false) FROM catalog_version
WHERE %(before)s::bigint IS NULL OR version < %(before)s::bigint ORDER BY version DESC LIMIT %(limit)s

-- name: count_customers
-- Count the customers beyond an id.
SELECT count(*) FROM customer WHERE customer_id > %(after)s

-- name: next_customers
-- Return the next customers beyond an id.
SELECT customer_id FROM customer WHERE customer_id > %(after)s ORDER BY customer_id LIMIT %(limit)s

-- name: exceptions
-- Return, of these customers, the SKUs whose end no grace follows, and the current overrides, as JSON.
SELECT asked.id, ARRAY(SELECT sku FROM license_open WHERE customer_id = asked.id AND told = 'void'),
       (SELECT coalesce(json_agg(json_build_object(
            'override_id', override_id, 'sku', sku, 'feature', feature, 'effect', effect, 'kind', kind, 'value', value,
            'starts_at', starts_at, 'ends_at', ends_at, 'reason', reason, 'author', author, 'since', lower(valid)
            )), '[]')::text
        FROM override WHERE customer_id = asked.id AND upper_inf(valid) AND upper_inf(recorded))
FROM unnest(%(ids)s::text[]) AS asked (id)
