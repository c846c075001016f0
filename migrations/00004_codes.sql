-- +goose Up

-- Authorization codes of native apps, hashed. binding is the SHA-256 of what a
-- code is bound to. Its session is one that nobody can use until the code is
-- spent, and that lives for as long as the code until then; the row goes with
-- the session's, for a code that comes again ends what it made.
CREATE TABLE authorization_codes (
    code_hash  {{.Bytes}} NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE REFERENCES sessions (id) ON DELETE CASCADE,
    binding    {{.Bytes}} NOT NULL,
    spent_at   {{.Time}}
);
