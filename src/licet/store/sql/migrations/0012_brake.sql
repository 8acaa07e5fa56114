-- The safety brake: how many licenses end, minute by minute, and which of them ended before it held any.
SET LOCAL lock_timeout = '3s';

CREATE TABLE brake_minute (
    minute timestamptz PRIMARY KEY,
    ends   bigint NOT NULL CHECK (ends > 0),
    active bigint
);
COMMENT ON TABLE brake_minute IS 'How many licenses changes ended, by minute; only minutes with ends have a row. The holds themselves are overrides of kind "brake".';
COMMENT ON COLUMN brake_minute.active IS 'How many licenses gave access when this window began; counted once in a window, where as many end as may count.';

CREATE TABLE brake_end (
    customer_id text        COLLATE "C" NOT NULL,
    sku         text        COLLATE "C" NOT NULL,
    ended_at    timestamptz NOT NULL,
    PRIMARY KEY (customer_id, sku)
);
CREATE INDEX brake_end_time ON brake_end (ended_at);
COMMENT ON TABLE brake_end IS 'Licenses that changes ended and the safety brake did not hold, for as long as they may be restored in one step.';

CREATE INDEX override_brake ON override (customer_id, sku)
    WHERE kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded);
