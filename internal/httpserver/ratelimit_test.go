package httpserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/audit"
	"galaxygate/internal/httpserver"
)

// newLimiter counts for the session that headerSession found.
func newLimiter(perMinute int, now func() time.Time) *httpserver.RateLimiter {
	return httpserver.NewRateLimiter(httpserver.RateLimits{
		PerMinute: perMinute,
		Key:       func(ctx context.Context) string { return audit.ActorFrom(ctx).SessionID },
		Now:       now,
	})
}

// headerSession takes each request for one of the session that its header names.
func headerSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor := audit.ActorFrom(r.Context())
		actor.SessionID = r.Header.Get("Test-Session")
		next.ServeHTTP(w, r.WithContext(audit.WithActor(r.Context(), actor)))
	})
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	clock := &manualClock{now: time.Unix(1_700_000_000, 0)}
	h := newPublic(func(p *httpserver.Public) {
		p.Session = headerSession
		p.Limiter = newLimiter(2, clock.Now)
	})
	post := func(session string, want int) answer {
		t.Helper()
		got := send(t, h, http.MethodPost, "/graphql", "", http.Header{"Test-Session": {session}})
		if got.status != want {
			t.Errorf("session %q: got %d, want %d", session, got.status, want)
		}
		return got
	}
	post("alice", 200)
	post("alice", 200)
	refused := post("alice", 429)
	if after := refused.header.Get("Retry-After"); after != "30" {
		t.Errorf("Retry-After: got %q, want 30", after)
	}
	if code := refused.code(t); code != "RATE_LIMITED" {
		t.Errorf("code: got %q, want RATE_LIMITED", code)
	}
	post("bob", 200)
	post("", 200) // without a session the address counts
	clock.Advance(30 * time.Second)
	post("alice", 200)
	post("alice", 429)
}

func TestRateLimitCountsAnIPv6NetworkAsOne(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) { p.Limiter = newLimiter(1, time.Now) })
	status := func(remote string) int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	got := []int{status("[2001:db8::1]:1"), status("[2001:db8::2]:1"), status("[2001:db8:0:1::1]:1")}
	if diff := cmp.Diff([]int{200, 429, 200}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestWhoMakesUpCredentialsIsRefusedBeforeTheyAreLookedUp(t *testing.T) {
	t.Parallel()
	var lookUps int
	h := newPublic(func(p *httpserver.Public) {
		p.Limiter = newLimiter(2, (&manualClock{now: time.Unix(1_700_000_000, 0)}).Now)
		p.Remembers = func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" || r.Header.Get("Test-Session") == "remembered"
		}
		p.Session = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !p.Remembers(r) {
					lookUps++
				}
				headerSession(next).ServeHTTP(w, r)
			})
		}
		p.Unlimited = []string{"/auth/logout"}
	})
	for _, step := range []struct {
		name    string
		path    string
		session string // live, where there is one
		want    int
		lookUps int // until then
	}{
		{"a session that is not remembered counts for itself", "/graphql", "cold", 200, 1},
		{"and again", "/graphql", "cold", 200, 2},
		{"but no more often than it may", "/graphql", "cold", 429, 3},
		{"a made-up one counts for the address", "/graphql", "", 200, 4},
		{"also where nothing is limited", "/auth/logout", "", 200, 5},
		{"then it is refused unseen", "/graphql", "", 429, 5},
		{"there too", "/auth/logout", "", 429, 5},
		{"a remembered one goes on", "/graphql", "remembered", 200, 5},
		{"one that may be live is not looked up", "/graphql", "also cold", 429, 5},
	} {
		header := http.Header{"Authorization": {"Bearer x"}, "Test-Session": {step.session}}
		if got := send(t, h, http.MethodPost, step.path, "", header); got.status != step.want || lookUps != step.lookUps {
			t.Errorf("%s: got %d after %d look-ups, want %d after %d", step.name, got.status, lookUps, step.want, step.lookUps)
		}
	}
	if got := send(t, h, http.MethodPost, "/auth/logout", "", nil); got.status != http.StatusOK {
		t.Errorf("an unlimited path without credentials: got %d", got.status)
	}
}

