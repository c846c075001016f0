-- +goose Up

-- refresh_expires_at is when the refresh token ends, NULL where nobody said.
-- lapses counts the leases in a row that ran out without a word and were taken
-- over, lapsed_at is when the first of them did. The sweep leaves a grant alone
-- until sweep_at, for good where that is NULL. Both are by the database's clock.
ALTER TABLE grants ADD COLUMN refresh_expires_at {{.Time}};
ALTER TABLE grants ADD COLUMN lapses BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN lapsed_at {{.Time}};
ALTER TABLE grants ADD COLUMN sweep_at {{.Time}};

CREATE INDEX grants_sweep_at ON grants (sweep_at, refresh_expires_at);
CREATE INDEX sessions_ended_at ON sessions (ended_at, expires_at);

-- The processes that serve now, each until expires_at unless it says so again,
-- with the keys that it can open values under. Until hears_until one may rely on
-- hearing of changes, and is waited for when sessions end; NULL where it does not
-- hear. By the database's clock.
CREATE TABLE replicas (
    id          TEXT NOT NULL PRIMARY KEY,
    key_ids     TEXT NOT NULL,
    expires_at  {{.Time}} NOT NULL,
    hears_until {{.Time}}
);

-- Tokens that are to be taken back at the provider and are stored nowhere else
-- any more. A row is claimed by moving due_at ahead, which attempts counts. The
-- times are by the database's clock.
CREATE TABLE revocations (
    id         TEXT NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    grant_id   TEXT NOT NULL,
    sealed     {{.Bytes}} NOT NULL,
    attempts   BIGINT NOT NULL,
    created_at {{.Time}} NOT NULL,
    due_at     {{.Time}} NOT NULL
);

CREATE INDEX revocations_due_at ON revocations (kind, due_at);
CREATE INDEX revocations_user_id ON revocations (user_id);

-- A user's events are read in the order of their IDs.
DROP INDEX audit_events_user_id;
CREATE INDEX audit_events_user_id ON audit_events (user_id, id);

-- Logout tokens that have been used, until they have expired by themselves.
CREATE TABLE logout_tokens (
    id         {{.Bytes}} NOT NULL PRIMARY KEY,
    expires_at {{.Time}} NOT NULL
);

CREATE INDEX logout_tokens_expires_at ON logout_tokens (expires_at);
