package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/session"
)

// EndByProvider implements session.Ender. That the logout was carried out is on
// record if and only if it was: where the database fails, it can be sent again.
func (db *DB) EndByProvider(ctx context.Context, l session.Logout, now time.Time) (int, error) {
	var ended int
	err := db.change(ctx, func(tx *change) (err error) {
		if err := db.spendLogout(ctx, tx.Tx, l); err != nil {
			return err
		}
		live, args := sessionsOf(l)
		ended, err = db.endSessions(ctx, tx, live, session.EndedByProvider, now, args...)
		return err
	})
	if errors.Is(err, session.ErrReplayed) {
		return 0, session.ErrReplayed
	}
	return ended, explain(ctx, "end sessions for the provider", err)
}

// sessionsOf returns the statement that selects the sessions that the logout
// concerns, and its arguments. A logout that names nobody selects none: no user
// has an empty subject.
func sessionsOf(l session.Logout) (live string, args []any) {
	switch {
	case l.ProviderSessionID == "":
		return liveSessionsOfSubjectSQL, []any{l.Issuer, l.Subject}
	case l.Subject == "":
		return liveSessionsAtProviderSQL, []any{providerSession(l.ProviderSessionID), l.Issuer}
	default:
		return liveSessionsOfSubjectAtProviderSQL, []any{providerSession(l.ProviderSessionID), l.Issuer, l.Subject}
	}
}

// The second of two replicas that insert the same row waits for the first, and
// inserts it where the first is rolled back.
const insertLogoutSQL = `
INSERT INTO logout_tokens (id, expires_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`

// spendLogout records that the logout is carried out, or returns
// session.ErrReplayed. Tidy deletes the records that nobody needs any more.
func (db *DB) spendLogout(ctx context.Context, tx *sqlx.Tx, l session.Logout) error {
	id := sha256.Sum256([]byte(l.Issuer + "\x00" + l.TokenID))
	n, err := db.exec(ctx, tx, insertLogoutSQL, id[:], stamp(l.ExpiresAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return session.ErrReplayed
	}
	return nil
}

// providerSession is the provider's session ID as it is stored: the ID itself,
// or its hash where the column would not hold all of it, so that two IDs never
// become one.
func providerSession(id string) string {
	if whole := clip(id, maxReason); whole == id {
		return whole
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}
