package budget

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// maxWaiting is how many requests may wait at once; those whose turn would come
	// last do not.
	maxWaiting = 128
	// sharedLimit bounds how long the bucket of all replicas may take to answer.
	sharedLimit = time.Second
)

// Shared is the bucket of all replicas, which is as large and as fast as the local
// one.
type Shared interface {
	// Take takes a token and returns 0, or takes none and returns how long it is
	// until there is one. Where it fails, the local bucket decides.
	Take(ctx context.Context) (time.Duration, error)
	// Empty takes every token that there is, and lets none be taken before the
	// pause is over.
	Empty(ctx context.Context, pause time.Duration) error
}

// Exhausted says that a request was not given, because its turn would have come
// later than its user wanted to wait.
type Exhausted struct {
	// RetryAfter is how long it would have been, as far as can be told.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Exhausted) Error() string {
	return fmt.Sprintf("no request is left, the next in %v", e.RetryAfter)
}

// Config says how large a budget is.
type Config struct {
	// PerMinute is how many requests a minute brings, and how many may be made at
	// once after a minute of rest; 0: no limit.
	PerMinute int
	// Shared is asked where the local bucket has a token; nil: there is none. The
	// local bucket is kept all the same, and decides where Shared fails: then each
	// replica has the budget for itself.
	Shared Shared
	// Now is the clock, time.Now where it is nil.
	Now func() time.Time
	// AfterFunc calls f after that time, unless it is stopped; time.AfterFunc where
	// it is nil.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

// Budget is a token bucket that users share. It is safe for concurrent use.
type Budget struct {
	cfg Config

	mu     sync.Mutex
	bucket bucket
	queue  queue
	asking bool        // whether Shared is being asked, for whoever is next then
	stop   func() bool // stops the timer that serves the next; nil: there is none
}

// New returns a full bucket.
func New(cfg Config) *Budget {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AfterFunc == nil {
		cfg.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	b := &Budget{cfg: cfg, queue: queue{users: make(map[string]*user)}}
	if cfg.PerMinute > 0 {
		b.bucket = newBucket(cfg.PerMinute)
	}
	return b
}

// Take takes one request for the user. Where none is left it waits for its turn,
// but not longer than patience, nor than ctx lives. As soon as it is clear that
// the turn would come later than that, it returns *Exhausted; where ctx ends, its
// error.
//
// Of those who wait, the user who was given the fewest within the last minute goes
// first; among equals, the one who has waited longest. Who waits goes before
// whoever arrives, unless that one was given fewer.
func (b *Budget) Take(ctx context.Context, user string, patience time.Duration) error {
	if b.cfg.PerMinute <= 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := b.arrive(ctx, user, patience)
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.remove(w) {
		return ctx.Err()
	}
	return w.err // its turn came at the same moment
}

// Empty empties the bucket, as a provider wants that answers 429, and lets nobody
// have a request before the pause is over; 0: it is not known, and is the time of
// one token. Of a budget without a limit there is nothing to be emptied.
func (b *Budget) Empty(pause time.Duration) {
	if b.cfg.PerMinute <= 0 {
		return
	}
	if pause <= 0 {
		pause = b.bucket.interval
	}
	b.mu.Lock()
	b.bucket.empty(pause, b.cfg.Now())
	b.serve()
	b.mu.Unlock()
	if b.cfg.Shared != nil {
		ctx, cancel := context.WithTimeout(context.Background(), sharedLimit)
		defer cancel()
		_ = b.cfg.Shared.Empty(ctx, pause) // the local bucket is empty at least
	}
}

// arrive returns nil where the user has the request at once, and else one who
// waits or is refused already.
func (b *Budget) arrive(ctx context.Context, user string, patience time.Duration) *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.cfg.Now()
	if b.cfg.Shared == nil && b.queue.isEmpty() && b.bucket.has(now) {
		b.queue.forget(now)
		b.queue.remember(b.queue.user(user), now)
		b.bucket.take(now)
		return nil
	}
	w := &waiter{deadline: now.Add(patience), done: make(chan struct{})}
	if end, ok := ctx.Deadline(); ok && end.Before(w.deadline) {
		w.deadline = end
	}
	b.queue.push(user, w)
	b.serve() //nolint:contextcheck // what it asks for is for whoever is next, not for who came
	return w
}

// serve gives those who wait what there is, in turn, and refuses those who would
// wait in vain. It is called whenever either may have changed.
func (b *Budget) serve() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
	now := b.cfg.Now()
	b.queue.forget(now)
	b.refuse(now)
	for !b.queue.isEmpty() && !b.asking {
		if !b.bucket.has(now) {
			b.stop = b.cfg.AfterFunc(b.bucket.nth(1, now).Sub(now), b.wake)
			return
		}
		if b.cfg.Shared != nil {
			b.asking = true
			go b.ask()
			return
		}
		b.give(now)
	}
}

func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve()
}

// ask asks the bucket of all replicas for a token, for whoever is next when it
// has answered. If nobody is, the token is lost.
func (b *Budget) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), sharedLimit)
	defer cancel()
	wait, err := b.cfg.Shared.Take(ctx)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
	now := b.cfg.Now()
	switch {
	case err == nil && wait > 0:
		b.bucket.empty(wait, now) // so it is for everyone
	case !b.queue.isEmpty() && b.bucket.has(now): // it may have been emptied meanwhile
		b.give(now)
	}
	b.serve()
}

// give gives a token to whoever is next.
func (b *Budget) give(now time.Time) {
	b.queue.forget(now)
	w := b.queue.next()
	b.queue.remove(w)
	b.queue.remember(w.user, now)
	b.bucket.take(now)
	w.settle(nil)
}

// refuse settles those whose turn would come too late, or after too many others,
// if nobody else came.
func (b *Budget) refuse(now time.Time) {
	refused := b.queue.play(func(w *waiter, turn int) bool {
		at := b.bucket.nth(turn, now)
		return turn <= maxWaiting && (!at.After(w.deadline) || !at.After(now))
	})
	for w, turn := range refused {
		b.queue.remove(w)
		w.settle(&Exhausted{RetryAfter: b.bucket.nth(turn, now).Sub(now)})
	}
}
