package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// The times of a replica's life. Its heart beats by NOTIFY to itself. As long as
// the last beat that it heard is younger than hearingFor, it hears of every
// change in time. The others wait for it, when sessions end, for as long as its
// row says that it lives: always longer than it trusts its own ears.
const (
	beatInterval = time.Second
	beatLimit    = 2 * time.Second
	hearingFor   = 3 * time.Second
	replicaLife  = 4 * time.Second
	settleLimit  = replicaLife + time.Second
	pollReplicas = 250 * time.Millisecond
	leaveLimit   = time.Second
)

// replica is this process among those that share the database.
type replica struct {
	id    string
	pulse *sqlx.DB // a connection of its own: the heart must not queue with requests
	heard atomic.Pointer[time.Time]

	mu       sync.Mutex
	beats    map[string]time.Time         // when each beat was sent that has not been heard
	expected map[string]*acknowledgements // by the message's ID
}

func newReplica(pulse *sqlx.DB) *replica {
	return &replica{
		id:       rand.Text(),
		pulse:    pulse,
		beats:    make(map[string]time.Time),
		expected: make(map[string]*acknowledgements),
	}
}

// Hearing reports whether word of every change arrives here in time. What was
// read before may then be relied on until word comes that it changed.
func (db *DB) Hearing() bool {
	if !db.dialect.notifies {
		return true
	}
	heard := db.self.heard.Load()
	return heard != nil && time.Since(*heard) < hearingFor
}

// Run hears of what other replicas change, and lets them know that this one
// lives, until ctx ends. It rides out a database that is away, and returns an
// error where that refuses to be listened to. On SQLite there are no other
// replicas, and it just waits.
func (db *DB) Run(ctx context.Context) error {
	if !db.dialect.notifies {
		<-ctx.Done()
		return nil
	}
	listener := pq.NewDialListener(patient{}, db.url.Reveal(), 100*time.Millisecond, time.Second,
		func(event pq.ListenerEventType, err error) {
			if err != nil && ctx.Err() == nil {
				db.logger.WarnContext(ctx, "not listening for changes", "error", err)
			}
			if event == pq.ListenerEventReconnected {
				db.logger.InfoContext(ctx, "listening for changes again")
			}
		})
	defer hangUp(listener)
	listening := make(chan error, 1)
	go func() { listening <- listener.Listen(channel) }() // waits for a database that is away
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-listening:
			if err != nil {
				return explain(ctx, "listen for changes", err)
			}
			db.hub.missed() // of what changed before, nothing was heard
			tasks.Go(func() { db.live(ctx) })
		case n := <-listener.Notify:
			if n == nil { // connected anew: some may have been missed
				db.self.deafen()
				db.hub.missed()
				continue
			}
			db.heed(ctx, n.Extra, &tasks)
		}
	}
}

// hangUp closes the listener without waiting for a connection attempt to end.
func hangUp(listener *pq.Listener) {
	go func() { _ = listener.Close() }()
	go func() {
		for range listener.Notify {
			continue // it cannot end before it is rid of these
		}
	}()
}

// heed does what a message asks for. Messages arrive in the order in which their
// transactions were committed: what came before a beat has been heeded when the
// beat is.
func (db *DB) heed(ctx context.Context, text string, tasks *sync.WaitGroup) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		db.logger.WarnContext(ctx, "message not understood", "error", err)
		db.hub.missed()
		return
	}
	own := m.Replica == db.self.id // such a change is passed on before it returns
	switch {
	case own && m.Kind == beat:
		db.self.hear(m)
	case own:
	case m.Kind == grantChanged:
		db.hub.grantChanged(m.ID, m.UserID)
	case m.Kind == sessionsEnded:
		db.hub.sessionsEnded(m.Sessions)
		tasks.Go(func() { db.acknowledge(ctx, m) })
	case m.Kind == settled:
		db.self.acknowledged(m)
	}
}

// acknowledge says that nothing is done here any more for the sessions of the
// message.
func (db *DB) acknowledge(ctx context.Context, m message) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	db.hub.settle(ctx, m.UserID)
	err := db.notify(ctx, db.self.pulse, []message{{Kind: settled, ID: m.ID}})
	if err != nil && ctx.Err() == nil {
		db.logger.WarnContext(ctx, "end of sessions not acknowledged", "error", err)
	}
}

