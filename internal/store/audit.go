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

// eventID returns an ID that sorts by when it was made, since the events of one
// change have the same time.
func eventID() string { return fmt.Sprintf("%016x%s", time.Now().UnixNano(), rand.Text()) }
