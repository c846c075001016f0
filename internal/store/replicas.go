package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// The times of a replica's life. Its heart beats by NOTIFY to itself. As long as
// the last beat that it heard is younger than hearingFor, it hears of every
// change in time. The others wait for it, when sessions end or a change is awaited,
// for as long as its row says that it hears: always longer than it trusts its own
// ears. One that has not heard maxUnheard beats in a row is deaf, trusts nothing,
// and is not waited for.
const (
	beatInterval = time.Second
	beatLimit    = 2 * time.Second
	hearingFor   = 3 * time.Second
	replicaLife  = 4 * time.Second
	maxUnheard   = 5
	settleLimit  = replicaLife + time.Second
	pollReplicas = 250 * time.Millisecond
	slowChange   = time.Second // one that waits longer for others is logged
	leaveLimit   = time.Second
	warnInterval = time.Minute
)

// replica is this process among those that share the database.
type replica struct {
	id    string
	pulse *sqlx.DB // a connection of its own: the heart must not queue with others
	talk  *sqlx.DB // for what replicas tell each other: it must not queue with requests
	heard atomic.Pointer[time.Time]

	mu       sync.Mutex
	beats    map[string]sentBeat          // that have not been heard
	unheard  int                          // how many in a row
	expected map[string]*acknowledgements // by the message's receipt
}

// sentBeat is a beat that has not been heard yet.
type sentBeat struct {
	at time.Time
	// counted says that the row tells others to wait for this replica.
	counted bool
}

func newReplica(pulse, talk *sqlx.DB) *replica {
	return &replica{
		id:       rand.Text(),
		pulse:    pulse,
		talk:     talk,
		beats:    make(map[string]sentBeat),
		expected: make(map[string]*acknowledgements),
	}
}

// ReplicaID is what this process is called in the table replicas.
func (db *DB) ReplicaID() string { return db.self.id }

// Hearing reports whether word of every change arrives here in time. What was
// read before may then be relied on until word comes that it changed.
func (db *DB) Hearing() bool {
	if !db.dialect.notifies {
		return true
	}
	heard := db.self.heard.Load()
	return heard != nil && time.Since(*heard) < hearingFor
}

// AwaitHearing waits until Hearing, or until ctx ends, and reports which.
func (db *DB) AwaitHearing(ctx context.Context) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !db.Hearing() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Run lets the others know that this replica lives, and hears of what they
// change, until ctx ends. It rides out a database that is away, and returns an
// error where that refuses to be listened to. On SQLite there are no other
// replicas, but commands that look for this one.
func (db *DB) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	living, stop := context.WithCancel(ctx)
	defer stop()
	tasks.Go(func() { db.live(living) })
	if !db.dialect.notifies {
		<-ctx.Done()
		return nil
	}
	listener := pq.NewDialListener(patient{}, db.url.Reveal(), 100*time.Millisecond, time.Second, db.listened(ctx))
	defer hangUp(listener)
	listening := make(chan error, 1)
	go func() { listening <- listener.Listen(channel) }() // waits for a database that is away
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-listening:
			if err != nil {
				return explain(ctx, "listen for changes", err)
			}
			db.hub.missed() // of what changed before, nothing was heard
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

// listened logs what becomes of the listening connection, trouble once a minute.
func (db *DB) listened(ctx context.Context) pq.EventCallbackType {
	var warned time.Time
	return func(event pq.ListenerEventType, err error) {
		if err != nil && ctx.Err() == nil && time.Since(warned) > warnInterval {
			warned = time.Now()
			db.logger.WarnContext(ctx, "not listening for changes", "error", err)
		}
		if event == pq.ListenerEventReconnected {
			warned = time.Time{}
			db.logger.InfoContext(ctx, "listening for changes again")
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
		if m.Receipt != "" {
			tasks.Go(func() { db.acknowledge(ctx, m) })
		}
	case m.Kind == sessionsEnded:
		db.hub.sessionsEnded(m.Sessions)
		tasks.Go(func() { db.acknowledge(ctx, m) })
	case m.Kind == settled:
		db.self.acknowledged(m)
	}
}

// acknowledge says that the message has been heeded here: once nothing is done any
// more for the sessions that it says have ended.
func (db *DB) acknowledge(ctx context.Context, m message) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if m.Kind == sessionsEnded {
		db.hub.settle(ctx, m.UserID)
	}
	err := db.notify(ctx, db.self.talk, []message{{Kind: settled, ID: m.receipt()}})
	if err != nil && ctx.Err() == nil {
		db.logger.WarnContext(ctx, "change not acknowledged", "error", err)
	}
}

