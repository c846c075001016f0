package httpserver

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"galaxygate/internal/audit"
	"galaxygate/internal/graphqlhttp"
)

// maxCallers bounds how many callers are remembered; the least frequent are
// forgotten, and start with a full allowance again.
const maxCallers = 100_000

// RateLimits says how often callers may ask.
type RateLimits struct {
	// PerMinute is how many requests a minute a caller may make, and how many at
	// once; 0 is no limit.
	PerMinute int
	// Key names the caller of the context, or is empty where its client address
	// counts (audit.ActorFrom).
	Key func(context.Context) string
	Now func() time.Time
}

// RateLimiter counts what callers ask for. It is safe for concurrent use. One that is
// nil admits everything.
type RateLimiter struct {
	limits   RateLimits
	interval time.Duration // in which an allowance grows by one
	callers  *otter.Cache[string, *allowance]
}

// NewRateLimiter returns a limiter; nil where there is no limit.
func NewRateLimiter(limits RateLimits) *RateLimiter {
	if limits.PerMinute <= 0 {
		return nil
	}
	return &RateLimiter{
		limits:   limits,
		interval: time.Minute / time.Duration(limits.PerMinute),
		callers:  otter.Must(&otter.Options[string, *allowance]{MaximumSize: maxCallers}),
	}
}

// Admit counts one request, or one operation of many on a connection, for the
// context's caller, and returns why it is refused where the caller's allowance is used
// up, else nil.
func (l *RateLimiter) Admit(ctx context.Context) *graphqlhttp.Refusal {
	if l == nil {
		return nil
	}
	if key := l.limits.Key(ctx); key != "" {
		return l.take(l.of("key " + key))
	}
	return l.take(l.ofAddress(ctx))
}

func (l *RateLimiter) take(a *allowance) *graphqlhttp.Refusal {
	wait := a.take(l.limits.Now(), l.interval, l.limits.PerMinute)
	if wait <= 0 {
		return nil
	}
	return &graphqlhttp.Refusal{
		Status:     http.StatusTooManyRequests,
		Code:       graphqlhttp.CodeRateLimited,
		Message:    "Too many requests.",
		RetryAfter: wait,
	}
}

// of returns the allowance of the caller of that name.
func (l *RateLimiter) of(name string) *allowance {
	a, _ := l.callers.ComputeIfAbsent(name, func() (*allowance, bool) { return &allowance{}, false })
	return a
}

// ofAddress returns the allowance of the context's client address.
func (l *RateLimiter) ofAddress(ctx context.Context) *allowance {
	return l.of("address " + CallerAddress(ctx))
}

// CallerAddress is the context's client address (audit.ActorFrom) as a caller is told
// by it: an IPv6 client has a /64 to itself at least, so that counts as one.
func CallerAddress(ctx context.Context) string {
	text := audit.ActorFrom(ctx).IPAddress
	if address, err := netip.ParseAddr(text); err == nil && address.Is6() {
		network, _ := address.Prefix(64) // never fails for an IPv6 address
		text = network.String()
	}
	return text
}

// advanceKey is under what the context holds the allowance that a request was counted
// for before it was known whose it is.
type advanceKey struct{}

// strangers counts a request whose credentials memory does not know for its address,
// before anyone looks them up: else whoever makes credentials up could have the store
// asked without end. Others are counted by members.
func (l *RateLimiter) strangers(known func(*http.Request) bool) Middleware {
	if l == nil {
		return unchanged
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if known(r) {
				next.ServeHTTP(w, r)
				return
			}
			address := l.ofAddress(r.Context())
			if refusal := l.take(address); refusal != nil {
				Refuse(w, r, *refusal)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), advanceKey{}, address)))
		})
	}
}

// members counts each request for its caller, but none to the unlimited paths.
func (l *RateLimiter) members(unlimited []string) Middleware {
	if l == nil {
		return unchanged
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			advance, counted := r.Context().Value(advanceKey{}).(*allowance)
			if counted && l.limits.Key(r.Context()) != "" {
				advance.giveBack(l.interval) // a session that is live counts for itself alone
				counted = false
			}
			if !counted && !slices.Contains(unlimited, r.URL.Path) {
				if refusal := l.Admit(r.Context()); refusal != nil {
					Refuse(w, r, *refusal)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

func unchanged(next http.Handler) http.Handler { return next }

// allowance is a token bucket of one caller.
type allowance struct {
	mu sync.Mutex
	// full is when the bucket is full, if nothing more is taken: it lacks a token for
	// each interval until then.
	full time.Time
}

// take takes a token and returns 0, or takes none and returns how long it is until
// there is one.
func (a *allowance) take(now time.Time, interval time.Duration, size int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	full := a.full
	if full.Before(now) {
		full = now
	}
	if wait := full.Sub(now) - time.Duration(size-1)*interval; wait > 0 {
		return wait
	}
	a.full = full.Add(interval)
	return 0
}

func (a *allowance) giveBack(interval time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.full = a.full.Add(-interval)
}
