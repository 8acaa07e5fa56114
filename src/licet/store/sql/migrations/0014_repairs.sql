-- Repairs of what a comparison with an export found.
SET LOCAL lock_timeout = '3s';

ALTER TABLE delivery ADD COLUMN compared_at bigint;
COMMENT ON COLUMN delivery.compared_at IS 'Of a repair: the last delivery.sequence when the store was compared with the export; what was written after it stays.';

ALTER TABLE reconciliation ADD COLUMN repaired bigint NOT NULL DEFAULT 0, ADD COLUMN held_back bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN reconciliation.repaired IS 'Of how many customers a repair was published; held_back: of how many that were off it was not.';
