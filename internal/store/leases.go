package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
	"galaxygate/internal/failpoint"
	"galaxygate/internal/grant"
)

const acquireSQL = `
UPDATE grants
   SET lapses = lapses + CASE WHEN lease_owner IS NULL THEN 0 ELSE 1 END,
       lapsed_at = COALESCE(lapsed_at, lease_expires_at),
       lease_owner = ?, lease_expires_at = {later}
 WHERE id = ? AND version = ? AND lease_owner IS NOT DISTINCT FROM ? AND status = ?
   AND (lease_expires_at IS NULL OR lease_expires_at <= {now})`

// Whether somebody is signed in is asked once the row is locked. A session that
// ends later ends knowing of the lease.
const signedInSQL = `
SELECT EXISTS (SELECT 1 FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > {now})`

// Acquire implements grant.Leases.
func (db *DB) Acquire(ctx context.Context, g grant.Grant, owner string, d time.Duration) error {
	return db.compareAndSet(ctx, "acquire lease", g, func(tx *sqlx.Tx) (int64, error) {
		n, err := db.exec(ctx, tx, acquireSQL, owner, d.Microseconds(),
			g.ID, g.Version, optional(g.LeaseOwner), grant.Active)
		if n == 0 || err != nil {
			return 0, err
		}
		var signedIn bool
		if err := db.get(ctx, tx, &signedIn, signedInSQL, g.UserID); err != nil {
			return 0, err
		}
		if !signedIn {
			return 0, grant.ErrSignedOut
		}
		return n, nil
	})
}

const releaseSQL = `
UPDATE grants SET lease_owner = NULL, lease_expires_at = NULL
 WHERE id = ? AND version = ? AND lease_owner = ?`

// Release implements grant.Leases.
func (db *DB) Release(ctx context.Context, g grant.Grant, owner string) error {
	return db.compareAndSet(ctx, "release lease", g, func(tx *sqlx.Tx) (int64, error) {
		return db.exec(ctx, tx, releaseSQL, g.ID, g.Version, owner)
	})
}

// setRefreshEndSQL sets when the refresh token ends: as the answer said, else as
// it was for a token that is kept. An end that has moved on is one to be swept
// for again, and one that came nearer may be due sooner.
const setRefreshEndSQL = `
       refresh_expires_at = COALESCE(?, CASE WHEN ? THEN refresh_expires_at END),
       sweep_at = CASE WHEN refresh_expires_at IS NULL OR refresh_expires_at < ? OR sweep_at > {later}
                       THEN {later} ELSE sweep_at END`

// refreshEnd is setRefreshEndSQL's arguments for the answer t to g's refresh
// token.
func refreshEnd(g grant.Grant, t grant.Tokens, now time.Time) []any {
	end, due := schedule(t, now)
	moved := end
	moved.Time = moved.Time.Add(-grant.SameEnd)
	kept := t.Refresh.IsZero() || t.Refresh.Equal(g.Refresh)
	return []any{end, kept, moved, due, due}
}

// A user who has consented anew meanwhile keeps what that brought: such a row
// takes the refresh token alone. A row whose lease was taken over by one who
// presented nothing takes all, because the version and the consent say that
// nothing else has come since.
const publishSQL = `
UPDATE grants
   SET status = ?, status_reason = '',
       access_token = ?, refresh_token = COALESCE(?, refresh_token), scopes = COALESCE(?, scopes), rotation = ?,
       obtained_at = ?, access_expires_at = ?, last_refreshed_at = ?, version = version + 1,
       lease_owner = NULL, lease_expires_at = NULL, lapses = 0, lapsed_at = NULL,` + setRefreshEndSQL + `,
       failures = 0, failure_kind = '', failure_reason = '', failure_message = '', failure_status = 0,
       retry_at = NULL
 WHERE id = ? AND version = ? AND authorized_at = ?
   AND (lease_owner = ? OR lease_owner IS NULL AND status = ? AND status_reason = ?)`

const publishRefreshSQL = `
UPDATE grants
   SET refresh_token = COALESCE(?, refresh_token), rotation = ?, version = version + 1,
       lease_owner = NULL, lease_expires_at = NULL, lapses = 0, lapsed_at = NULL,` + setRefreshEndSQL + `
 WHERE id = ? AND version = ? AND lease_owner = ?`

