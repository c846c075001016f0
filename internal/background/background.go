package background

import (
	"context"
	"sync"
	"time"

	"galaxygate/internal/retry"
)

// Group is work in the background. The zero value is ready.
type Group struct{ running sync.WaitGroup }

// Go runs f in a goroutine.
func (g *Group) Go(f func()) { g.running.Go(f) }

// Do runs f before it returns, and Wait waits for it too.
func (g *Group) Do(f func()) {
	g.running.Add(1)
	defer g.running.Done()
	f()
}

// Wait waits until everything has ended, or ctx has, and then returns its error.
// Nothing may be begun from outside once Wait has.
func (g *Group) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
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
