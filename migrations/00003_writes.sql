-- +goose Up

-- How many changes the user has made at Galaxy through the gateway; answers from
-- before are not used.
ALTER TABLE grants ADD COLUMN writes BIGINT NOT NULL DEFAULT 0;
