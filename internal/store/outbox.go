package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// outboxTopic is what the hub wakes the watchers of the outbox by. It is no
// grant's ID.
const outboxTopic = "revocations"

type revocationRow struct {
	ID        string               `db:"id"`
	Kind      grant.RevocationKind `db:"kind"`
	UserID    string               `db:"user_id"`
	GrantID   string               `db:"grant_id"`
	Sealed    []byte               `db:"sealed"`
	Attempts  int                  `db:"attempts"`
	CreatedAt time.Time            `db:"created_at"`
	StoreNow  instant              `db:"store_now"`
}

// sealedTokens is what of a revocation is sealed.
type sealedTokens struct {
	Access    string    `json:"access"`
	ExpiresAt time.Time `json:"expires_at"`
	Refresh   string    `json:"refresh"`
}

func revocationPlace(id string) vault.Place {
	return vault.Place{Table: "revocations", Row: id, Column: "sealed"}
}

func (db *DB) sealRevocation(p grant.PendingRevocation) ([]byte, error) {
	text, err := json.Marshal(sealedTokens{
		Access:    p.Tokens.Access.Reveal(),
		ExpiresAt: p.Tokens.AccessExpiresAt,
		Refresh:   p.Tokens.Refresh.Reveal(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode revocation: %w", err)
	}
	return db.vault.Seal(secret.New(string(text)), revocationPlace(p.ID))
}

// revocation returns the row with its tokens opened. Where they do not open, the
// error is vault.ErrSealed and the revocation is there without them.
func (db *DB) revocation(r revocationRow) (grant.PendingRevocation, error) {
	p := grant.PendingRevocation{
		ID:       r.ID,
		Kind:     r.Kind,
		UserID:   r.UserID,
		GrantID:  r.GrantID,
		Attempts: r.Attempts,
		Age:      r.StoreNow.Sub(r.CreatedAt),
	}
	text, err := db.vault.Open(r.Sealed, revocationPlace(r.ID))
	if err != nil {
		return p, err
	}
	var opened sealedTokens
	if err := json.Unmarshal([]byte(text.Reveal()), &opened); err != nil {
		return p, errors.New("decode revocation: not what was sealed") // the cause may quote it
	}
	p.Tokens = grant.Tokens{
		Access:          secret.New(opened.Access),
		AccessExpiresAt: opened.ExpiresAt,
		Refresh:         secret.New(opened.Refresh),
	}
	return p, nil
}

const insertRevocationSQL = `
INSERT INTO revocations (id, kind, user_id, grant_id, sealed, attempts, created_at, due_at)
VALUES (?, ?, ?, ?, ?, ?, {now}, {later})`

// insertRevocation adds p, which has its ID, as claimed for the lease where that
// is not zero.
func (db *DB) insertRevocation(ctx context.Context, e sqlx.ExecerContext, p grant.PendingRevocation, lease time.Duration) error {
	sealed, err := db.sealRevocation(p)
	if err != nil {
		return err
	}
	_, err = db.exec(ctx, e, insertRevocationSQL, p.ID, p.Kind, p.UserID, p.GrantID, sealed, p.Attempts, lease.Microseconds())
	return err
}

// EnqueueRevocation implements grant.Outbox.
func (db *DB) EnqueueRevocation(ctx context.Context, p grant.PendingRevocation) error {
	p.ID, p.Attempts = rand.Text(), 0
	err := db.insertRevocation(ctx, db.write, p, 0)
	if err == nil {
		db.hub.wake(outboxTopic)
	}
	return explain(ctx, "enqueue revocation", err)
}

const nextRevocationSQL = `
SELECT due_at, {now} AS store_now FROM revocations WHERE kind = ? ORDER BY due_at LIMIT 1`

// NextRevocation implements grant.Outbox.
func (db *DB) NextRevocation(ctx context.Context, kind grant.RevocationKind) (time.Duration, error) {
	var row struct {
		DueAt    time.Time `db:"due_at"`
		StoreNow instant   `db:"store_now"`
	}
	err := db.get(ctx, db.read, &row, nextRevocationSQL, kind)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, grant.ErrNotFound
	}
	return row.DueAt.Sub(row.StoreNow.Time), explain(ctx, "select next revocation", err)
}

// WatchRevocations implements grant.Outbox.
func (db *DB) WatchRevocations() (wake <-chan struct{}, stop func()) {
	return db.hub.watch(outboxTopic)
}

const claimRevocationSQL = `
UPDATE revocations SET due_at = {later}, attempts = attempts + 1
 WHERE id = (SELECT id FROM revocations WHERE kind = ? AND due_at <= {now}
              ORDER BY due_at, attempts LIMIT 1 {for update skip locked})
RETURNING id, kind, user_id, grant_id, sealed, attempts, created_at, {now} AS store_now`

// ClaimRevocation implements grant.Claims.
func (db *DB) ClaimRevocation(
	ctx context.Context, kind grant.RevocationKind, lease time.Duration,
) (grant.PendingRevocation, error) {
	var row revocationRow
	err := db.transact(ctx, func(tx *sqlx.Tx) error {
		return db.get(ctx, tx, &row, claimRevocationSQL, lease.Microseconds(), kind)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return grant.PendingRevocation{}, grant.ErrNotFound
	}
	if err != nil {
		return grant.PendingRevocation{}, explain(ctx, "claim revocation", err)
	}
	return db.revocation(row)
}

const keepRevocationSQL = `
UPDATE revocations SET sealed = ? WHERE id = ? AND attempts = ?`

// KeepRevocation implements grant.Claims.
func (db *DB) KeepRevocation(ctx context.Context, p grant.PendingRevocation) error {
	sealed, err := db.sealRevocation(p)
	if err != nil {
		return err
	}
	return db.changeRevocation(ctx, "keep revocation", func(tx *sqlx.Tx) (int64, error) {
		return db.exec(ctx, tx, keepRevocationSQL, sealed, p.ID, p.Attempts)
	})
}

const postponeRevocationSQL = `
UPDATE revocations SET due_at = {later} WHERE id = ? AND attempts = ?`

// PostponeRevocation implements grant.Claims.
func (db *DB) PostponeRevocation(ctx context.Context, p grant.PendingRevocation, wait time.Duration) error {
	return db.changeRevocation(ctx, "postpone revocation", func(tx *sqlx.Tx) (int64, error) {
		return db.exec(ctx, tx, postponeRevocationSQL, wait.Microseconds(), p.ID, p.Attempts)
	})
}

const concludeRevocationSQL = `
DELETE FROM revocations WHERE id = ? AND attempts = ?`

// ConcludeRevocation implements grant.Claims.
func (db *DB) ConcludeRevocation(ctx context.Context, p grant.PendingRevocation, e audit.Event) error {
	return db.changeRevocation(ctx, "conclude revocation", func(tx *sqlx.Tx) (int64, error) {
		n, err := db.exec(ctx, tx, concludeRevocationSQL, p.ID, p.Attempts)
		if n == 0 || err != nil {
			return 0, err
		}
		return n, db.record(ctx, tx, e)
	})
}

// changeRevocation runs do, which changes a claimed revocation unless it is
// another's by now, in a transaction, and wakes those who watch. It returns
// grant.ErrLost where do changed no row.
func (db *DB) changeRevocation(ctx context.Context, doing string, do func(tx *sqlx.Tx) (int64, error)) error {
	err := db.transact(ctx, func(tx *sqlx.Tx) error {
		n, err := do(tx)
		if err == nil && n == 0 {
			err = grant.ErrLost
		}
		return err
	})
	if errors.Is(err, grant.ErrLost) {
		return err
	}
	if err == nil {
		db.hub.wake(outboxTopic)
	}
	return explain(ctx, doing, err)
}

// Whoever locks several rows and waits for each locks them in the order of id.
const userRevocationsSQL = `
SELECT id, kind, user_id, grant_id, sealed, attempts, created_at, {now} AS store_now
  FROM revocations WHERE user_id = ? ORDER BY id {for update}`

const deleteRevocationSQL = `
DELETE FROM revocations WHERE id = ?`

// The claim of whoever attempts it now is lost with it.
const spareConsentSQL = `
UPDATE revocations SET kind = ?, attempts = attempts + 1 WHERE id = ?`

// spare keeps what the user has just consented to from the revocations of what
// they had given back before: of a consent only the old tokens are still to be
// revoked, and not even those where the provider has given them out once more.
func (db *DB) spare(ctx context.Context, tx *sqlx.Tx, userID string, t grant.Tokens) error {
	var rows []revocationRow
	if err := db.list(ctx, tx, &rows, userRevocationsSQL, userID); err != nil {
		return err
	}
	for _, row := range rows {
		var err error
		// One that does not open is compared with nothing: it must not keep its user
		// from signing in.
		p, _ := db.revocation(row)
		again := !t.Refresh.IsZero() && p.Tokens.Refresh.Equal(t.Refresh) || p.Tokens.Access.Equal(t.Access)
		switch {
		case again:
			_, err = db.exec(ctx, tx, deleteRevocationSQL, row.ID)
		case row.Kind == grant.RevokeConsent:
			_, err = db.exec(ctx, tx, spareConsentSQL, grant.RevokeTokens, row.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
