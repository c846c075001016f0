package grant_test

import (
	"errors"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
	"galaxygate/internal/testdb"
)

// crash leases the grant as a process does that is killed then, and waits until
// the lease has run out.
func (h *house) crash(t *testing.T) {
	t.Helper()
	if err := h.db.Acquire(t.Context(), h.grant(t), secret.Random().Reveal(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	h.lapse(t)
}

// lapse waits until the grant's lease has run out.
func (h *house) lapse(t *testing.T) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for h.grant(t).LeaseLeft > 0 {
		<-poll.C
	}
}

// giveUp takes a lapsed lease over, presents nothing, and gives it back.
func (h *house) giveUp(t *testing.T) {
	t.Helper()
	g := h.grant(t)
	if err := h.db.Acquire(t.Context(), g, "undecided", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Release(t.Context(), g, "undecided"); err != nil {
		t.Fatal(err)
	}
}

func TestRotationGrace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		grace     time.Duration
		crashes   int
		givenBack bool
		presented int // again, after the crashes
	}{
		{"a crash within it is presented once more", time.Minute, 1, false, 1},
		{"a crash longer ago is none to forgive", 10 * time.Second, 1, false, 0},
		{"a second crash in a row is none to forgive", time.Hour, 2, false, 0},
		{"without it a crash is none to forgive", 0, 1, false, 0},
		{"a crash is forgiven to the next who presents", time.Minute, 1, true, 1},
		{"a crash is not forgotten by one who gave up", 0, 1, true, 0},
		{"nor is a second", time.Hour, 2, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signIn(t, "access-0", "refresh-0", life, expired)
				for range tt.crashes {
					h.crash(t)
				}
				if tt.givenBack {
					h.giveUp(t)
				}
				source := h.replica(h.db)
				source.RotationGrace = tt.grace
				_, err := source.Token(t.Context(), h.user)
				g := h.grant(t)
				if n := h.provider.presentations(); n != tt.presented {
					t.Errorf("presented %d times, want %d", n, tt.presented)
				}
				if refused := errors.Is(err, grant.ErrReauthenticationRequired) && g.StatusReason == "refresh_interrupted"; refused == (tt.presented == 1) {
					t.Errorf("got %v, stored %s %q", err, g.Status, g.StatusReason)
				}
				if tt.presented == 1 && (err != nil || g.Access.Reveal() != "access-1" || g.Lapses != 0) {
					t.Errorf("got %v, stored %q after %d lapses", err, g.Access.Reveal(), g.Lapses)
				}
			})
		})
	}
}

func TestAnAnswerEndsTheRowOfCrashes(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.provider.answers(func(int) answer { return tokens("access-1", "refresh-1", time.Second) })
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source := h.replica(h.db)
		source.RotationGrace = time.Minute
		source.Now = func() time.Time { return time.Now().Add(time.Minute) } // every access token has expired
		for range 3 {
			h.crash(t)
			if _, err := source.Token(t.Context(), h.user); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A replica that has just started takes over what the one before it left, and
// does not know the provider yet.
func TestAGraceIsNotUsedUpByOneWhoCannotAsk(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.crash(t)
		starting := h.replica(h.db)
		starting.RotationGrace = time.Minute
		starting.Refresher = passport.New(passport.Config{Issuer: "https://id.example.com", ClientSecret: secret.New("x")})
		var f *grant.Failure
		if _, err := starting.Token(t.Context(), h.user); !errors.As(err, &f) || !f.Unsent {
			t.Errorf("got %v", err)
		}
		if err := starting.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := h.replica(h.db)
		next.RotationGrace = time.Minute
		if got, err := next.Token(t.Context(), h.user); err != nil || got.Value.Reveal() != "access-1" {
			t.Errorf("got %q, %v", got.Value.Reveal(), err)
		}
	})
}
