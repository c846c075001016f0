package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/vault"
)

type grantRow struct {
	ID               string         `db:"id"`
	UserID           string         `db:"user_id"`
	Subject          string         `db:"subject"`
	Status           grant.Status   `db:"status"`
	StatusReason     string         `db:"status_reason"`
	Version          int64          `db:"version"`
	Writes           int64          `db:"writes"`
	Scopes           string         `db:"scopes"`
	AccessToken      []byte         `db:"access_token"`
	RefreshToken     []byte         `db:"refresh_token"`
	Rotation         grant.Rotation `db:"rotation"`
	AuthorizedAt     time.Time      `db:"authorized_at"`
	ObtainedAt       time.Time      `db:"obtained_at"`
	AccessExpiresAt  time.Time      `db:"access_expires_at"`
	RefreshExpiresAt sql.NullTime   `db:"refresh_expires_at"`
	LastRefreshedAt  sql.NullTime   `db:"last_refreshed_at"`
	LeaseOwner       sql.NullString `db:"lease_owner"`
	LeaseExpiresAt   sql.NullTime   `db:"lease_expires_at"`
	Lapses           int            `db:"lapses"`
	LapsedAt         sql.NullTime   `db:"lapsed_at"`
	Failures         int            `db:"failures"`
	FailureKind      grant.Kind     `db:"failure_kind"`
	FailureReason    string         `db:"failure_reason"`
	FailureMessage   string         `db:"failure_message"`
	FailureStatus    int            `db:"failure_status"`
	RetryAt          sql.NullTime   `db:"retry_at"`
	StoreNow         instant        `db:"store_now"`
}

// grant returns the row with its tokens opened. Where one does not open, the error
// is vault.ErrSealed and the grant is there without it.
func (db *DB) grant(r grantRow) (grant.Grant, error) {
	access, err := db.unseal(r.AccessToken, grantPlace(r.ID, "access_token"))
	var refresh secret.Text
	if r.RefreshToken != nil {
		var refreshErr error
		refresh, refreshErr = db.unseal(r.RefreshToken, grantPlace(r.ID, "refresh_token"))
		err = errors.Join(err, refreshErr)
	}
	g := grant.Grant{
		ID:              r.ID,
		UserID:          r.UserID,
		Subject:         r.Subject,
		Status:          r.Status,
		StatusReason:    r.StatusReason,
		Version:         r.Version,
		Writes:          r.Writes,
		Scopes:          strings.Fields(r.Scopes),
		Access:          access,
		Refresh:         refresh,
		Refreshable:     r.RefreshToken != nil,
		Rotation:        r.Rotation,
		AuthorizedAt:    r.AuthorizedAt.UTC(),
		ObtainedAt:      r.ObtainedAt.UTC(),
		AccessExpiresAt: r.AccessExpiresAt.UTC(),
		LeaseOwner:      r.LeaseOwner.String,
		LeaseLeft:       r.until(r.LeaseExpiresAt),
		Failures:        r.Failures,
		RetryIn:         r.until(r.RetryAt),
	}
	g.Lapses, g.LapsedFor = r.lapsed()
	if r.RefreshExpiresAt.Valid {
		g.RefreshExpiresAt = r.RefreshExpiresAt.Time.UTC()
	}
	if r.LastRefreshedAt.Valid {
		g.LastRefreshedAt = r.LastRefreshedAt.Time.UTC()
	}
	if r.FailureKind != "" {
		g.LastFailure = &grant.Failure{
			Kind:    r.FailureKind,
			Reason:  r.FailureReason,
			Message: r.FailureMessage,
			Status:  r.FailureStatus,
		}
	}
	return g, err
}

// until is how long t is ahead by the database's clock; zero where it is NULL
// or past.
func (r grantRow) until(t sql.NullTime) time.Duration {
	if !t.Valid {
		return 0
	}
	return max(t.Time.Sub(r.StoreNow.Time), 0)
}

// lapsed is how many leases have run out, that of the row among them, and how
// long ago the first did.
func (r grantRow) lapsed() (lapses int, since time.Duration) {
	lapses, first := r.Lapses, r.LapsedAt
	if r.LeaseExpiresAt.Valid && r.until(r.LeaseExpiresAt) == 0 {
		lapses++
		if !first.Valid {
			first = r.LeaseExpiresAt
		}
	}
	if !first.Valid {
		return lapses, 0
	}
	return lapses, r.StoreNow.Sub(first.Time)
}

// errKeyAbsent is beside vault.ErrSealed where the keyset lacks the key of a value:
// it may lag behind another replica's, and the value opens once it does not.
var errKeyAbsent = errors.New("the key is not in this keyset")

// unseal is the vault's Open, and says so where it is the key that is missing.
func (db *DB) unseal(sealed []byte, p vault.Place) (secret.Text, error) {
	keys := db.vault.KeyIDs() // before opening: the keyset may be replaced meanwhile
	plain, err := db.vault.Open(sealed, p)
	if id, ok := vault.SealedUnder(sealed); err != nil && ok && !slices.Contains(keys, id) {
		err = fmt.Errorf("%w: %w", err, errKeyAbsent)
	}
	return plain, err
}

// damaged reports whether err says of a value that it will never open again. Such
// a value is as good as gone: its user must be able to leave, or to sign in anew.
func damaged(err error) bool {
	return errors.Is(err, vault.ErrSealed) && !errors.Is(err, errKeyAbsent)
}

