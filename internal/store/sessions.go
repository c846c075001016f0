package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
	"galaxygate/internal/session"
)

type sessionRow struct {
	ID         string       `db:"id"`
	UserID     string       `db:"user_id"`
	Subject    string       `db:"subject"`
	UserSince  time.Time    `db:"user_since"`
	Kind       session.Kind `db:"kind"`
	UserAgent  string       `db:"user_agent"`
	IPAddress  string       `db:"ip_address"`
	CreatedAt  time.Time    `db:"created_at"`
	LastSeenAt time.Time    `db:"last_seen_at"`
	ExpiresAt  time.Time    `db:"expires_at"`
}

func (r sessionRow) session() session.Session {
	return session.Session{
		ID:         r.ID,
		UserID:     r.UserID,
		Subject:    r.Subject,
		UserSince:  r.UserSince.UTC(),
		Kind:       r.Kind,
		UserAgent:  r.UserAgent,
		IPAddress:  r.IPAddress,
		CreatedAt:  r.CreatedAt.UTC(),
		LastSeenAt: r.LastSeenAt.UTC(),
		ExpiresAt:  r.ExpiresAt.UTC(),
	}
}

const selectSessionSQL = `
SELECT s.id, s.user_id, u.subject, u.created_at AS user_since, s.kind, s.user_agent, s.ip_address,
       s.created_at, s.last_seen_at, s.expires_at
  FROM sessions s JOIN users u ON u.id = s.user_id `

const sessionByTokenSQL = selectSessionSQL + `
 WHERE s.token_hash = ? AND s.ended_at IS NULL AND s.expires_at > ?`

const selectEndReasonSQL = `
SELECT end_reason FROM sessions WHERE token_hash = ?`

// Session implements session.Store.
func (db *DB) Session(ctx context.Context, tokenHash []byte, now time.Time) (session.Session, error) {
	var row sessionRow
	err := db.get(ctx, db.read, &row, sessionByTokenSQL, tokenHash, stamp(now))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Session{}, db.whyNoSession(ctx, tokenHash)
	}
	return row.session(), explain(ctx, "select session", err)
}

func (db *DB) whyNoSession(ctx context.Context, tokenHash []byte) error {
	var reason session.EndReason
	err := db.get(ctx, db.read, &reason, selectEndReasonSQL, tokenHash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return session.ErrNotFound
	case err != nil:
		return explain(ctx, "select end of session", err)
	case reason == session.Replaced:
		return session.ErrReplaced
	default:
		return session.ErrNotFound
	}
}

const sessionsByUserSQL = selectSessionSQL + `
 WHERE s.user_id = ? AND s.ended_at IS NULL AND s.expires_at > ?
 ORDER BY s.created_at DESC, s.id`

// Sessions implements session.Store.
func (db *DB) Sessions(ctx context.Context, userID string, now time.Time) ([]session.Session, error) {
	var rows []sessionRow
	if err := db.list(ctx, db.read, &rows, sessionsByUserSQL, userID, stamp(now)); err != nil {
		return nil, explain(ctx, "select sessions", err)
	}
	sessions := make([]session.Session, len(rows))
	for i, row := range rows {
		sessions[i] = row.session()
	}
	return sessions, nil
}

const standingsSQL = `
SELECT id, expires_at, ended_at, end_reason FROM sessions WHERE id IN (?)`

// Standings implements session.Register.
func (db *DB) Standings(ctx context.Context, ids []string) (map[string]session.Standing, error) {
	standings := make(map[string]session.Standing, len(ids))
	if len(ids) == 0 {
		return standings, nil
	}
	query, args, err := sqlx.In(standingsSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("select ends of sessions: %w", err)
	}
	var rows []struct {
		ID        string            `db:"id"`
		ExpiresAt time.Time         `db:"expires_at"`
		EndedAt   sql.NullTime      `db:"ended_at"`
		EndReason session.EndReason `db:"end_reason"`
	}
	if err := db.list(ctx, db.read, &rows, query, args...); err != nil {
		return nil, explain(ctx, "select ends of sessions", err)
	}
	for _, row := range rows {
		standing := session.Standing{ExpiresAt: row.ExpiresAt.UTC()}
		if row.EndedAt.Valid {
			standing.End = &session.End{Reason: row.EndReason, At: row.EndedAt.Time.UTC()}
		}
		standings[row.ID] = standing
	}
	return standings, nil
}

const touchSQL = `
UPDATE sessions SET last_seen_at = ?, expires_at = ?
 WHERE id = ? AND ended_at IS NULL AND expires_at > ?`

// Touch implements session.Store.
func (db *DB) Touch(ctx context.Context, id string, seenAt, expiresAt time.Time) error {
	_, err := db.exec(ctx, db.write, touchSQL, stamp(seenAt), stamp(expiresAt), id, stamp(seenAt))
	return explain(ctx, "touch session", err)
}

