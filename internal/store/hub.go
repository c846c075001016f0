package store

import (
	"context"
	"sync"
)

// Listener is told of what changes, on this replica before the change returns to
// whoever made it, on the others as soon as they hear of it. Its functions are
// set all or none.
type Listener struct {
	// GrantChanged says that the user's grant is not what it was.
	GrantChanged func(userID string)
	// SessionEnded says that the session with that ID has ended.
	SessionEnded func(id string)
	// Settle returns once nothing is done any more for those sessions of the
	// user's that SessionEnded was told of, or ctx has ended.
	Settle func(ctx context.Context, userID string)
	// Missed says that anything may have changed unheard.
	Missed func()
}

// Subscribe sets the one listener.
func (db *DB) Subscribe(l Listener) {
	db.hub.mu.Lock()
	defer db.hub.mu.Unlock()
	db.hub.listener = l
}

// hub passes on, within this process, what has changed.
type hub struct {
	mu       sync.Mutex
	listener Listener
	watchers map[string]map[chan struct{}]struct{} // by the grant's ID, or outboxTopic
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

// grantChanged forgets the grant before it wakes who waits for it.
func (h *hub) grantChanged(id, userID string) {
	if l := h.told(); l.GrantChanged != nil {
		l.GrantChanged(userID)
	}
	h.wake(id)
}

func (h *hub) wake(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wakeEach(h.watchers[id])
}

func (h *hub) sessionsEnded(ids []string) {
	l := h.told()
	for _, id := range ids {
		if l.SessionEnded != nil {
			l.SessionEnded(id)
		}
	}
}

func (h *hub) settle(ctx context.Context, userID string) {
	if l := h.told(); l.Settle != nil {
		l.Settle(ctx, userID)
	}
}

// missed forgets everything, and wakes everybody.
func (h *hub) missed() {
	if l := h.told(); l.Missed != nil {
		l.Missed()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watchers := range h.watchers {
		wakeEach(watchers)
	}
}

func (h *hub) told() Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listener
}

func wakeEach(watchers map[chan struct{}]struct{}) {
	for c := range watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
