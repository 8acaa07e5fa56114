-- name: current_version
-- Return the current version of the catalog, who applied it and when.
SELECT version, document, author, lower(valid), lower(recorded) FROM catalog_version WHERE upper_inf(recorded)

-- name: lock
-- Let one operator apply a catalog at a time, until the connection ends. Before the transaction, so that its time is
-- after that of the version before, and the write lock is held only to write.
SELECT pg_advisory_lock(hashtext('licet catalog apply'))
