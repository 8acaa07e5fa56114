-- The console: links that sign a person in once, and sessions that end before their time. A session itself is a signed
-- cookie, so only what was ended is kept, for as long as a session could last.
SET LOCAL lock_timeout = '3s';

CREATE TABLE console_link (
    digest bytea       PRIMARY KEY,
    name   text        NOT NULL,
    until  timestamptz NOT NULL
);
COMMENT ON TABLE console_link IS 'Links into the console that were not used yet: SHA-256 of the token, and who comes by it.';

CREATE TABLE console_end (
    whose   text        NOT NULL CHECK (whose IN ('session', 'person', 'everyone')),
    subject text        COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (whose, subject)
);
COMMENT ON TABLE console_end IS 'Sessions that were ended: one, all of a person, or everyone''s; each that began before "at".';
