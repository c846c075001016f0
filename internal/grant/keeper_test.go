package grant_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// watched are claims of which a test hears.
type watched struct {
	grant.DueGrants
	none   chan struct{} // receives when nothing was due
	unheld bool          // whether what was claimed may be claimed at once again
}

func (w *watched) ClaimGrant(ctx context.Context, now time.Time, hold func(time.Duration) time.Duration) (grant.Claim, error) {
	if w.unheld {
		hold = func(time.Duration) time.Duration { return 0 }
	}
	c, err := w.DueGrants.ClaimGrant(ctx, now, hold)
	if errors.Is(err, grant.ErrNotFound) {
		select {
		case w.none <- struct{}{}:
		case <-ctx.Done():
		}
	}
	return c, err
}

// keep runs a keeper of one replica until it has twice found nothing due, and
// returns the outcomes.
func (h *house) keep(t *testing.T, db *store.DB, change func(*grant.Keeper)) []string {
	t.Helper()
	claims := &watched{DueGrants: db, none: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var outcomes []string
	k := &grant.Keeper{
		Due: claims, Source: h.replica(db), Interval: time.Millisecond, PerMinute: 60_000,
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Observe: func(outcome string) {
			if outcomes = append(outcomes, outcome); len(outcomes) > 20 {
				cancel() // it would go on for ever
			}
		},
	}
	if change != nil {
		change(k)
	}
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	for range 2 {
		select {
		case <-claims.none:
		case <-ctx.Done():
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := k.Source.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	return outcomes
}

// signInEnding signs the subject in with a valid access token and a refresh token
// that ends after left and is due.
func (h *house) signInEnding(t *testing.T, subject string, left time.Duration) {
	t.Helper()
	now := time.Now()
	signIn := login.SignIn{
		Issuer: "https://id.example.com", Subject: subject,
		Tokens: grant.Tokens{
			Access: secret.New("access-0"), AccessExpiresAt: now.Add(life),
			Refresh: secret.New("refresh-" + subject), RefreshExpiresAt: now.Add(left),
		},
		Session: session.Session{
			ID: secret.Random().Reveal(), Kind: session.Browser,
			CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
		SessionToken: secret.Random(),
	}
	s, err := h.db.SignIn(t.Context(), signIn, now.Add(left)) // as if it were ending now
	if err != nil {
		t.Fatal(err)
	}
	h.user = s.UserID
}

func TestAGrantNearItsEndIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signInEnding(t, "alice", life)
		h.provider.answers(func(n int) answer {
			a := tokens(fmt.Sprintf("access-%d", n), fmt.Sprintf("refresh-%d", n), life)
			a.body["refresh_expires_in"] = (30 * 24 * time.Hour).Seconds()
			return a
		})
		var replicas sync.WaitGroup
		outcomes := make([][]string, 3)
		for i := range outcomes {
			db := h.db
			if i > 0 {
				db = open()
			}
			replicas.Go(func() { outcomes[i] = h.keep(t, db, nil) })
		}
		replicas.Wait()
		if got := slices.Concat(outcomes...); !slices.Equal(got, []string{"kept"}) || h.provider.presentations() != 1 {
			t.Errorf("outcomes %q, presented %d times", got, h.provider.presentations())
		}
		g := h.grant(t)
		if left := time.Until(g.RefreshExpiresAt); g.Refresh.Reveal() != "refresh-1" || left < 29*24*time.Hour {
			t.Errorf("stored %q, which ends in %v", g.Refresh.Reveal(), left)
		}
	})
}

func TestWhatTheSweepFinds(t *testing.T) {
	t.Parallel()
	silent := tokens("access-1", "", life)
	told := tokens("access-1", "", life)
	told.body["refresh_expires_in"] = life.Seconds() // the end that is known already
	tests := []struct {
		name    string
		reply   answer
		outcome string
		status  grant.Status
	}{
		{"a provider that leaves the end, and says nothing, is asked once", silent, "fixed", grant.Active},
		{"a provider that leaves the end, and says so, is asked once", told, "fixed", grant.Active},
		{"a refused grant waits for the user", refused(400, "invalid_grant"), "refused", grant.ReauthenticationRequired},
		{"a provider that is away is not asked at once again", answer{status: http.StatusBadGateway}, "failed", grant.Active},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signInEnding(t, "alice", life)
				h.provider.answers(func(int) answer { return tt.reply })
				outcomes := h.keep(t, h.db, func(k *grant.Keeper) {
					k.Due.(*watched).unheld = tt.outcome != "failed" // what is settled needs no hold
				})
				if !slices.Equal(outcomes, []string{tt.outcome}) || h.provider.presentations() != 1 {
					t.Errorf("outcomes %q, presented %d times", outcomes, h.provider.presentations())
				}
				if g := h.grant(t); g.Status != tt.status {
					t.Errorf("stored: %s", g.Status)
				}
			})
		})
	}
}

func TestTheSweepNeverBursts(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		const grants = 5
		for i := range grants {
			h.signInEnding(t, fmt.Sprint("user-", i), life)
		}
		var asked []time.Time
		h.provider.answers(func(int) answer {
			asked = append(asked, time.Now())
			return tokens("access-1", "", life)
		})
		h.keep(t, h.db, func(k *grant.Keeper) { k.PerMinute = 600 })
		if took := asked[len(asked)-1].Sub(asked[0]); len(asked) != grants || took < 300*time.Millisecond {
			t.Errorf("%d refreshes in %v, want ten a second at most", len(asked), took)
		}
	})
}

func TestASweepThatIsOffAsksForNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := &grant.Keeper{Interval: time.Nanosecond} // without claims it would panic
	if err := k.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestARefreshOfAnotherVersionIsNone(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		source, first := h.replica(h.db), h.grant(t)
		for _, want := range []string{"access-1", "access-1"} { // the second is too late
			g, err := source.Refresh(t.Context(), h.user, first.Version)
			if err != nil || g.Access.Reveal() != want || h.provider.presentations() != 1 {
				t.Errorf("got %q, %v, presented %d times", g.Access.Reveal(), err, h.provider.presentations())
			}
		}
		if _, err := source.Refresh(t.Context(), "nobody", 1); !errors.Is(err, grant.ErrNotFound) {
			t.Errorf("nobody's: got %v", err)
		}
	})
}

func TestWhenARefreshTokenIsDue(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct{ life, want time.Duration }{
		{90 * day, 72 * day},
		{14 * day, 11 * day},
		{7 * day, 4 * day},
		{day, 12 * time.Hour},
		{30 * time.Minute, 15 * time.Minute},
		{10 * time.Second, 5 * time.Second},
		{0, 0},
		{-time.Hour, 0},
	} {
		if got := grant.SweepAfter(tt.life); got != tt.want {
			t.Errorf("a life of %v: due after %v, want %v", tt.life, got, tt.want)
		}
	}
}
