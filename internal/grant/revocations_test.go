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
	"galaxygate/internal/secret"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// withdrawals takes consents back by an access token, as Galaxy does.
type withdrawals struct {
	mu     sync.Mutex
	answer func(access string) error // nil: all are taken back
	access []string
}

func (w *withdrawals) Revoke(_ context.Context, access, _ secret.Text) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.access = append(w.access, access.Reveal())
	if w.answer != nil {
		if err := w.answer(access.Reveal()); err != nil {
			return false, err
		}
	}
	return true, nil
}

// unable is a provider without RFC 7009, as Rollup.
type unable struct{}

func (unable) Revoke(context.Context, secret.Text, secret.Text) (bool, error) { return false, nil }

func (h *house) revocations(db *store.DB) *grant.Revocations {
	return &grant.Revocations{
		Outbox: db, Claims: db, Refresher: h.provider.client, Revoker: h.provider.client, Withdrawer: &h.withdrawn,
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// work runs the revocations until the test ends, or stop is called, and counts
// their outcomes.
func work(t *testing.T, r *grant.Revocations) (outcomes func() []string, stop func()) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	r.Observe = func(outcome string) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, outcome)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}, stop
}

// settled waits until nothing is to be revoked any more.
func (h *house) settled(t *testing.T) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(20 * time.Second); ; {
		n, err := h.db.PendingRevocations(t.Context())
		if err == nil && len(n) == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%v revocations are still pending: %v", n, err)
		}
	}
}

// due claims what is due, for a moment, and returns its refresh tokens.
func (h *house) due(t *testing.T, kind grant.RevocationKind) []string {
	t.Helper()
	var all []string
	for {
		p, err := h.db.ClaimRevocation(t.Context(), kind, time.Minute)
		if errors.Is(err, grant.ErrNotFound) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Tokens.Refresh.Reveal())
	}
}

func TestAConsentIsGivenBackAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		h.signIn(t, "access-1", "refresh-1", life, life)
		got, err := h.replica(h.db).Revoke(t.Context(), h.user)
		if err != nil || got != (grant.Revocation{Sessions: 2, Upstream: true}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := h.db.Grant(t.Context(), h.user); !errors.Is(err, grant.ErrNotFound) {
			t.Errorf("the grant is still there: %v", err)
		}
		if revoked := h.provider.revocations(); !slices.Equal(revoked, []string{"refresh-1", "access-1"}) {
			t.Errorf("revoked %q", revoked)
		}
		if len(h.withdrawn.access) != 0 {
			t.Error("the consent was withdrawn once more")
		}
		if due := h.due(t, grant.RevokeTokens); !slices.Equal(due, []string{"refresh-0"}) {
			t.Errorf("still to be revoked: %q, want the replaced one", due)
		}
		if _, err := h.replica(h.db).Revoke(t.Context(), h.user); !errors.Is(err, grant.ErrNotFound) {
			t.Errorf("a second time: got %v", err)
		}
	})
}

func TestAConsentIsTakenBackOnceTheProviderIsThereAgain(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.revokes(func(n int) answer { // two tokens, two attempts
			if n <= 4 {
				return refused(http.StatusServiceUnavailable, "temporarily_unavailable")
			}
			return answer{status: http.StatusOK}
		})
		got, err := h.replica(h.db).Revoke(t.Context(), h.user)
		if err != nil || got != (grant.Revocation{Sessions: 1}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := h.db.Grant(t.Context(), h.user); !errors.Is(err, grant.ErrNotFound) {
			t.Errorf("the grant is still there: %v", err)
		}
		outcomes, _ := work(t, h.revocations(open()))
		h.settled(t)
		if got := outcomes(); !slices.Equal(got, []string{"later", "confirmed"}) {
			t.Errorf("got outcomes %q", got)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("refreshed %d times to no purpose", n)
		}
	})
}

