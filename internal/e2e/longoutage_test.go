package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
	"galaxygate/internal/pgtest"
)

// TestAProviderThatIsAwayForLong hangs while three queries wait, then refuses
// connections for several back-offs while they are repeated.
func TestAProviderThatIsAwayForLong(t *testing.T) {
	t.Parallel()
	for part, name := range map[string]string{theProvider: "rollup", rotating: "strict"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outlast(t, newStage(t, part, nil))
		})
	}
}

func outlast(t *testing.T, s *stage) {
	t.Helper()
	clients := []*browser{s.browser(t), s.browser(t), s.browser(t)}
	s.signInBriefly(t, clients...)
	before := s.grant(t)
	away, back := context.WithCancel(t.Context())
	defer back()

	provider := s.wires[theProvider]
	provider.strike(t, named(t, "hang"))
	var waiting sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for _, b := range clients {
		waiting.Go(func() {
			next := time.NewTicker(50 * time.Millisecond)
			defer next.Stop()
			for ; away.Err() == nil; <-next.C {
				answer := b.sees()
				mu.Lock()
				seen[answer]++
				mu.Unlock()
			}
		})
	}
	failures := func() int { return s.grant(t).failures }
	eventually(t, 30*time.Second, func() bool { return failures() == 1 }, func() string { return "the hanging call does not end" })
	provider.strike(t, named(t, "refused"))
	began := time.Now()
	eventually(t, 60*time.Second, func() bool { return failures() == 4 }, func() string { return fmt.Sprintf("%d failures", failures()) })
	if took := time.Since(began); took < 3*time.Second { // 1, 2 and 4 s, less a quarter each
		t.Errorf("three back-offs took only %v", took)
	}
	back()
	waiting.Wait()
	if unavailable := seen["email, name, profile: UPSTREAM_UNAVAILABLE passport"]; unavailable < 10 || len(seen) != 1 {
		t.Errorf("the clients saw %v", seen)
	}
	if n := s.refreshes(); n != 0 {
		t.Errorf("%d refresh tokens reached a provider that was away", n)
	}

	provider.mend(t)
	for _, b := range clients {
		if got := s.recovers(t, b); got != "queries work" {
			t.Error(got)
		}
	}
	if n := s.refreshes(); n != 1 || s.since(t, before) != "new tokens" {
		t.Errorf("%d refresh tokens were presented, %s", n, s.since(t, before))
	}
	tried := column(t, s.db, "SELECT reason FROM audit_events WHERE kind = 'refresh_failed' ORDER BY at")
	if len(tried) != 4 || tried[0] != "timeout" || tried[3] != "connection_refused" {
		t.Errorf("tried: %s", tried)
	}
	s.noLeaseStands(t)
}

// TestADatabaseRestartedDuringARefreshLosesNoToken stops PostgreSQL while a
// provider that rotates is asked, and starts it when that has answered.
func TestADatabaseRestartedDuringARefreshLosesNoToken(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	w := found(t, server.URL, rollup, map[string]string{"AUTO_MIGRATE": "true"})
	w.rollup.Set(func(s *devrollup.Switches) { s.RotateRefreshTokens = true })
	b := w.browser(t)
	w.signInBriefly(t, b)
	w.holdTokens(true)
	answers := make(chan string, 1)
	go func() { answers <- b.seesOf("name") }()
	eventually(t, 10*time.Second, func() bool { return w.refreshes() == 1 }, func() string { return "the provider is not asked" })
	server.Stop()
	w.holdTokens(false)
	answered := time.Time{}
	eventually(t, 10*time.Second, func() bool {
		if answered.IsZero() && strings.Contains(w.log.String(), `"call":"refresh"`) {
			answered = time.Now()
		}
		return !answered.IsZero() && time.Since(answered) > 2*time.Second // storing has been tried several times
	}, func() string { return "the provider does not answer" })
	select {
	case got := <-answers:
		t.Errorf("tokens that are not stored were used: %s", got)
	default:
	}

	server.Start()
	if got := <-answers; got != "data" {
		t.Errorf("the query that waited: %s", got)
	}
	w.await(t, w.admin+"/readyz", http.StatusOK)
	if got := b.sees(); got != "data" || w.refreshes() != 1 {
		t.Errorf("after the restart: refreshed %d times, %s", w.refreshes(), got)
	}
	if err := w.rollup.Expire(devrollup.Expiry{AccessTokens: true}); err != nil {
		t.Fatal(err)
	}
	if got := b.seesOf("name"); got != "data" || w.refreshes() != 2 {
		t.Errorf("with the stored successor: refreshed %d times, %s", w.refreshes(), got)
	}
}
