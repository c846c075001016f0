package store

import (
	"context"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"galaxygate/internal/failpoint"
)

// channel is the name under which PostgreSQL carries the IDs of changed grants
// to all replicas.
const channel = "galaxygate_grants"

// hub wakes the watchers of grants in this process.
type hub struct {
	mu       sync.Mutex
	watchers map[string]map[chan struct{}]struct{}
}

// Watch implements grant.Store.
func (db *DB) Watch(grantID string) (wake <-chan struct{}, stop func()) {
	return db.hub.watch(grantID)
}

func (h *hub) watch(id string) (wake <-chan struct{}, stop func()) {
	// One wake-up may wait: it stands for all that came since the last look.
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = make(map[string]map[chan struct{}]struct{})
	}
	if h.watchers[id] == nil {
		h.watchers[id] = make(map[chan struct{}]struct{})
	}
	h.watchers[id][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[id], c)
		if len(h.watchers[id]) == 0 {
			delete(h.watchers, id)
		}
	}
}

func (h *hub) wake(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wakeEach(h.watchers[id])
}

func (h *hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watchers := range h.watchers {
		wakeEach(watchers)
	}
}

func wakeEach(watchers map[chan struct{}]struct{}) {
	for c := range watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

const notifySQL = `
SELECT pg_notify(?, ?)`

// changeGrant runs do in a transaction that changes the grant whose ID do
// returns, and wakes those who watch it: here, and on the other replicas.
func (db *DB) changeGrant(ctx context.Context, do func(tx *sqlx.Tx) (id string, err error)) error {
	var changed string
	err := db.transact(ctx, func(tx *sqlx.Tx) (err error) {
		if changed, err = do(tx); err != nil || !db.dialect.notifies {
			return err
		}
		_, err = db.exec(ctx, tx, notifySQL, channel, changed)
		return err
	})
	if err == nil {
		failpoint.Hit(failpoint.Committed)
		db.hub.wake(changed)
	}
	return err
}

// Run hears of the grants that other replicas change, until ctx ends. It rides
// out a database that is away, and returns an error where that refuses to be
// listened to. On SQLite there are no other replicas, and it just waits.
func (db *DB) Run(ctx context.Context) error {
	if !db.dialect.notifies {
		<-ctx.Done()
		return nil
	}
	listener := pq.NewListener(db.url.Reveal(), 100*time.Millisecond, 5*time.Second,
		func(event pq.ListenerEventType, err error) {
			if err != nil && ctx.Err() == nil {
				db.logger.WarnContext(ctx, "not listening for changed grants", "error", err)
			}
			if event == pq.ListenerEventReconnected {
				db.logger.InfoContext(ctx, "listening for changed grants again")
			}
		})
	defer hangUp(listener)
	listening := make(chan error, 1)
	go func() { listening <- listener.Listen(channel) }() // waits for a database that is away
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-listening:
			if err != nil {
				return explain(ctx, "listen for changed grants", err)
			}
			db.hub.wakeAll() // of what changed before, nothing was heard
		case n := <-listener.Notify:
			if n == nil { // connected anew: some may have been missed
				db.hub.wakeAll()
				continue
			}
			db.hub.wake(n.Extra)
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
