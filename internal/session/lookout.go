package session

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"galaxygate/internal/retry"
)

// The times of a Lookout. A session's end is known within surveyInterval also
// where no word of it comes.
const (
	surveyInterval = time.Second
	lookLimit      = 3 * time.Second
	firstPause     = 100 * time.Millisecond
	longestPause   = time.Second
)

// lookAtMost is how many sessions are asked about in one query.
const lookAtMost = 500

// Lookout tells those who wait for it that a session has ended. It asks the store
// when it is told to Look, when a session that somebody waits for reaches its
// time, and every second while word of an end may not come: once for all the
// sessions that there are to ask about, and otherwise not at all.
type Lookout struct {
	register Register
	hearing  func() bool
	now      func() time.Time
	logger   *slog.Logger
	wake     chan struct{}

	mu      sync.Mutex
	watched map[string]*watch   // by the session's ID
	due     map[string]struct{} // the IDs of those to ask about
	next    time.Time           // when to survey
}

// watch is one session that somebody waits for.
type watch struct {
	expiresAt time.Time // as far as is known: it may have been used since
	waiters   map[*waiter]struct{}
}

// waiter is told once: how the session ended, or nil where its context ended
// first.
type waiter struct {
	tell func(*End)
	stop func() bool // waits for the context no longer
}

// NewLookout returns a lookout that nobody waits at yet. Hearing reports whether
// word of every end comes now. Run is to be running for anybody to be told.
func NewLookout(register Register, hearing func() bool, now func() time.Time, logger *slog.Logger) *Lookout {
	return &Lookout{
		register: register,
		hearing:  hearing,
		now:      now,
		logger:   logger,
		wake:     make(chan struct{}, 1),
		watched:  make(map[string]*watch),
		due:      make(map[string]struct{}),
	}
}

// Look says that the session may have ended.
func (l *Lookout) Look(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watched[id] != nil {
		l.mark(id)
	}
}

// LookAtAll says that any session may have ended.
func (l *Lookout) LookAtAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.watched {
		l.mark(id)
	}
}

// Watchers is how many wait.
func (l *Lookout) Watchers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, w := range l.watched {
		n += len(w.waiters)
	}
	return n
}

// Run tells of ends until ctx does, and then returns nil. A store that is away is
// asked again and again; nobody is told of an end that is not known.
func (l *Lookout) Run(ctx context.Context) error {
	var pause time.Duration
	for {
		l.survey()
		err := l.ask(ctx)
		wait, wake := l.rest(), l.wake
		switch {
		case err == nil:
			pause = 0
		case ctx.Err() == nil:
			if pause == 0 {
				l.logger.WarnContext(ctx, "ends of sessions not looked up", "error", err)
			}
			pause = min(max(2*pause, firstPause), longestPause)
			wait, wake = retry.Jitter(pause), nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-time.After(wait):
		}
	}
}

// watch calls tell once: when the session has ended, or with nil once ctx has. It
// reports whether the session was watched already. Where it was not, an end that
// came before is not heard of any more: Look.
func (l *Lookout) watch(ctx context.Context, id string, expiresAt time.Time, tell func(*End)) (already bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.watched[id]
	if already = w != nil; !already {
		w = &watch{expiresAt: expiresAt, waiters: make(map[*waiter]struct{})}
		l.watched[id] = w
	}
	one := &waiter{tell: tell}
	w.waiters[one] = struct{}{}
	one.stop = context.AfterFunc(ctx, func() { l.leave(id, one) })
	return already
}

// leave is the end of a waiter's context.
func (l *Lookout) leave(id string, one *waiter) {
	if l.dismiss(id, one) {
		one.tell(nil)
	}
}

// dismiss reports whether the waiter had not been told yet, which it will not be.
func (l *Lookout) dismiss(id string, one *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.watched[id]
	if w == nil {
		return false
	}
	if _, waits := w.waiters[one]; !waits {
		return false
	}
	delete(w.waiters, one)
	if len(w.waiters) == 0 {
		delete(l.watched, id)
		delete(l.due, id)
	}
	return true
}

// mark has the session asked about; the lock is held.
func (l *Lookout) mark(id string) {
	l.due[id] = struct{}{}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// survey finds, once its time has come, the sessions that have reached theirs, or
// all while word may not come. When it does again, what was lost is said to be
// missed.
func (l *Lookout) survey() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Before(l.next) {
		return
	}
	deaf := !l.hearing()
	l.next = now.Add(surveyInterval)
	for id, w := range l.watched {
		switch {
		case deaf || !now.Before(w.expiresAt):
			l.due[id] = struct{}{}
		case w.expiresAt.Before(l.next):
			l.next = w.expiresAt
		}
	}
}

// rest is how long it is until the next survey.
func (l *Lookout) rest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.next.Sub(l.now()), 0)
}

// ask asks about those that are due, which those that are not answered stay.
func (l *Lookout) ask(ctx context.Context) error {
	l.mu.Lock()
	ids := slices.Collect(maps.Keys(l.due))
	clear(l.due) // what is marked from now on is asked about once more
	l.mu.Unlock()
	for chunk := range slices.Chunk(ids, lookAtMost) {
		if err := l.askAbout(ctx, chunk); err != nil {
			l.putBack(ids)
			return err
		}
	}
	return nil
}

func (l *Lookout) putBack(ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.watched[id] != nil {
			l.due[id] = struct{}{}
		}
	}
}

func (l *Lookout) askAbout(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	standings, err := l.register.Standings(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		standing, known := standings[id]
		l.settle(id, standing, known)
	}
	return nil
}

// settle tells those who wait for the session if it has ended.
func (l *Lookout) settle(id string, s Standing, known bool) {
	l.mu.Lock()
	w := l.watched[id]
	if w == nil {
		l.mu.Unlock()
		return
	}
	if known {
		w.expiresAt = s.ExpiresAt
	}
	end := s.End
	switch now := l.now(); {
	case end != nil:
	case !now.Before(w.expiresAt):
		end = &End{Reason: Expired, At: w.expiresAt}
	case !known: // nothing is deleted that has not long been over
		end = &End{Reason: Expired, At: now}
	default:
		if w.expiresAt.Before(l.next) {
			l.next = w.expiresAt
		}
		l.mu.Unlock()
		return
	}
	delete(l.watched, id)
	delete(l.due, id)
	l.mu.Unlock()
	for one := range w.waiters {
		one.stop()
		one.tell(end)
	}
}
