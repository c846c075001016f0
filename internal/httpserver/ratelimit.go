package httpserver

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"galaxygate/internal/audit"
	"galaxygate/internal/graphqlhttp"
)

// maxCallers bounds how many callers are remembered; the least frequent are
// forgotten, and start with a full allowance again.
const maxCallers = 100_000

// limitRate refuses requests of a caller beyond perMinute, as a token bucket of
// that size, but none to the unlimited paths. 0 is no limit.
func limitRate(perMinute int, key func(*http.Request) string, unlimited []string, now func() time.Time) Middleware {
	if perMinute == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	limiters := otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: maxCallers})
	fresh := func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(float64(perMinute)/time.Minute.Seconds()), perMinute), false
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slices.Contains(unlimited, r.URL.Path) {
				next.ServeHTTP(w, r)
				return
			}
			limiter, _ := limiters.ComputeIfAbsent(caller(r, key), fresh)
			at := now()
			reservation := limiter.ReserveN(at, 1)
			if wait := reservation.DelayFrom(at); wait > 0 {
				reservation.CancelAt(at)
				Refuse(w, r, graphqlhttp.Refusal{
					Status:     http.StatusTooManyRequests,
					Code:       graphqlhttp.CodeRateLimited,
					Message:    "Too many requests.",
					RetryAfter: wait,
				})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// caller is what the request counts for: its key, else its address. An IPv6
// client has a /64 to itself at least, so that counts as one.
func caller(r *http.Request, key func(*http.Request) string) string {
	if k := key(r); k != "" {
		return "key " + k
	}
	text := audit.ActorFrom(r.Context()).IPAddress
	if address, err := netip.ParseAddr(text); err == nil && address.Is6() {
		network, _ := address.Prefix(64) // never fails for an IPv6 address
		text = network.String()
	}
	return "address " + text
}
