package store

import (
	"context"
	"time"
)

const userCreatedAtSQL = `SELECT created_at FROM users WHERE id = ?`

// UserCreatedAt returns when the user with that ID first signed in. That there
// is such a user is the caller's to know: a session of theirs says so.
func (db *DB) UserCreatedAt(ctx context.Context, userID string) (time.Time, error) {
	var at time.Time
	err := db.get(ctx, db.read, &at, userCreatedAtSQL, userID)
	return at.UTC(), explain(ctx, "select user", err)
}