// Publish implements grant.Leases.
func (db *DB) Publish(ctx context.Context, g grant.Grant, owner string, t grant.Tokens, now time.Time) (grant.Grant, error) {
	access, refresh, err := db.sealTokens(g.ID, t)
	if err != nil {
		return grant.Grant{}, err
	}
	now = stamp(now)
	end := refreshEnd(g, t, now)
	var published grant.Grant
	err = db.compareAndSet(ctx, "publish tokens", g, func(tx *sqlx.Tx) (int64, error) {
		args := slices.Concat([]any{
			grant.Active, access, refresh, joinScopes(t.Scopes), learn(g, t), now, stamp(t.AccessExpiresAt), now,
		}, end, []any{
			g.ID, g.Version, stamp(g.AuthorizedAt), owner, grant.ReauthenticationRequired, grant.ReasonInterrupted,
		})
		n, err := db.exec(ctx, tx, publishSQL, args...)
		if n == 0 && err == nil {
			args = slices.Concat([]any{refresh, learn(g, t)}, end, []any{g.ID, g.Version, owner})
			n, err = db.exec(ctx, tx, publishRefreshSQL, args...)
		}
		if n == 0 || err != nil {
			return 0, err
		}
		if published, err = db.selectGrant(ctx, tx, selectGrantSQL, g.UserID); err != nil {
			return 0, err
		}
		err = db.record(ctx, tx, audit.Event{Kind: audit.Refreshed, UserID: g.UserID, GrantID: g.ID, At: now})
		failpoint.Hit(failpoint.PublishUncommitted)
		return n, err
	})
	if err != nil {
		return grant.Grant{}, err
	}
	return published, nil
}

const failSQL = `
UPDATE grants
   SET status = ?, status_reason = ?, failures = failures + 1, failure_kind = ?, failure_reason = ?,
       failure_message = ?, failure_status = ?, retry_at = {later},
       lease_owner = NULL, lease_expires_at = NULL, lapses = 0, lapsed_at = NULL
 WHERE id = ? AND version = ? AND lease_owner = ? AND authorized_at = ?`

// Fail implements grant.Leases.
func (db *DB) Fail(ctx context.Context, g grant.Grant, owner string, f *grant.Failure, retryIn time.Duration) error {
	status, statusReason := grant.Active, ""
	retry := sql.NullInt64{Int64: retryIn.Microseconds(), Valid: true}
	reason := clip(f.Reason, maxReason)
	if f.Kind == grant.SignInAgain {
		status, statusReason, retry = grant.ReauthenticationRequired, reason, sql.NullInt64{}
	}
	anew := false // the user has consented again, of which the answer says nothing
	err := db.compareAndSet(ctx, "record failed refresh", g, func(tx *sqlx.Tx) (int64, error) {
		n, err := db.exec(ctx, tx, failSQL, status, statusReason, f.Kind, reason,
			clip(f.Message, maxMessage), f.Status, retry, g.ID, g.Version, owner, stamp(g.AuthorizedAt))
		if n == 0 && err == nil {
			n, err = db.exec(ctx, tx, releaseSQL, g.ID, g.Version, owner)
			anew = n > 0
			return n, err
		}
		if err != nil {
			return 0, err
		}
		err = db.record(ctx, tx, audit.Event{Kind: audit.RefreshFailed, UserID: g.UserID, GrantID: g.ID, Reason: reason})
		failpoint.Hit(failpoint.FailureUncommitted)
		return n, err
	})
	if err == nil && anew {
		return grant.ErrLost
	}
	return err
}

// compareAndSet runs do, which changes the grant unless someone else has, in a
// transaction. It returns grant.ErrLost where do changed no row.
func (db *DB) compareAndSet(ctx context.Context, doing string, g grant.Grant, do func(tx *sqlx.Tx) (int64, error)) error {
	err := db.change(ctx, func(tx *change) error {
		n, err := do(tx.Tx)
		if err == nil && n == 0 {
			err = grant.ErrLost
		}
		tx.grantChanged(g.ID, g.UserID)
		return err
	})
	if errors.Is(err, grant.ErrLost) {
		return err
	}
	return explain(ctx, doing, err)
}

// learn is what the answer t to g's refresh token tells about the provider.
func learn(g grant.Grant, t grant.Tokens) grant.Rotation {
	if g.Rotation == grant.Rotates || !t.Refresh.IsZero() && !t.Refresh.Equal(g.Refresh) {
		return grant.Rotates
	}
	return grant.KeepsToken
}