func grantPlace(id, column string) vault.Place {
	return vault.Place{Table: "grants", Row: id, Column: column}
}

// sealTokens returns both tokens as they are stored; NULL for a refresh token
// that did not come.
func (db *DB) sealTokens(grantID string, t grant.Tokens) (access []byte, refresh sql.Null[[]byte], err error) {
	if access, err = db.vault.Seal(t.Access, grantPlace(grantID, "access_token")); err != nil {
		return nil, refresh, err
	}
	if t.Refresh.IsZero() {
		return access, refresh, nil
	}
	refresh.V, err = db.vault.Seal(t.Refresh, grantPlace(grantID, "refresh_token"))
	refresh.Valid = err == nil
	return access, refresh, err
}

// joinScopes is the list as it is stored (RFC 6749, section 3.3); NULL for nil.
func joinScopes(scopes []string) sql.NullString {
	return sql.NullString{String: strings.Join(scopes, " "), Valid: scopes != nil}
}

const selectGrantSQL = `
SELECT g.id, g.user_id, u.subject, g.status, g.status_reason, g.version, g.writes, g.scopes,
       g.access_token, g.refresh_token, g.rotation,
       g.authorized_at, g.obtained_at, g.access_expires_at, g.refresh_expires_at, g.last_refreshed_at,
       g.lease_owner, g.lease_expires_at, g.lapses, g.lapsed_at, g.failures, g.failure_kind,
       g.failure_reason, g.failure_message, g.failure_status, g.retry_at, {now} AS store_now
  FROM grants g JOIN users u ON u.id = g.user_id
 WHERE g.user_id = ? `

// Grant implements grant.Store.
func (db *DB) Grant(ctx context.Context, userID string) (grant.Grant, error) {
	g, err := db.selectGrant(ctx, db.read, selectGrantSQL, userID)
	if errors.Is(err, grant.ErrNotFound) {
		return grant.Grant{}, err
	}
	return g, explain(ctx, "select grant", err)
}

// selectGrant returns the grant that the statement selects, or
// grant.ErrNotFound.
func (db *DB) selectGrant(ctx context.Context, q sqlx.QueryerContext, query, userID string) (grant.Grant, error) {
	var row grantRow
	err := db.get(ctx, q, &row, query, userID)
	if errors.Is(err, sql.ErrNoRows) {
		return grant.Grant{}, grant.ErrNotFound
	}
	if err != nil {
		return grant.Grant{}, err
	}
	return db.grant(row)
}

const wroteSQL = `
UPDATE grants SET writes = writes + 1 WHERE user_id = ? RETURNING id`

// Wrote adds one to the Writes of the user's grant, and does nothing where the user
// has given the consent back. It returns when no replica uses the grant as it was
// before; where ctx ends first, they hear of it nevertheless.
func (db *DB) Wrote(ctx context.Context, userID string) error {
	err := db.change(ctx, func(tx *change) error {
		var id string
		err := db.get(ctx, tx, &id, wroteSQL, userID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		tx.grantChanged(id, userID)
		tx.awaited = true
		return nil
	})
	return explain(ctx, "count a change at galaxy", err)
}

const lockGrantSQL = selectGrantSQL + `
{for update of g}`

const deleteGrantSQL = `
DELETE FROM grants WHERE id = ?`

// Erase implements grant.Store.
func (db *DB) Erase(ctx context.Context, userID string) (grant.PendingRevocation, int, error) {
	var pending grant.PendingRevocation
	var ended int
	err := db.change(ctx, func(tx *change) error {
		erased, err := db.selectGrant(ctx, tx, lockGrantSQL, userID)
		if err != nil && !damaged(err) {
			return err
		}
		if pending, err = db.giveBack(ctx, tx, erased); err != nil {
			return err
		}
		if _, err := db.exec(ctx, tx, deleteGrantSQL, erased.ID); err != nil {
			return err
		}
		tx.grantChanged(erased.ID, userID)
		ended, err = db.endSessions(ctx, tx, otherLiveSessionsSQL, session.AuthorizationRevoked, time.Time{}, userID, "")
		if err != nil {
			return err
		}
		return db.record(ctx, tx, audit.Event{Kind: audit.Revoked, UserID: userID, GrantID: erased.ID})
	})
	if errors.Is(err, grant.ErrNotFound) {
		return grant.PendingRevocation{}, 0, err
	}
	if err != nil {
		return grant.PendingRevocation{}, 0, explain(ctx, "erase grant", err)
	}
	return pending, ended, nil
}

// giveBack makes a claimed revocation of the grant's consent, or none where its
// tokens are damaged.
func (db *DB) giveBack(ctx context.Context, tx sqlx.ExecerContext, g grant.Grant) (grant.PendingRevocation, error) {
	if g.Access.IsZero() && g.Refresh.IsZero() {
		return grant.PendingRevocation{}, nil
	}
	kind := grant.RevokeConsent
	if g.StatusReason == grant.ReasonSubject {
		kind = grant.RevokeTokens // the consent behind them may be another's
	}
	p := grant.PendingRevocation{
		ID: rand.Text(), Kind: kind, UserID: g.UserID, GrantID: g.ID, Attempts: 1,
		Tokens: grant.Tokens{Access: g.Access, AccessExpiresAt: g.AccessExpiresAt, Refresh: g.Refresh},
	}
	return p, db.insertRevocation(ctx, tx, p, grant.RevocationLease)
}
