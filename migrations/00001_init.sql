-- +goose Up

CREATE TABLE users (
    id                TEXT NOT NULL PRIMARY KEY,
    issuer            TEXT NOT NULL,
    subject           TEXT NOT NULL,
    created_at        {{.Time}} NOT NULL,
    last_signed_in_at {{.Time}} NOT NULL,
    UNIQUE (issuer, subject)
);

-- One user's consent. Tokens are sealed; the times of the lease and of the
-- retry are by the database's clock, all others by the gateway's.
CREATE TABLE grants (
    id                TEXT NOT NULL PRIMARY KEY,
    user_id           TEXT NOT NULL UNIQUE REFERENCES users (id),
    status            TEXT NOT NULL,
    status_reason     TEXT NOT NULL,
    version           BIGINT NOT NULL,
    scopes            TEXT NOT NULL,
    access_token      {{.Bytes}} NOT NULL,
    refresh_token     {{.Bytes}},
    rotation          TEXT NOT NULL,
    authorized_at     {{.Time}} NOT NULL,
    obtained_at       {{.Time}} NOT NULL,
    access_expires_at {{.Time}} NOT NULL,
    last_refreshed_at {{.Time}},
    lease_owner       TEXT,
    lease_expires_at  {{.Time}},
    failures          BIGINT NOT NULL,
    failure_kind      TEXT NOT NULL,
    failure_reason    TEXT NOT NULL,
    failure_message   TEXT NOT NULL,
    failure_status    BIGINT NOT NULL,
    retry_at          {{.Time}}
);

CREATE TABLE sessions (
    id                  TEXT NOT NULL PRIMARY KEY,
    token_hash          {{.Bytes}} NOT NULL UNIQUE,
    user_id             TEXT NOT NULL REFERENCES users (id),
    kind                TEXT NOT NULL,
    provider_session_id TEXT NOT NULL,
    user_agent          TEXT NOT NULL,
    ip_address          TEXT NOT NULL,
    created_at          {{.Time}} NOT NULL,
    last_seen_at        {{.Time}} NOT NULL,
    expires_at          {{.Time}} NOT NULL,
    ended_at            {{.Time}},
    end_reason          TEXT NOT NULL
);

CREATE INDEX sessions_user_id ON sessions (user_id, created_at);
CREATE INDEX sessions_provider_session_id ON sessions (provider_session_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Sign-ins under way. The state and the browser's cookie are hashed, the rest
-- is sealed.
CREATE TABLE sign_in_attempts (
    state_hash   {{.Bytes}} NOT NULL PRIMARY KEY,
    browser_hash {{.Bytes}} NOT NULL,
    sealed       {{.Bytes}} NOT NULL,
    expires_at   {{.Time}} NOT NULL
);

CREATE INDEX sign_in_attempts_expires_at ON sign_in_attempts (expires_at);

-- Append-only. It refers to no other table, because it outlives their rows.
CREATE TABLE audit_events (
    id               TEXT NOT NULL PRIMARY KEY,
    at               {{.Time}} NOT NULL,
    kind             TEXT NOT NULL,
    user_id          TEXT NOT NULL,
    grant_id         TEXT NOT NULL,
    session_id       TEXT NOT NULL,
    reason           TEXT NOT NULL,
    actor_session_id TEXT NOT NULL,
    ip_address       TEXT NOT NULL,
    user_agent       TEXT NOT NULL,
    request_id       TEXT NOT NULL
);

CREATE INDEX audit_events_user_id ON audit_events (user_id, at);
CREATE INDEX audit_events_at ON audit_events (at);

-- A value that only the right keyset opens.
CREATE TABLE vault_canary (
    id     TEXT NOT NULL PRIMARY KEY,
    sealed {{.Bytes}} NOT NULL
);
