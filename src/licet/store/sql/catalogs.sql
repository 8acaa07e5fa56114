-- name: current_version
-- Return the current version of the catalog, who applied it and when.
SELECT version, document, author, lower(valid), lower(recorded) FROM catalog_version WHERE upper_inf(recorded)

-- name: lock
-- Take the write lock, so that nobody else applies a catalog between our look and our write.
SELECT FROM revision FOR UPDATE
