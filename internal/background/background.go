package background

import (
	"context"
	"sync"
	"time"

	"galaxygate/internal/retry"
)

// Group is work in the background. The zero value is ready. It is no
// sync.WaitGroup, because work may begin while it is waited for: a request that is
// cut off at the end goes on for a moment.
type Group struct {
	mu      sync.Mutex
	running int
	ended   chan struct{} // closed when running comes down to 0
}

// Go runs f in a goroutine.
func (g *Group) Go(f func()) {
	g.begin()
	go func() {
		defer g.end()
		f()
	}()
}

// Do runs f before it returns, and Wait waits for it too.
func (g *Group) Do(f func()) {
	g.begin()
	defer g.end()
	f()
}

// Wait waits until nothing is running, or ctx has ended, and then returns its
// error.
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	running, ended := g.running, g.ended
	g.mu.Unlock()
	if running == 0 {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Group) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 {
		g.ended = make(chan struct{})
	}
	g.running++
}

func (g *Group) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running--; g.running == 0 {
		close(g.ended)
	}
}

// Every runs f again and again, first after about interval and then as long after
// each end, more or less by up to a quarter, until ctx ends.
func Every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry.Jitter(interval)):
			f(ctx)
		}
	}
}