const insertSessionSQL = `
INSERT INTO sessions (id, token_hash, user_id, kind, provider_session_id, user_agent, ip_address,
                      created_at, last_seen_at, expires_at, end_reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')`

func (db *DB) insertSession(ctx context.Context, tx *sqlx.Tx, s session.Session, tokenHash []byte, providerSessionID string) error {
	_, err := db.exec(ctx, tx, insertSessionSQL, s.ID, tokenHash, s.UserID, s.Kind, providerSessionID,
		s.UserAgent, s.IPAddress, s.CreatedAt, s.LastSeenAt, s.ExpiresAt)
	return err
}

const sessionByIDSQL = selectSessionSQL + `
 WHERE s.id = ?`

// End implements session.Ender.
func (db *DB) End(ctx context.Context, userID, id string, reason session.EndReason, now time.Time) (session.Session, error) {
	var ended sessionRow
	err := db.change(ctx, func(tx *change) error {
		n, err := db.endSessions(ctx, tx, liveSessionOfUserSQL, reason, now, id, userID)
		if err != nil {
			return err
		}
		if n == 0 {
			return session.ErrNotFound
		}
		return db.get(ctx, tx, &ended, sessionByIDSQL, id)
	})
	if errors.Is(err, session.ErrNotFound) {
		return session.Session{}, session.ErrNotFound
	}
	return ended.session(), explain(ctx, "end session", err)
}

// EndOthers implements session.Ender.
func (db *DB) EndOthers(ctx context.Context, userID, keepID string, reason session.EndReason, now time.Time) (int, error) {
	var ended int
	err := db.change(ctx, func(tx *change) (err error) {
		ended, err = db.endSessions(ctx, tx, otherLiveSessionsSQL, reason, now, userID, keepID)
		return err
	})
	return ended, explain(ctx, "end other sessions", err)
}

// The statements that select sessions to end, whose first placeholder is the
// time. Rows are locked in one order, so that no two transactions that end the
// same sessions wait for each other.
const (
	liveSessionsSQL = `
SELECT id, user_id FROM sessions
 WHERE ended_at IS NULL AND expires_at > COALESCE(?, {now}) `

	liveSessionSQL = liveSessionsSQL + `
   AND id = ? {for update}`

	liveSessionOfUserSQL = liveSessionsSQL + `
   AND id = ? AND user_id = ? {for update}`

	otherLiveSessionsSQL = liveSessionsSQL + `
   AND user_id = ? AND id <> ? ORDER BY id {for update}`

	liveSessionsOfSubjectSQL = liveSessionsSQL + `
   AND user_id IN (SELECT id FROM users WHERE issuer = ? AND subject = ?) ORDER BY id {for update}`

	liveSessionsAtProviderSQL = liveSessionsSQL + `
   AND provider_session_id = ? AND user_id IN (SELECT id FROM users WHERE issuer = ?) ORDER BY id {for update}`

	liveSessionsOfSubjectAtProviderSQL = liveSessionsSQL + `
   AND provider_session_id = ? AND user_id IN (SELECT id FROM users WHERE issuer = ? AND subject = ?)
 ORDER BY id {for update}`
)

const endSessionSQL = `
UPDATE sessions SET ended_at = COALESCE(?, {now}), end_reason = ? WHERE id = ?`

// endSessions ends the sessions that the statement selects, records each, and
// returns how many. A zero now is the database's. It is the one way in which a
// session ends before its time.
func (db *DB) endSessions(
	ctx context.Context, tx *change, live string, reason session.EndReason, now time.Time, args ...any,
) (int, error) {
	ended, err := db.markEnded(ctx, tx.Tx, live, reason, now, args...)
	for _, s := range ended {
		tx.sessionEnded(s.UserID, s.ID)
	}
	return len(ended), err
}

type endedSession struct {
	ID     string `db:"id"`
	UserID string `db:"user_id"`
}

// markEnded is endSessions for sessions of which nobody needs to be told.
func (db *DB) markEnded(
	ctx context.Context, tx *sqlx.Tx, live string, reason session.EndReason, now time.Time, args ...any,
) ([]endedSession, error) {
	at := sql.NullTime{Time: stamp(now), Valid: !now.IsZero()}
	var sessions []endedSession
	if err := db.list(ctx, tx, &sessions, live, append([]any{at}, args...)...); err != nil {
		return nil, err
	}
	kind := audit.SessionEnded
	if reason == session.LoggedOut {
		kind = audit.SignedOut
	}
	for _, s := range sessions {
		if _, err := db.exec(ctx, tx, endSessionSQL, at, reason, s.ID); err != nil {
			return nil, err
		}
		event := audit.Event{Kind: kind, UserID: s.UserID, SessionID: s.ID, Reason: string(reason), At: now}
		if err := db.record(ctx, tx, event); err != nil {
			return nil, err
		}
	}
	return sessions, nil
}
