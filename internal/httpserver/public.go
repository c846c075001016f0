package httpserver

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Middleware is a layer around a handler.
type Middleware func(http.Handler) http.Handler

// Public is the side of the gateway that browsers, apps and routers see. All
// fields are required but those that say otherwise.
type Public struct {
	// Routes are the handlers by http.ServeMux pattern.
	Routes map[string]http.Handler
	// Origin is the scheme and host that browsers use for the gateway.
	Origin string
	// AllowedOrigins are the other origins whose pages may call with
	// credentials. It may be empty.
	AllowedOrigins []string
	// Opened begins the paths of pages that other origins open in a window of
	// their own, which may tell them when it is done.
	Opened string
	// SessionCookie is the name of the cookie whose requests are checked for
	// where they come from.
	SessionCookie string
	// TrustedProxies are the networks whose X-Forwarded-For is believed. It may
	// be empty.
	TrustedProxies []netip.Prefix
	// Session puts the request's session into its context.
	Session Middleware
	// Remembers reports whether the request's credentials are known to be somebody's,
	// or it has none: those that are not may be made up, and cost a look-up.
	Remembers func(*http.Request) bool
	// Limiter counts the requests; nil: nobody does.
	Limiter *RateLimiter
	// Unlimited are the paths whose requests count for nobody, unless they bring
	// credentials that nobody knows: those of a few senders who speak for many users.
	// It may be empty.
	Unlimited []string
	// Trace begins what traces a request whose route is the pattern that matched, and
	// that came from a trusted proxy or not. It returns the request's context, and what
	// is told the status when the request ends. It may be nil.
	Trace func(ctx context.Context, r *http.Request, route string, trusted bool) (_ context.Context, end func(status int))
	// Observe is told of each request but streams how it ended: the pattern of its route,
	// empty where none matched, the status, and how long it took. It may be nil.
	Observe func(route string, status int, took time.Duration)
	Logger  *slog.Logger
	Now     func() time.Time
}

// Handler returns the routes behind everything that a request passes on its
// way to them, first to last.
func (p Public) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range p.Routes {
		mux.Handle(pattern, handler)
	}
	route := func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		return pattern
	}
	return chain(mux,
		identify(p.TrustedProxies),
		p.observe(route),
		secure(p.Origin, p.Opened),
		shareWith(p.AllowedOrigins),
		refuseForeign(p.SessionCookie, append([]string{p.Origin}, p.AllowedOrigins...)),
		p.Limiter.strangers(p.Remembers),
		p.Session,
		p.Limiter.members(p.Unlimited),
		compress,
	)
}

// chain puts the layers around h, the first one outermost.
func chain(h http.Handler, layers ...Middleware) http.Handler {
	for i := len(layers) - 1; i >= 0; i-- {
		h = layers[i](h)
	}
	return h
}