func TestAConsentWithoutRevocationEndpoint(t *testing.T) {
	t.Parallel()
	rejected := fmt.Errorf("galaxy: %w", grant.ErrTokenRejected)
	tests := []struct {
		name      string
		refresh   string
		left      time.Duration
		answer    func(access string) error
		withdrawn []string
		upstream  bool
	}{
		{"is withdrawn by the access token", "refresh-0", life, nil, []string{"access-0"}, true},
		{"has an expired access token refreshed first", "refresh-0", expired, nil, []string{"access-1"}, true},
		{"has a rejected access token refreshed", "refresh-0", life, func(access string) error {
			if access == "access-0" {
				return rejected
			}
			return nil
		}, []string{"access-0", "access-1"}, true},
		{"is gone with its last token", "", expired, nil, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.withdrawn.answer = tt.answer
				h.signIn(t, "access-0", tt.refresh, life, tt.left)
				source := h.replica(h.db)
				source.Revocations.Revoker = unable{}
				got, err := source.Revoke(t.Context(), h.user)
				if err != nil || got.Upstream != tt.upstream || !slices.Equal(h.withdrawn.access, tt.withdrawn) {
					t.Errorf("got %+v, %v, withdrawn with %q", got, err, h.withdrawn.access)
				}
				h.settled(t)
			})
		})
	}
}

// The row is the only place that a refreshed token has.
func TestARefreshedTokenIsStoredBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.provider.answers(func(n int) answer { return tokens(fmt.Sprintf("access-%d", n), fmt.Sprintf("refresh-%d", n), life) })
		h.withdrawn.answer = func(string) error { return &grant.Failure{Kind: grant.Later, Reason: "http_502"} }
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source := h.replica(h.db)
		source.Revocations.Revoker = unable{}
		if got, err := source.Revoke(t.Context(), h.user); err != nil || got.Upstream {
			t.Errorf("got %+v, %v", got, err)
		}
		h.withdrawn.answer = nil
		again := h.revocations(h.db)
		again.Revoker = unable{}
		work(t, again)
		h.settled(t)
		if want := []string{"access-1", "access-1"}; !slices.Equal(h.withdrawn.access, want) || h.provider.presentations() != 1 {
			t.Errorf("withdrawn with %q, want %q; refreshed %d times", h.withdrawn.access, want, h.provider.presentations())
		}
	})
}

func TestNothingIsLeftOfARefusedRefreshToken(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.provider.answers(func(int) answer { return refused(http.StatusBadRequest, "invalid_grant") })
		h.signIn(t, "access-0", "refresh-0", life, expired)
		source := h.replica(h.db)
		source.Revocations.Revoker = unable{}
		if got, err := source.Revoke(t.Context(), h.user); err != nil || got.Upstream {
			t.Errorf("got %+v, %v", got, err)
		}
		h.settled(t)
		if len(h.withdrawn.access) != 0 {
			t.Errorf("withdrawn with %q", h.withdrawn.access)
		}
	})
}

func TestReplacedTokensAreRevokedByOneReplicaAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		for range 3 {
			work(t, h.revocations(open()))
		}
		work(t, h.revocations(h.db))
		var want []string
		for i := range 5 {
			h.signIn(t, fmt.Sprintf("access-%d", i), fmt.Sprintf("refresh-%d", i), life, life)
			want = append(want, fmt.Sprintf("refresh-%d", i))
		}
		h.settled(t)
		revoked := h.provider.revocations()
		slices.Sort(revoked)
		if !slices.Equal(revoked, want[:4]) {
			t.Errorf("revoked %q, want %q", revoked, want[:4])
		}
	})
}

func TestAProviderThatCannotRevokeIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		r := h.revocations(h.db)
		r.Revoker = unable{}
		outcomes, _ := work(t, r)
		h.signIn(t, "access-0", "refresh-0", life, life)
		h.signIn(t, "access-1", "refresh-1", life, life)
		h.settled(t)
		if got := outcomes(); !slices.Equal(got, []string{"void"}) || len(h.withdrawn.access) != 0 {
			t.Errorf("got outcomes %q, withdrawn with %q", got, h.withdrawn.access)
		}
	})
}

func TestAStopWaitsForTheCallUnderWay(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		arrived, release := make(chan struct{}), make(chan struct{})
		h.provider.revokes(func(int) answer {
			close(arrived)
			<-release
			return answer{status: http.StatusOK}
		})
		h.signIn(t, "access-0", "refresh-0", life, life)
		h.signIn(t, "access-1", "refresh-1", life, life)
		_, stop := work(t, h.revocations(h.db))
		<-arrived
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		select {
		case <-stopped:
			t.Error("it has stopped with a call under way")
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		<-stopped
		if n, err := h.db.PendingRevocations(t.Context()); err != nil || len(n) != 0 {
			t.Errorf("%v revocations are pending: what the call achieved was not recorded: %v", n, err)
		}
	})
}
