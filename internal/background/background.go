package background

import (
	"context"
	"sync"
)

// Group is work in the background. The zero value is ready.
type Group struct{ running sync.WaitGroup }

// Go runs f in a goroutine.
func (g *Group) Go(f func()) { g.running.Go(f) }

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
