package store

import (
	"context"
	"log/slog"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/background"
	"galaxygate/internal/session"
)

// What one round of tidying does at most to the rows of each kind: batches, each
// a transaction of its own, so that no lock is held for long and the database
// has time for others even where years are to be deleted.
const (
	tidyBatch   = 200
	tidyBatches = 50
)

// longExpired is how long after its end a row is deleted that nobody asks about:
// longer than clocks of replicas differ.
const longExpired = time.Hour

// Housekeeper ends the sessions that have expired and deletes the rows whose time
// is over. Any number of replicas may run one. Its fields are set before first
// use.
type Housekeeper struct {
	DB *DB
	// Interval is how often, about, it looks.
	Interval time.Duration
	// SessionRetention is how long a session is kept that has ended: so long its
	// cookie is told from an unknown one.
	SessionRetention time.Duration
	// AuditRetention is how long a row of the audit log is kept; 0: for ever.
	AuditRetention time.Duration
	Now            func() time.Time
	Logger         *slog.Logger
	// Observe is told how many rows were dealt with, where there were any:
	// "sessions_expired", and "sessions", "audit_events", "sign_in_attempts",
	// "logout_tokens" and "replicas" that were deleted. It may be nil.
	Observe func(what string, n int)
}

// Run keeps house until ctx ends, and then returns nil.
func (h *Housekeeper) Run(ctx context.Context) error {
	background.Every(ctx, h.Interval, h.Tidy)
	return nil
}

// Tidy does one round. What fails is logged, and tried again in the next.
func (h *Housekeeper) Tidy(ctx context.Context) {
	now := h.Now()
	h.repeat(ctx, "sessions_expired", func() (int, error) { return h.DB.endExpired(ctx, now, tidyBatch) })
	remove := func(what, statement string, before any) {
		h.repeat(ctx, what, func() (int, error) {
			n, err := h.DB.exec(ctx, h.DB.write, statement, before, tidyBatch)
			return int(n), explain(ctx, "delete "+what, err)
		})
	}
	remove("sessions", deleteSessionsSQL, stamp(now.Add(-h.SessionRetention)))
	if h.AuditRetention > 0 {
		remove("audit_events", deleteEventsSQL, stamp(now.Add(-h.AuditRetention)))
	}
	remove("sign_in_attempts", deleteAttemptsSQL, stamp(now.Add(-longExpired)))
	remove("logout_tokens", deleteLogoutsSQL, stamp(now.Add(-longExpired)))
	remove("replicas", deleteReplicasSQL, -longExpired.Microseconds())
}

// repeat runs the batch until it was the last one, or enough for one round.
func (h *Housekeeper) repeat(ctx context.Context, what string, batch func() (int, error)) {
	total := 0
	for range tidyBatches {
		n, err := batch()
		total += n
		if err != nil && ctx.Err() == nil {
			h.Logger.WarnContext(ctx, "rows not tidied", "what", what, "error", err)
		}
		if err != nil || n < tidyBatch {
			break
		}
	}
	if total == 0 {
		return
	}
	h.Logger.DebugContext(ctx, "rows tidied", "what", what, "rows", total)
	if h.Observe != nil {
		h.Observe(what, total)
	}
}

const expiredSessionsSQL = `
SELECT id, user_id FROM sessions
 WHERE ended_at IS NULL AND expires_at <= COALESCE(?, {now})
 ORDER BY expires_at LIMIT ? {for update skip locked}`

// endExpired ends sessions that have expired by themselves, so many at most, and
// returns how many. No replica is told: none has taken them for live since.
func (db *DB) endExpired(ctx context.Context, now time.Time, limit int) (int, error) {
	var ended []endedSession
	err := db.transact(ctx, func(tx *sqlx.Tx) (err error) {
		ended, err = db.markEnded(ctx, tx, expiredSessionsSQL, session.Expired, now, limit)
		return err
	})
	if err != nil {
		return 0, explain(ctx, "end expired sessions", err)
	}
	return len(ended), nil
}

// The statements that delete the rows which were over before the first
// placeholder, the second's number at most. Rows that another replica is about
// to delete are passed over. Replicas live and end by the database's clock alone:
// one whose own is wrong must not bury the others.
const (
	deleteSessionsSQL = `
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE ended_at < ? ORDER BY ended_at LIMIT ? {for update skip locked})`

	deleteEventsSQL = `
DELETE FROM audit_events WHERE id IN (
    SELECT id FROM audit_events WHERE at < ? ORDER BY at LIMIT ? {for update skip locked})`

	deleteAttemptsSQL = `
DELETE FROM sign_in_attempts WHERE state_hash IN (
    SELECT state_hash FROM sign_in_attempts WHERE expires_at < ? ORDER BY expires_at LIMIT ? {for update skip locked})`

	deleteLogoutsSQL = `
DELETE FROM logout_tokens WHERE id IN (
    SELECT id FROM logout_tokens WHERE expires_at < ? ORDER BY expires_at LIMIT ? {for update skip locked})`

	deleteReplicasSQL = `
DELETE FROM replicas WHERE id IN (
    SELECT id FROM replicas WHERE expires_at < {later} LIMIT ? {for update skip locked})`
)
