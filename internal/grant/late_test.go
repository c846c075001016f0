package grant_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/session"
	"galaxygate/internal/testdb"
)

// An answer about the tokens of one consent says nothing about the next.
func TestAResourcesAnswerDoesNotEndAConsentGivenSince(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		for _, again := range []string{"", "refresh-0"} { // none came, or the same one once more
			h.signIn(t, "access-0", "refresh-0", life, life)
			err := h.replica(h.db).Call(t.Context(), h.user, func(context.Context, grant.Token) error {
				h.signIn(t, "access-1", again, life, life)
				return &grant.Failure{Kind: grant.SignInAgain, Reason: "consent_withdrawn"}
			})
			if g := h.grant(t); err == nil || g.Status != grant.Active || g.LeaseOwner != "" {
				t.Errorf("again %q: %v, stored %s %s, lease of %q", again, err, g.Status, g.StatusReason, g.LeaseOwner)
			}
		}
	})
}

func TestARefusedRefreshDoesNotEndAConsentGivenSince(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.answers(func(int) answer {
			h.signIn(t, "access-1", "refresh-0", life, life)
			return refused(http.StatusBadRequest, "invalid_grant")
		})
		got, err := h.replica(h.db).Token(t.Context(), h.user)
		if g := h.grant(t); err != nil || got.Value.Reveal() != "access-1" || g.Status != grant.Active || g.LeaseOwner != "" {
			t.Errorf("got %q, %v: stored %s %s, lease of %q", got.Value.Reveal(), err, g.Status, g.StatusReason, g.LeaseOwner)
		}
	})
}

// brief gives leases that run out at once.
type brief struct{ grant.Leases }

func (b brief) Acquire(ctx context.Context, g grant.Grant, owner string, _ time.Duration) error {
	return b.Leases.Acquire(ctx, g, owner, time.Millisecond)
}

func TestASuccessorOutlivesTheLeaseItWasObtainedUnder(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source := h.replica(h.db)
		source.Leases = brief{h.db}
		h.provider.answers(func(int) answer {
			h.lapse(t)
			if _, err := h.replica(open()).Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
				t.Errorf("the replica that took over: %v", err)
			}
			return tokens("access-1", "refresh-1", life)
		})
		got, err := source.Token(t.Context(), h.user)
		if g := h.grant(t); err != nil || got.Value.Reveal() != "access-1" || g.Refresh.Reveal() != "refresh-1" || g.Status != grant.Active {
			t.Errorf("got %q, %v: stored %q, %s %s", got.Value.Reveal(), err, g.Refresh.Reveal(), g.Status, g.StatusReason)
		}
	})
}

func TestASuccessorOfAnEndedGrantIsRevoked(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source := h.replica(h.db)
		source.Leases = brief{h.db}
		h.provider.answers(func(int) answer {
			h.lapse(t)
			g := h.grant(t)
			err := h.db.Acquire(t.Context(), g, "resource", time.Minute)
			if err == nil {
				err = h.db.Fail(t.Context(), g, "resource", &grant.Failure{Kind: grant.SignInAgain, Reason: "consent_withdrawn"}, 0)
			}
			if err != nil {
				t.Error(err)
			}
			return tokens("access-1", "refresh-1", life)
		})
		if _, err := source.Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
			t.Errorf("got %v", err)
		}
		if due := h.due(t, grant.RevokeTokens); !slices.Equal(due, []string{"refresh-1"}) {
			t.Errorf("to be revoked: %q", due)
		}
	})
}

// sleeper is the clock of a process that stands still once, as one does whose
// machine sleeps, when it has taken a lease and looked at the clock.
type sleeper struct {
	grant.Leases
	taken, slept atomic.Bool
	meanwhile    func()
}

func (s *sleeper) Acquire(ctx context.Context, g grant.Grant, owner string, d time.Duration) error {
	if !s.slept.Load() {
		d = time.Millisecond // of the time that follows
	}
	err := s.Leases.Acquire(ctx, g, owner, d)
	s.taken.Store(err == nil)
	return err
}

func (s *sleeper) now() time.Time {
	now := time.Now()
	if s.slept.Load() {
		return now.Add(20 * time.Second)
	}
	if s.taken.Load() {
		s.slept.Store(true)
		s.meanwhile()
	}
	return now
}

func TestWhoStoodStillDoesNotPresentOnALeaseThatIsOver(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source, s := h.replica(h.db), &sleeper{Leases: h.db}
		source.Leases, source.Now = s, s.now
		s.meanwhile = func() {
			h.lapse(t)
			if _, err := h.replica(open()).Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
				t.Errorf("the replica that took over: %v", err)
			}
		}
		if _, err := source.Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
			t.Errorf("got %v", err)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times", n)
		}
	})
}

// Its own unused lease, which has run out, is no crash to who took it.
func TestWhoStoodStillBeginsAnew(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source, s := h.replica(h.db), &sleeper{Leases: h.db}
		source.Leases, source.Now, s.meanwhile = s, s.now, func() { h.lapse(t) }
		got, err := source.Token(t.Context(), h.user)
		if n := h.provider.presentations(); err != nil || got.Value.Reveal() != "access-1" || n != 1 {
			t.Errorf("got %q, %v, presented %d times", got.Value.Reveal(), err, n)
		}
	})
}

func TestNothingIsPresentedOnceALogoutWaitsNoLonger(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source := h.replica(h.db)
		source.Leases = &faulty{Leases: h.db, afterAcquire: func() error {
			_, err := h.db.EndOthers(t.Context(), h.user, "", session.LoggedOut, time.Now())
			over, cancel := context.WithCancel(t.Context())
			cancel() // the logout's time is up
			source.Drain(over, h.user)
			return err
		}}
		if _, err := source.Token(t.Context(), h.user); !errors.Is(err, grant.ErrSignedOut) {
			t.Errorf("got %v", err)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times", n)
		}
		if g := h.grant(t); g.LeaseOwner != "" || g.Lapses != 0 {
			t.Errorf("stored: lease of %q, %d lapses", g.LeaseOwner, g.Lapses)
		}
	})
}

func TestAGraceRunsWhileTheLeaseIsTaken(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.crash(t)
		var slow atomic.Bool
		source := h.replica(h.db)
		source.RotationGrace = 17 * time.Second // a lease, and the two seconds that taking the next one takes
		source.Leases = &faulty{Leases: h.db, afterAcquire: func() error {
			slow.Store(true)
			return nil
		}}
		source.Now = func() time.Time {
			if slow.Load() {
				return time.Now().Add(2 * time.Second)
			}
			return time.Now()
		}
		if _, err := source.Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
			t.Errorf("got %v", err)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times", n)
		}
	})
}