func TestEachOperationOfAConnectionCounts(t *testing.T) {
	t.Parallel()
	l := newLimiter(2, (&manualClock{now: time.Unix(1_700_000_000, 0)}).Now)
	ctx := audit.WithActor(t.Context(), audit.Actor{SessionID: "alice", IPAddress: "192.0.2.1"})
	for i, want := range []int{0, 0, http.StatusTooManyRequests} {
		got := 0
		if refusal := l.Admit(ctx); refusal != nil {
			got = refusal.Status
		}
		if got != want {
			t.Errorf("operation %d: got %d, want %d", i+1, got, want)
		}
	}
	if httpserver.NewRateLimiter(httpserver.RateLimits{}).Admit(ctx) != nil {
		t.Error("without a limit an operation was refused")
	}
}

// ledger is a Shared in memory, for callers of that many requests at most.
type ledger struct {
	most int
	away bool

	mu   sync.Mutex
	used map[string]int
}

func (l *ledger) Count(_ context.Context, caller string, n int) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return 0, errors.New("away")
	}
	l.used[caller] += n
	if l.used[caller] < l.most {
		return 0, nil
	}
	return 30 * time.Second, nil
}

func TestReplicasShareTheLimit(t *testing.T) {
	t.Parallel()
	const perMinute = 100 // and so told by the five
	tests := []struct {
		name        string
		away        bool
		least, most int
	}{
		{"one allowance", false, perMinute, perMinute + 2*5 + 2},
		{"each its own where nothing can be shared", true, 2 * perMinute, 2 * perMinute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			clock := &manualClock{now: time.Unix(1_700_000_000, 0)}
			shared := &ledger{most: perMinute, away: test.away, used: make(map[string]int)}
			var replicas []*httpserver.RateLimiter
			for range 2 {
				replicas = append(replicas, httpserver.NewRateLimiter(httpserver.RateLimits{
					PerMinute: perMinute, Shared: shared, Now: clock.Now,
					Key: func(context.Context) string { return "alice" },
				}))
			}
			ask := func() (admitted int) {
				for range perMinute + 1 {
					for _, l := range replicas {
						if l.Admit(t.Context()) == nil {
							admitted++
						}
						l.Settle() // what is told has arrived
					}
				}
				return admitted
			}
			if got := ask(); got < test.least || got > test.most {
				t.Errorf("got %d admitted, want %d to %d", got, test.least, test.most)
			}
			fresh := httpserver.NewRateLimiter(httpserver.RateLimits{
				PerMinute: perMinute, Shared: shared, Now: clock.Now,
				Key: func(context.Context) string { return "alice" },
			})
			_ = fresh.Admit(t.Context())
			fresh.Settle()
			if refused := fresh.Admit(t.Context()) != nil; refused == test.away {
				t.Errorf("a replica that the caller has not been to refuses: %v", refused)
			}
			clock.Advance(31 * time.Second)
			if refusal := replicas[0].Admit(t.Context()); refusal != nil {
				t.Errorf("half a minute later: got %+v", refusal)
			}
		})
	}
}

func TestWhatIsGivenBackIsNotToldOfAnAddress(t *testing.T) {
	t.Parallel()
	shared := &ledger{most: 1000, used: make(map[string]int)}
	limiter := httpserver.NewRateLimiter(httpserver.RateLimits{
		PerMinute: 20, Shared: shared, Now: time.Now, // and so told by the one
		Key: func(ctx context.Context) string { return audit.ActorFrom(ctx).SessionID },
	})
	h := newPublic(func(p *httpserver.Public) {
		p.Session, p.Limiter = headerSession, limiter
		p.Remembers = func(*http.Request) bool { return false }
	})
	for range 10 {
		send(t, h, http.MethodPost, "/graphql", "", http.Header{"Test-Session": {"alice"}})
		limiter.Settle()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if got := shared.used["address 192.0.2.1"]; got > 1 || shared.used["key alice"] < 9 {
		t.Errorf("got %v, want the session's alone", shared.used)
	}
}

// manualClock is a clock that stands until it is advanced.
type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestUnlimitedPathsCountForNobody(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) {
		p.Limiter = newLimiter(1, time.Now)
		p.Unlimited = []string{"/auth/logout"}
	})
	for range 5 {
		if got := send(t, h, http.MethodPost, "/auth/logout", "", nil); got.status != http.StatusOK {
			t.Fatalf("unlimited path: got %d", got.status)
		}
	}
	for i, want := range []int{200, 429} {
		if got := send(t, h, http.MethodGet, "/", "", nil); got.status != want {
			t.Errorf("request %d to another path: got %d, want %d", i+1, got.status, want)
		}
	}
	if got := send(t, h, http.MethodPost, "/auth/logout", "", nil); got.status != http.StatusOK {
		t.Errorf("unlimited path, of a caller beyond the limit: got %d", got.status)
	}
}