// live lets the others know that this replica lives, and hears its own heart,
// until ctx ends.
func (db *DB) live(ctx context.Context) {
	defer db.leave(ctx)
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	hearing := false
	for {
		err := db.beat(ctx)
		if now := db.Hearing(); now != hearing || err != nil && hearing {
			hearing = now
			db.logger.InfoContext(ctx, "hearing of changes", "hearing", hearing, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const beatSQL = `
WITH beat AS (
    INSERT INTO replicas (id, key_ids, expires_at) VALUES (?, ?, {later})
    ON CONFLICT (id) DO UPDATE SET key_ids = excluded.key_ids, expires_at = excluded.expires_at
    RETURNING id)
SELECT pg_notify(?, ?) FROM beat`

// beat says that this replica lives, and sends itself a message.
func (db *DB) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	text, err := json.Marshal(db.self.nextBeat())
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	_, err = db.exec(ctx, db.self.pulse, beatSQL, db.self.id, joinIDs(db.vault.KeyIDs()), replicaLife.Microseconds(), channel, string(text))
	return explain(ctx, "say that this replica lives", err)
}

// joinIDs is the list of keys as a replica's row has it.
func joinIDs(ids []uint32) string { return strings.Trim(fmt.Sprint(ids), "[]") }

const leaveSQL = `
DELETE FROM replicas WHERE id = ?`

// leave says that this replica lives no more, so that nobody waits for it.
func (db *DB) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	db.self.deafen()
	_, _ = db.exec(ctx, db.self.pulse, leaveSQL, db.self.id) // else its row runs out
}

const liveReplicasSQL = `
SELECT id FROM replicas WHERE id <> ? AND expires_at > {now}`

// awaitReplicas returns when every other replica has acknowledged what a expects,
// or does not live any more.
func (db *DB) awaitReplicas(ctx context.Context, a *acknowledgements) {
	poll := time.NewTicker(pollReplicas)
	defer poll.Stop()
	var live []string
	for known := false; ; {
		if !known {
			live = nil
			known = db.list(ctx, db.self.pulse, &live, liveReplicasSQL, db.self.id) == nil
		}
		if known && a.complete(live) {
			return
		}
		select {
		case <-a.more:
		case <-poll.C:
			known = false
		case <-ctx.Done():
			db.logger.WarnContext(ctx, "end of sessions not acknowledged by every replica", "replicas", len(live))
			return
		}
	}
}

// acknowledgements are what other replicas said of messages about ended sessions.
type acknowledgements struct {
	messages []string      // the IDs of the messages
	more     chan struct{} // receives when one has come

	mu  sync.Mutex
	got map[[2]string]bool // by message and replica
}

// expect has the acknowledgements of the messages collected until forget.
func (r *replica) expect(news []message) *acknowledgements {
	a := &acknowledgements{more: make(chan struct{}, 1), got: make(map[[2]string]bool)}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range news {
		if m.Kind == sessionsEnded {
			a.messages = append(a.messages, m.ID)
			r.expected[m.ID] = a
		}
	}
	return a
}

func (r *replica) forget(a *acknowledgements) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range a.messages {
		delete(r.expected, id)
	}
}

// acknowledged takes a replica's word for the message.
func (r *replica) acknowledged(m message) {
	r.mu.Lock()
	a := r.expected[m.ID]
	r.mu.Unlock()
	if a == nil {
		return // another replica's, or too late
	}
	a.mu.Lock()
	a.got[[2]string{m.ID, m.Replica}] = true
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// complete reports whether each of the replicas has acknowledged each message.
func (a *acknowledgements) complete(replicas []string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, replica := range replicas {
		for _, id := range a.messages {
			if !a.got[[2]string{id, replica}] {
				return false
			}
		}
	}
	return true
}

// nextBeat is a message of this replica to itself.
func (r *replica) nextBeat() message {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beats) > 100 {
		clear(r.beats) // they were lost
	}
	id := rand.Text()
	r.beats[id] = time.Now()
	return message{Kind: beat, ID: id, Replica: r.id}
}

// hear takes note of a beat, if it is this replica's own.
func (r *replica) hear(m message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sent, own := r.beats[m.ID]; own {
		delete(r.beats, m.ID)
		r.heard.Store(&sent)
	}
}

// deafen says that changes may go unheard, until the next beat is heard.
func (r *replica) deafen() { r.heard.Store(nil) }
