-- The follower's side: how far the consumer is, told by the workers themselves.
SET LOCAL lock_timeout = '3s';

ALTER TABLE consumer_offset ADD COLUMN caught_up_at timestamptz;
COMMENT ON COLUMN consumer_offset.caught_up_at IS 'All that the log took before this moment is applied, as the partition''s worker said it last. A stuck or missing worker leaves it behind.';
