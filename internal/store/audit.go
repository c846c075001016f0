package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
)

// Bounds of the foreign text in the audit log and in sessions, in bytes.
const (
	maxReason    = 100
	maxMessage   = 1000
	maxAddress   = 64
	maxUserAgent = 256
	maxRequestID = 128
	maxEventID   = 64
)

const insertEventSQL = `
INSERT INTO audit_events (id, at, kind, user_id, grant_id, session_id, reason,
                          actor_session_id, ip_address, user_agent, request_id)
VALUES (?, COALESCE(?, {now}), ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// Record implements audit.Log. An event without a time happens now, by the
// database's clock.
func (db *DB) Record(ctx context.Context, e audit.Event) error {
	return explain(ctx, "record audit event", db.record(ctx, db.write, e))
}

func (db *DB) record(ctx context.Context, tx sqlx.ExecerContext, e audit.Event) error {
	if e.Actor == (audit.Actor{}) {
		e.Actor = audit.ActorFrom(ctx)
	}
	at := sql.NullTime{Time: stamp(e.At), Valid: !e.At.IsZero()}
	_, err := db.exec(ctx, tx, insertEventSQL, eventID(), at, e.Kind, e.UserID, e.GrantID, e.SessionID,
		clip(e.Reason, maxReason), e.Actor.SessionID, clip(e.Actor.IPAddress, maxAddress),
		clip(e.Actor.UserAgent, maxUserAgent), clip(e.Actor.RequestID, maxRequestID))
	return err
}

type eventRow struct {
	ID             string     `db:"id"`
	At             time.Time  `db:"at"`
	Kind           audit.Kind `db:"kind"`
	UserID         string     `db:"user_id"`
	GrantID        string     `db:"grant_id"`
	SessionID      string     `db:"session_id"`
	Reason         string     `db:"reason"`
	ActorSessionID string     `db:"actor_session_id"`
	IPAddress      string     `db:"ip_address"`
	UserAgent      string     `db:"user_agent"`
	RequestID      string     `db:"request_id"`
}

const eventsByUserSQL = `
SELECT id, at, kind, user_id, grant_id, session_id, reason, actor_session_id, ip_address, user_agent, request_id
  FROM audit_events
 WHERE user_id = ? AND id < ?
 ORDER BY id DESC LIMIT ?`

// UserEvents implements audit.Reader.
func (db *DB) UserEvents(ctx context.Context, userID, before string, limit int) ([]audit.Event, error) {
	if before = clip(before, maxEventID); before == "" {
		before = afterAll
	}
	var rows []eventRow
	if err := db.list(ctx, db.read, &rows, eventsByUserSQL, userID, before, limit); err != nil {
		return nil, explain(ctx, "select audit events", err)
	}
	events := make([]audit.Event, len(rows))
	for i, r := range rows {
		events[i] = audit.Event{
			ID: r.ID, Kind: r.Kind, UserID: r.UserID, GrantID: r.GrantID, SessionID: r.SessionID, Reason: r.Reason,
			Actor: audit.Actor{
				SessionID: r.ActorSessionID, IPAddress: r.IPAddress, UserAgent: r.UserAgent, RequestID: r.RequestID,
			},
			At: r.At.UTC(),
		}
	}
	return events, nil
}

// afterAll sorts after every ID of an event, by any collation.
const afterAll = "z"

// eventID returns an ID that sorts by when it was made, since the events of one
// change have the same time.
func eventID() string { return fmt.Sprintf("%016x%s", time.Now().UnixNano(), rand.Text()) }