// live lets the others know that this replica lives, and hears its own heart,
// until ctx ends.
func (db *DB) live(ctx context.Context) {
	defer db.leave(ctx)
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	heard := false
	for {
		err := db.Announce(ctx)
		switch hears := db.Hearing(); {
		case hears && !heard:
			db.logger.InfoContext(ctx, "hearing of changes", "replica_id", db.self.id)
			heard = true
		case heard && !hears && ctx.Err() == nil:
			db.logger.WarnContext(ctx, "not hearing of changes: working without memory", "error", err)
			heard = false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const announceSQL = `
INSERT INTO replicas (id, key_ids, expires_at, hears_until) VALUES (?, ?, {later}, {later})
ON CONFLICT (id) DO UPDATE
   SET key_ids = excluded.key_ids, expires_at = excluded.expires_at, hears_until = excluded.hears_until`

const beatSQL = `
WITH beat AS (` + announceSQL + `
    RETURNING id)
SELECT pg_notify(?, ?) FROM beat`

// Announce says that this replica lives for a while, and under which keys it
// opens values, and sends itself a message.
func (db *DB) Announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	life, keys := replicaLife.Microseconds(), joinIDs(db.vault.KeyIDs())
	if !db.dialect.notifies {
		_, err := db.exec(ctx, db.write, announceSQL, db.self.id, keys, life, life)
		return explain(ctx, "say that this replica lives", err)
	}
	m, counted := db.self.nextBeat()
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	_, err = db.exec(ctx, db.self.pulse, beatSQL, db.self.id, keys, life,
		sql.NullInt64{Int64: life, Valid: counted}, channel, string(text))
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
	_, _ = db.exec(ctx, db.write, leaveSQL, db.self.id) // else its row runs out
}

const hearingReplicasSQL = `
SELECT id FROM replicas WHERE id <> ? AND hears_until > {now}`

// awaitReplicas returns when every other replica that may rely on its memory has
// acknowledged what a expects.
func (db *DB) awaitReplicas(ctx context.Context, a *acknowledgements) {
	poll := time.NewTicker(pollReplicas)
	defer poll.Stop()
	slow := time.NewTimer(slowChange)
	defer slow.Stop()
	var hearing, missing []string
	for known := false; ; {
		if !known {
			hearing = nil
			known = db.list(ctx, db.self.talk, &hearing, hearingReplicasSQL, db.self.id) == nil
		}
		if missing = a.missing(hearing); known && len(missing) == 0 {
			return
		}
		select {
		case <-a.more:
		case <-poll.C:
			known = false
		case <-slow.C:
			db.logger.WarnContext(ctx, "waiting for replicas to acknowledge a change", "replica_ids", missing)
		case <-ctx.Done():
			db.logger.WarnContext(ctx, "change not acknowledged", "replica_ids", missing)
			return
		}
	}
}

// acknowledgements are what other replicas said of the messages of one change.
type acknowledgements struct {
	messages []string      // the receipts of those that are acknowledged
	more     chan struct{} // receives when one has come

	mu  sync.Mutex
	got map[[2]string]bool // by receipt and replica
}

// expect has the acknowledgements of the messages collected until forget.
func (r *replica) expect(news []message) *acknowledgements {
	a := &acknowledgements{more: make(chan struct{}, 1), got: make(map[[2]string]bool)}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range news {
		if id := m.receipt(); id != "" {
			a.messages = append(a.messages, id)
			r.expected[id] = a
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

// missing returns those of the replicas that have not acknowledged each message.
func (a *acknowledgements) missing(replicas []string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(replicas), func(replica string) bool {
		return !slices.ContainsFunc(a.messages, func(id string) bool { return !a.got[[2]string{id, replica}] })
	})
}

// nextBeat is a message of this replica to itself, and whether the others are to
// count on its being heard.
func (r *replica) nextBeat() (_ message, counted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beats) > 10*maxUnheard {
		clear(r.beats) // they were lost
	}
	id, counted := rand.Text(), r.unheard < maxUnheard
	r.unheard++
	r.beats[id] = sentBeat{at: time.Now(), counted: counted}
	return message{Kind: beat, ID: id, Replica: r.id}, counted
}

// hear takes note of a beat of this replica's own. Where the others have ceased
// to count on it, that is no reason to trust its memory: the next beat is.
func (r *replica) hear(m message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent, known := r.beats[m.ID]
	if !known {
		return
	}
	delete(r.beats, m.ID)
	if sent.counted && r.unheard <= maxUnheard {
		r.heard.Store(&sent.at)
	}
	r.unheard = 0
}

// deafen says that changes may go unheard, until the next beat is heard.
func (r *replica) deafen() { r.heard.Store(nil) }
