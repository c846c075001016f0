package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/grant"
)

// Rows that another replica is about to claim are passed over, not waited for.
const dueGrantSQL = `
SELECT g.id, g.user_id, g.version, g.refresh_expires_at
  FROM grants g
 WHERE g.sweep_at <= {now} AND g.refresh_expires_at > ? AND g.status = ? AND g.refresh_token IS NOT NULL
   AND EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = g.user_id AND s.ended_at IS NULL AND s.expires_at > ?)
 ORDER BY g.refresh_expires_at LIMIT 1 {for update of g skip locked}`

const holdGrantSQL = `
UPDATE grants SET sweep_at = {later} WHERE id = ?`

// ClaimGrant implements grant.DueGrants.
func (db *DB) ClaimGrant(ctx context.Context, now time.Time, hold func(left time.Duration) time.Duration) (grant.Claim, error) {
	now = stamp(now)
	var due struct {
		ID               string    `db:"id"`
		UserID           string    `db:"user_id"`
		Version          int64     `db:"version"`
		RefreshExpiresAt time.Time `db:"refresh_expires_at"`
	}
	err := db.transact(ctx, func(tx *sqlx.Tx) error {
		if err := db.get(ctx, tx, &due, dueGrantSQL, now, grant.Active, now); err != nil {
			return err
		}
		_, err := db.exec(ctx, tx, holdGrantSQL, hold(due.RefreshExpiresAt.Sub(now)).Microseconds(), due.ID)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return grant.Claim{}, grant.ErrNotFound
	}
	if err != nil {
		return grant.Claim{}, explain(ctx, "claim grant", err)
	}
	return grant.Claim{
		GrantID: due.ID, UserID: due.UserID, Version: due.Version, RefreshExpiresAt: due.RefreshExpiresAt.UTC(),
	}, nil
}

const settleGrantSQL = `
UPDATE grants SET sweep_at = NULL WHERE id = ? AND version = ?`

// SettleGrant implements grant.DueGrants.
func (db *DB) SettleGrant(ctx context.Context, grantID string, version int64) error {
	_, err := db.exec(ctx, db.write, settleGrantSQL, grantID, version)
	return explain(ctx, "settle grant", err)
}

// schedule returns when t's refresh token ends, and in how many microseconds it
// is due to be swept; both are NULL where nobody said.
func schedule(t grant.Tokens, now time.Time) (end sql.NullTime, due sql.NullInt64) {
	if t.RefreshExpiresAt.IsZero() {
		return end, due
	}
	end = sql.NullTime{Time: stamp(t.RefreshExpiresAt), Valid: true}
	due = sql.NullInt64{Int64: grant.SweepAfter(end.Time.Sub(now)).Microseconds(), Valid: true}
	return end, due
}
