package store

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/session"
)

// The update locks the user until the transaction ends: sign-ins of one user
// come one after the other.
const upsertUserSQL = `
INSERT INTO users (id, issuer, subject, created_at, last_signed_in_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (issuer, subject) DO UPDATE SET last_signed_in_at = excluded.last_signed_in_at
RETURNING id, created_at`

// SignIn implements login.Store. A refresh token that is the stored one once
// more counts as none that came.
func (db *DB) SignIn(ctx context.Context, s login.SignIn, now time.Time) (session.Session, error) {
	now = stamp(now)
	created := s.Session
	created.Subject = s.Subject
	created.UserAgent, created.IPAddress = clip(created.UserAgent, maxUserAgent), clip(created.IPAddress, maxAddress)
	created.CreatedAt, created.LastSeenAt = stamp(created.CreatedAt), stamp(created.LastSeenAt)
	created.ExpiresAt = stamp(created.ExpiresAt)
	// The session that the browser had before, perhaps another user's, ends with
	// this; but it is not what signs the user in.
	nobody := audit.ActorFrom(ctx)
	nobody.SessionID = ""
	anew := audit.WithActor(ctx, nobody)
	var user struct {
		ID        string    `db:"id"`
		CreatedAt time.Time `db:"created_at"`
	}
	err := db.change(ctx, func(tx *change) error {
		err := db.get(ctx, tx, &user, upsertUserSQL, rand.Text(), s.Issuer, s.Subject, now, now)
		if err != nil {
			return err
		}
		created.UserID, created.UserSince = user.ID, user.CreatedAt.UTC()
		grantID, err := db.replaceGrant(anew, tx.Tx, user.ID, s.Tokens, now)
		if err != nil {
			return err
		}
		// After the grant was locked: what was erased until then is seen.
		if err := db.spare(anew, tx.Tx, user.ID, s.Tokens); err != nil {
			return err
		}
		tx.grantChanged(grantID, user.ID)
		tx.signedIn = user.ID
		if _, err := db.endSessions(ctx, tx, liveSessionSQL, session.Replaced, now, s.EndSessionID); err != nil {
			return err
		}
		if err := db.insertSession(ctx, tx.Tx, created, s.SessionToken.Hash(), providerSession(s.ProviderSessionID)); err != nil {
			return err
		}
		if err := db.insertCode(ctx, tx.Tx, s.Code, created.ID); err != nil {
			return err
		}
		event := audit.Event{Kind: audit.SignedIn, UserID: user.ID, GrantID: grantID, SessionID: created.ID, At: now}
		return db.record(anew, tx, event)
	})
	if err != nil {
		return session.Session{}, explain(ctx, "sign in", err)
	}
	db.hub.wake(outboxTopic)
	return created, nil
}

const updateGrantSQL = `
UPDATE grants
   SET status = ?, status_reason = '', access_token = ?, refresh_token = COALESCE(?, refresh_token),
       scopes = COALESCE(?, scopes), authorized_at = ?, obtained_at = ?, access_expires_at = ?,
       last_refreshed_at = NULL,
       failures = 0, failure_kind = '', failure_reason = '', failure_message = '', failure_status = 0,
       retry_at = NULL`

const replaceAccessTokenSQL = updateGrantSQL + `,
       refresh_expires_at = COALESCE(?, refresh_expires_at), sweep_at = COALESCE({later}, sweep_at)
 WHERE id = ?`

const replaceTokensSQL = updateGrantSQL + `,
       refresh_expires_at = ?, sweep_at = {later},
       version = version + 1, lease_owner = NULL, lease_expires_at = NULL, lapses = 0, lapsed_at = NULL
 WHERE id = ?`

// replaceGrant stores the tokens as the user's grant, makes a pending revocation
// of the refresh token that is no longer stored, and returns the grant's ID.
func (db *DB) replaceGrant(ctx context.Context, tx *sqlx.Tx, userID string, t grant.Tokens, now time.Time) (string, error) {
	old, err := db.selectGrant(ctx, tx, lockGrantSQL, userID)
	if errors.Is(err, grant.ErrNotFound) {
		return db.insertGrant(ctx, tx, userID, t, now)
	}
	if err != nil && !damaged(err) {
		return "", err
	}
	access, refresh, err := db.sealTokens(old.ID, t)
	if err != nil {
		return "", err
	}
	update := replaceTokensSQL
	kept := !old.Refresh.IsZero() && (t.Refresh.IsZero() || t.Refresh.Equal(old.Refresh))
	if kept {
		update = replaceAccessTokenSQL
	}
	end, due := schedule(t, now)
	_, err = db.exec(ctx, tx, update, grant.Active, access, refresh, joinScopes(t.Scopes),
		now, now, stamp(t.AccessExpiresAt), end, due, old.ID)
	if kept || old.Refresh.IsZero() || err != nil {
		return old.ID, err
	}
	replaced := grant.PendingRevocation{
		ID: rand.Text(), Kind: grant.RevokeTokens, UserID: userID, GrantID: old.ID,
		Tokens: grant.Tokens{Refresh: old.Refresh},
	}
	if err := db.insertRevocation(ctx, tx, replaced, 0); err != nil {
		return "", err
	}
	event := audit.Event{Kind: audit.Revoked, UserID: userID, GrantID: old.ID, Reason: string(session.Replaced), At: now}
	return old.ID, db.record(ctx, tx, event)
}

const insertGrantSQL = `
INSERT INTO grants (id, user_id, status, status_reason, version, scopes, access_token, refresh_token,
                    rotation, authorized_at, obtained_at, access_expires_at, refresh_expires_at, sweep_at,
                    failures, failure_kind, failure_reason, failure_message, failure_status)
VALUES (?, ?, ?, '', 1, ?, ?, ?, ?, ?, ?, ?, ?, {later}, 0, '', '', '', 0)`

func (db *DB) insertGrant(ctx context.Context, tx *sqlx.Tx, userID string, t grant.Tokens, now time.Time) (string, error) {
	id := rand.Text()
	access, refresh, err := db.sealTokens(id, t)
	if err != nil {
		return "", err
	}
	end, due := schedule(t, now)
	_, err = db.exec(ctx, tx, insertGrantSQL, id, userID, grant.Active, joinScopes(t.Scopes).String, access, refresh,
		grant.RotationUnknown, now, now, stamp(t.AccessExpiresAt), end, due)
	return id, err
}
