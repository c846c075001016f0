package store

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/login"
	"galaxygate/internal/session"
)

const insertCodeSQL = `
INSERT INTO authorization_codes (code_hash, session_id, binding) VALUES (?, ?, ?)`

// insertCode stores the code of a sign-in for an app, whose session is inserted.
func (db *DB) insertCode(ctx context.Context, tx *sqlx.Tx, c *login.Code, sessionID string) error {
	if c == nil {
		return nil
	}
	_, err := db.exec(ctx, tx, insertCodeSQL, c.Code.Hash(), sessionID, c.Binding())
	return err
}

// RedeemCode implements login.Store. What a refused use does is committed, and
// then refused.
func (db *DB) RedeemCode(ctx context.Context, r login.Redemption, now time.Time) (login.Redeemed, error) {
	var redeemed login.Redeemed
	var refusal error
	err := db.change(ctx, func(tx *change) (err error) {
		redeemed, refusal, err = db.redeem(ctx, tx, r, now)
		return err
	})
	if err != nil {
		return login.Redeemed{}, explain(ctx, "redeem authorization code", err)
	}
	return redeemed, refusal
}

const selectCodeSQL = `
SELECT session_id, binding FROM authorization_codes WHERE code_hash = ?`

const spendCodeSQL = `
UPDATE authorization_codes SET spent_at = ? WHERE code_hash = ? AND spent_at IS NULL`

// redeem locks the session before anything else: whoever else uses the code, or ends
// the session, comes before or after. A session that has ended takes its code along,
// spent or not.
func (db *DB) redeem(ctx context.Context, tx *change, r login.Redemption, now time.Time) (_ login.Redeemed, refusal, err error) {
	var code struct {
		SessionID string `db:"session_id"`
		Binding   []byte `db:"binding"`
	}
	hash := r.Code.Code.Hash()
	if err := db.get(ctx, tx, &code, selectCodeSQL, hash); err != nil {
		return login.Redeemed{}, login.ErrNoCode, unlessNone(err)
	}
	var live endedSession
	at := sql.NullTime{Time: stamp(now), Valid: true}
	if err := db.get(ctx, tx, &live, liveSessionSQL, at, code.SessionID); err != nil {
		return login.Redeemed{}, login.ErrNoCode, unlessNone(err)
	}
	spent, err := db.exec(ctx, tx, spendCodeSQL, stamp(now), hash)
	if err != nil {
		return login.Redeemed{}, nil, err
	}
	if spent == 0 {
		_, err := db.endSessions(ctx, tx, liveSessionSQL, session.CodeReplayed, now, code.SessionID)
		return login.Redeemed{}, login.ErrCodeReplayed, err
	}
	if subtle.ConstantTimeCompare(code.Binding, r.Code.Binding()) != 1 {
		_, err := db.endSessions(ctx, tx, liveSessionSQL, session.CodeMisused, now, code.SessionID)
		return login.Redeemed{}, login.ErrCodeMisused, err
	}
	redeemed, err := db.handOver(ctx, tx.Tx, code.SessionID, r)
	return redeemed, nil, err
}

// unlessNone is nil for sql.ErrNoRows.
func unlessNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

const handOverSessionSQL = `
UPDATE sessions
   SET token_hash = ?, user_agent = ?, ip_address = ?, created_at = ?, last_seen_at = ?, expires_at = ?
 WHERE id = ?`

const grantedScopesSQL = `
SELECT scopes FROM grants WHERE user_id = ?`

// handOver gives the session to the app: its token, and a life of its own. No replica
// remembers anything of it, for until now no token led to it.
func (db *DB) handOver(ctx context.Context, tx *sqlx.Tx, id string, r login.Redemption) (login.Redeemed, error) {
	s := r.Session
	_, err := db.exec(ctx, tx, handOverSessionSQL, r.SessionToken.Hash(), clip(s.UserAgent, maxUserAgent),
		clip(s.IPAddress, maxAddress), stamp(s.CreatedAt), stamp(s.LastSeenAt), stamp(s.ExpiresAt), id)
	if err != nil {
		return login.Redeemed{}, err
	}
	var row sessionRow
	if err := db.get(ctx, tx, &row, sessionByIDSQL, id); err != nil {
		return login.Redeemed{}, err
	}
	var scopes string
	err = db.get(ctx, tx, &scopes, grantedScopesSQL, row.UserID)
	return login.Redeemed{Session: row.session(), Scopes: strings.Fields(scopes)}, unlessNone(err)
}
