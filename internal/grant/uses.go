package grant

import (
	"context"
	"sync"
	"time"
)

// drainLimit is how long whoever ends a session waits for calls that were begun
// for it before; then those that can be are cancelled.
const drainLimit = 2 * time.Second

// uses are the calls of this process that carry a token now, by the user's ID.
// The zero value is ready.
type uses struct {
	mu  sync.Mutex
	all map[string]map[*use]struct{}
}

// use is one call.
type use struct {
	ctx     context.Context //nolint:containedctx // tells for which request the use is
	refresh bool            // it is for all of the user's requests
	over    chan struct{}
	cancel  context.CancelFunc
}

// enter begins a use of the user's token, within the context that it returns,
// until leave is called, which may be called again.
func (u *uses) enter(ctx context.Context, userID string, refresh bool) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	one := &use{ctx: ctx, refresh: refresh, over: make(chan struct{}), cancel: cancel}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = make(map[string]map[*use]struct{})
	}
	if u.all[userID] == nil {
		u.all[userID] = make(map[*use]struct{})
	}
	u.all[userID][one] = struct{}{}
	return ctx, sync.OnceFunc(func() {
		cancel()
		close(one.over)
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.all[userID], one)
		if len(u.all[userID]) == 0 {
			delete(u.all, userID)
		}
	})
}

// drain waits until the refreshes, and the uses for requests that are not to be
// spared, that there are now have ended, and cancels those that have not when ctx
// ends.
func (u *uses) drain(ctx context.Context, userID string, spared func(request context.Context) bool) {
	u.mu.Lock()
	now := make([]*use, 0, len(u.all[userID]))
	for one := range u.all[userID] {
		now = append(now, one)
	}
	u.mu.Unlock()
	for _, one := range now {
		if !one.refresh && spared(one.ctx) { //nolint:contextcheck // it is asked about that request
			continue
		}
		select {
		case <-one.over:
		case <-ctx.Done():
			one.cancel()
		}
	}
}
