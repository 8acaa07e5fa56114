-- How far the consumer is, told by the workers themselves, so that an answer can say it.
SET LOCAL lock_timeout = '3s';

CREATE TABLE consumer_progress (
    log          text        COLLATE "C" NOT NULL,
    partition    integer     NOT NULL,
    caught_up_at timestamptz NOT NULL,
    PRIMARY KEY (log, partition)
) WITH (fillfactor = 20);
COMMENT ON TABLE consumer_progress IS 'All that a partition of the log took before caught_up_at is applied, as its worker said it last, at most four times a second. A stuck or missing worker leaves it behind.';
