package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
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
	// signedIn is who has signed in: for one of the user's sessions that ended,
	// another has begun, and nobody needs to wait for what is done for the user.
	signedIn string
	// awaited says that every replica is to have forgotten the changed grants
	// before the change returns.
	awaited bool
}

func (c *change) grantChanged(id, userID string) { c.grants[id] = userID }

func (c *change) sessionEnded(userID, id string) { c.ended[userID] = append(c.ended[userID], id) }

// change runs do in a transaction, which is committed unless do returns an error,
// and returns when nobody anywhere takes what was for what is: grants are read
// anew and their watchers are woken, and nothing is done any more for sessions
// that have ended. It waits for the other replicas, but only where somebody has
// been signed out or the change is awaited, and only as long as they live.
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
// for the sessions that have ended, and until an awaited change is heard.
func (db *DB) settle(ctx context.Context, c *change, acks *acknowledgements) {
	users := slices.DeleteFunc(slices.Collect(maps.Keys(c.ended)), func(userID string) bool { return userID == c.signedIn })
	if len(users) == 0 && !c.awaited {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	var settling sync.WaitGroup
	for _, userID := range users {
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
	Receipt  string   `json:"receipt,omitempty"`  // the ID of what says that a grant's change has been heeded; empty: nothing does
	Replica  string   `json:"replica,omitempty"`  // who sends it
}

// The kinds of messages.
const (
	grantChanged  = "grant"
	sessionsEnded = "ended"
	settled       = "settled" // says that the message with that receipt has been heeded
	beat          = "beat"
)

// receipt is the ID of the message that says that this one has been heeded, or
// empty where none does.
func (m message) receipt() string {
	if m.Kind == sessionsEnded {
		return m.ID
	}
	return m.Receipt
}

// maxSessions is how many sessions one message names: PostgreSQL allows 8,000
// bytes.
const maxSessions = 100

func (c *change) messages() []message {
	var all []message
	for id, userID := range c.grants {
		m := message{Kind: grantChanged, ID: id, UserID: userID}
		if c.awaited {
			m.Receipt = rand.Text()
		}
		all = append(all, m)
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
