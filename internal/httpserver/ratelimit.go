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
	"galaxygate/internal/errcode"
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
	// Shared counts for all replicas; nil: each counts for itself.
	Shared Shared
	Now    func() time.Time
}

// Shared counts what the callers of all replicas ask for.
type Shared interface {
	// Count counts n requests of the caller, and returns how long it is until there
	// may be another; 0 where there may be one now. After an error the replica counts
	// for itself.
	Count(ctx context.Context, caller string, n int) (time.Duration, error)
}

// Shared is told in batches of a twentieth of a minute's requests, and by so many at
// once. Nobody waits for that, and it knows a little late of what a replica admitted.
const (
	sharedBatches = 20
	sharedAtOnce  = 4
)

// RateLimiter counts what callers ask for. It is safe for concurrent use. One that is
// nil admits everything.
type RateLimiter struct {
	limits   RateLimits
	interval time.Duration // in which an allowance grows by one
	callers  *otter.Cache[string, *allowance]
	places   chan struct{} // one for each who tells Shared
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
		places:   make(chan struct{}, sharedAtOnce),
	}
}

// Settle waits until Shared has been told what it is being told.
func (l *RateLimiter) Settle() {
	if l == nil {
		return
	}
	for range cap(l.places) {
		l.places <- struct{}{}
	}
	for range cap(l.places) {
		<-l.places
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
		return l.take(ctx, l.of("key "+key))
	}
	return l.take(ctx, l.ofAddress(ctx))
}

func (l *RateLimiter) take(ctx context.Context, a *allowance) *graphqlhttp.Refusal {
	wait := a.take(l.limits.Now(), l.interval, l.limits.PerMinute)
	if wait <= 0 {
		l.tell(ctx, a)
		return nil
	}
	return &graphqlhttp.Refusal{
		Status:     http.StatusTooManyRequests,
		Code:       errcode.RateLimited,
		Message:    "Too many requests.",
		RetryAfter: wait,
	}
}

// tell tells Shared what was taken, in the background, where that is worth while.
func (l *RateLimiter) tell(ctx context.Context, a *allowance) {
	if l.limits.Shared == nil {
		return
	}
	select {
	case l.places <- struct{}{}:
	default:
		return // another time: Redis has more to do than this
	}
	n := a.untold(max(1, l.limits.PerMinute/sharedBatches))
	if n == 0 {
		<-l.places
		return
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer func() { <-l.places }()
		if wait, err := l.limits.Shared.Count(ctx, a.name, n); err == nil && wait > 0 {
			a.pause(l.limits.Now().Add(wait), l.interval, l.limits.PerMinute)
		}
	}()
}

// of returns the allowance of the caller of that name.
func (l *RateLimiter) of(name string) *allowance {
	a, _ := l.callers.ComputeIfAbsent(name, func() (*allowance, bool) { return &allowance{name: name}, false })
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
			if refusal := l.take(r.Context(), address); refusal != nil {
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
	name string // the caller's

	mu sync.Mutex
	// full is when the bucket is full, if nothing more is taken: it lacks a token for
	// each interval until then.
	full time.Time
	// taken is how many were taken since Shared was told, which told says it ever was.
	taken int
	told  bool
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
	a.taken++
	return 0
}

// untold returns how many were taken that Shared was not told of, and takes them for
// told; 0 where they are fewer than a batch. The first is told at once: the caller may
// have used up everything elsewhere.
func (a *allowance) untold(batch int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.taken
	if n <= 0 || n < batch && a.told {
		return 0
	}
	a.taken, a.told = 0, true
	return n
}

// pause lets nothing be taken before that time.
func (a *allowance) pause(until time.Time, interval time.Duration, size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if full := until.Add(time.Duration(size-1) * interval); full.After(a.full) {
		a.full = full
	}
}

func (a *allowance) giveBack(interval time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.full = a.full.Add(-interval)
	a.taken--
}
