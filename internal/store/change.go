package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/failpoint"
)

// change is a transaction of which others are to hear.
type change struct {
	*sqlx.Tx

	grants map[string]string   // the user's ID by the grant's
	ended  map[string][]string // the IDs of ended sessions by the user's
}

func (c *change) grantChanged(id, userID string) { c.grants[id] = userID }

func (c *change) sessionEnded(userID, id string) { c.ended[userID] = append(c.ended[userID], id) }

// change runs do in a transaction, which is committed unless do returns an error,
// and returns when nobody anywhere takes what was for what is: grants are read
// anew and their watchers are woken, and nothing is done any more for sessions
// that have ended. It waits for the other replicas, but only where sessions have
// ended, and only as long as they live.
func (db *DB) change(ctx context.Context, do func(tx *change) error) error {
	c := &change{grants: make(map[string]string), ended: make(map[string][]string)}
	var acks *acknowledgements
	err := db.transact(ctx, func(tx *sqlx.Tx) error {
		c.Tx = tx
		if err := do(c); err != nil {
			return err
		}
		news := c.messages()
		acks = db.self.expect(news) // before they can come
		return db.notify(ctx, tx, news)
	})
	if acks != nil {
		defer db.self.forget(acks)
	}
	if err == nil && len(c.grants) > 0 {
		failpoint.Hit(failpoint.Committed)
	}
	// An error may have come after the commit: to forget too much does no harm.
	for id, userID := range c.grants {
		db.hub.grantChanged(id, userID)
	}
	for _, ids := range c.ended {
		db.hub.sessionsEnded(ids)
	}
	if err == nil {
		db.settle(ctx, c, acks)
	}
	return err
}

// settle waits until nothing is done any more, here and on the other replicas,
// for the sessions that have ended.
func (db *DB) settle(ctx context.Context, c *change, acks *acknowledgements) {
	if len(c.ended) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	var settling sync.WaitGroup
	for userID := range c.ended {
		settling.Go(func() { db.hub.settle(ctx, userID) })
	}
	if db.dialect.notifies {
		settling.Go(func() { db.awaitReplicas(ctx, acks) })
	}
	settling.Wait()
}

// message is what replicas tell each other by NOTIFY.
type message struct {
	Kind     string   `json:"kind"`
	ID       string   `json:"id,omitempty"`       // the grant's; the message's own; of a beat, its number
	UserID   string   `json:"user_id,omitempty"`  // whose grant or sessions
	Sessions []string `json:"sessions,omitempty"` // the IDs of those that ended
	Replica  string   `json:"replica,omitempty"`  // who sends it
}

// The kinds of messages.
const (
	grantChanged  = "grant"
	sessionsEnded = "ended"
	settled       = "settled" // says that the message with that ID has been heeded
	beat          = "beat"
)

// maxSessions is how many sessions one message names: PostgreSQL allows 8,000
// bytes.
const maxSessions = 100

func (c *change) messages() []message {
	var all []message
	for id, userID := range c.grants {
		all = append(all, message{Kind: grantChanged, ID: id, UserID: userID})
	}
	for userID, ids := range c.ended {
		for chunk := range slices.Chunk(ids, maxSessions) {
			all = append(all, message{Kind: sessionsEnded, ID: rand.Text(), UserID: userID, Sessions: chunk})
		}
	}
	return all
}

// channel is the name under which PostgreSQL carries messages to all replicas.
const channel = "galaxygate_changes"

const notifySQL = `
SELECT pg_notify(?, ?)`

// notify sends the messages once the transaction is committed. On SQLite there
// is nobody to send them to.
func (db *DB) notify(ctx context.Context, tx sqlx.ExecerContext, messages []message) error {
	if !db.dialect.notifies {
		return nil
	}
	for _, m := range messages {
		m.Replica = db.self.id
		text, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode message: %w", err)
		}
		if _, err := db.exec(ctx, tx, notifySQL, channel, string(text)); err != nil {
			return err
		}
	}
	return nil
}
