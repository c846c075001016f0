package background_test

import (
	"context"
	"errors"
	"testing"

	"galaxygate/internal/background"
)

func TestGroupWaitsForAllThatRuns(t *testing.T) {
	t.Parallel()
	var g background.Group
	if err := g.Wait(t.Context()); err != nil {
		t.Errorf("nothing runs: %v", err)
	}
	goOn := make(chan struct{})
	var first, second bool
	g.Go(func() {
		<-goOn
		g.Do(func() { second = true }) // begun while it is waited for
		first = true
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(goOn)
	if err := g.Wait(t.Context()); err != nil || !first || !second {
		t.Errorf("waited: %v, %v, %v", err, first, second)
	}
}
