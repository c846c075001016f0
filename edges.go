package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/budget"
	"galaxygate/internal/graphqlhttp"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/persisted"
	"galaxygate/internal/plan"
	"galaxygate/internal/playground"
	"galaxygate/internal/redis"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// The rooms that clients see, and what they are told of who is calling.

func (g ground) signIn(provider *passport.Client, sessions *session.Manager) *login.Handler {
	return &login.Handler{
		Provider:  provider,
		Store:     g.db,
		Grants:    g.db,
		Outbox:    g.db,
		Sessions:  sessions,
		Audit:     g.db,
		PublicURL: g.cfg.PublicURL,
		Returns:   g.cfg.AllowedRedirects,
		Clients:   g.cfg.NativeClients,
		Pages:     g.cfg.AllowedOrigins,
		Scopes:    g.cfg.Scopes,
		Now:       time.Now,
		Logger:    g.logger,
	}
}

func (g ground) automatic() *persisted.Automatic {
	automatic := persisted.NewAutomatic(g.cfg.MaxBodyBytes)
	g.metrics.Gauge("galaxygate_automatic_documents_bytes", "About how much memory automatic persisted queries take.",
		func() float64 { return float64(automatic.Bytes()) })
	return automatic
}

func (g ground) limiter(shared *redis.Client) *httpserver.RateLimiter {
	limits := httpserver.RateLimits{PerMinute: g.cfg.RateLimit, Key: sessionKey, Now: time.Now}
	if shared != nil && g.cfg.RateLimit > 0 {
		limits.Shared = shared.Counter(g.cfg.RateLimit)
	}
	return httpserver.NewRateLimiter(limits)
}

func (g ground) streams() *graphqlhttp.Streams {
	streams := graphqlhttp.NewStreams(graphqlhttp.StreamLimits{
		All: g.cfg.MaxStreams, PerCaller: g.cfg.MaxStreamsPerCaller, Caller: callerOf,
	})
	g.metrics.Gauge("galaxygate_websockets", "Open WebSocket connections.",
		func() float64 { return float64(streams.Open(graphqlhttp.OverWebSocket)) })
	g.metrics.Gauge("galaxygate_event_streams", "Open subscriptions by server-sent events.",
		func() float64 { return float64(streams.Open(graphqlhttp.OverEvents)) })
	return streams
}

// api is the GraphQL API, by each transport that carries it. The last takes what the
// others leave.
func (g ground) api(h *house, requests *budget.Budget) http.Handler {
	api := graph.NewServer(graph.Config{
		Resolver:      g.resolver(h, requests),
		Introspection: g.cfg.Introspection,
		Limits: graph.Limits{
			Depth:      g.cfg.MaxDepth,
			Cost:       g.cfg.MaxComplexity,
			Aliases:    g.cfg.MaxAliases,
			RootFields: g.cfg.MaxRootFields,
			Tokens:     g.cfg.MaxTokens,
		},
		Timeout:   g.cfg.OperationTimeout,
		TellCost:  g.cfg.Development,
		Documents: graph.Documents{Trusted: h.trusted, Automatic: g.automatic(), Observe: g.metrics.Persisted},
		Tracer:    g.traces.Tracer(),
	})
	api.AddTransport(graphqlhttp.WebSocket{
		Allowed: func(origin string) bool {
			return origin == g.cfg.PublicURL.String() || slices.Contains(g.cfg.AllowedOrigins, origin)
		},
		MaxMessageBytes: g.cfg.MaxBodyBytes,
		Streams:         h.streams,
		Callers:         callers(h.sessions, h.limiter, g.logger),
		Closed: func(ctx context.Context, code int) {
			g.logger.InfoContext(ctx, "websocket closed", "code", code)
		},
	})
	api.AddTransport(graphqlhttp.Events{MaxBodyBytes: g.cfg.MaxBodyBytes, Streams: h.streams, Ended: h.sessions.Over})
	api.AddTransport(graphqlhttp.Transport{MaxBodyBytes: g.cfg.MaxBodyBytes, Profile: graphqlhttp.Profile(g.cfg.HTTPProfile)})
	return api
}

func (g ground) resolver(h *house, requests *budget.Budget) *graph.Resolver {
	return &graph.Resolver{
		Planner: plan.New(graph.Schema()),
		Upstream: &upstream.Client{
			Tokens:   h.grants,
			UserInfo: upstream.GuardUserInfo(h.provider, g.metrics),
			Galaxy:   h.galaxy,
			Answers:  h.answers,
			Writes:   g.db,
			Budget:   requests,
			Patience: g.cfg.GalaxyWait,
			Observer: g.metrics,
			Logger:   g.logger,
		},
		Grants:    h.grants,
		Revoker:   h.grants,
		Manager:   h.sessions,
		Audit:     g.db,
		Events:    g.db,
		PublicURL: g.cfg.PublicURL,
		Returns:   g.cfg.AllowedRedirects,
		Now:       time.Now,
		Logger:    g.logger,
	}
}

func (g ground) page() (http.Handler, error) {
	page, err := playground.Handler(playground.Options{
		Playground:    g.cfg.Playground,
		TrustedOnly:   g.cfg.TrustedDocuments != "",
		Introspection: g.cfg.Introspection,
		Origin:        g.cfg.PublicURL.String(),
		SignedIn:      signedInAs,
	})
	if err != nil {
		return nil, fmt.Errorf("build playground: %w", err)
	}
	return page, nil
}

// public is the side of the gateway that browsers, apps and routers see.
func (g ground) public(h *house, api, page http.Handler) http.Handler {
	routes := h.signIn.Routes()
	routes[graphqlhttp.Path] = api
	routes["GET /{$}"] = page
	routes["GET "+playground.AssetsPath] = page
	return httpserver.Public{
		Routes:         routes,
		Origin:         g.cfg.PublicURL.String(),
		AllowedOrigins: g.cfg.AllowedOrigins,
		Opened:         "/auth/",
		SessionCookie:  h.sessions.CookieName(),
		TrustedProxies: g.cfg.TrustedProxies,
		Session:        h.sessions.Middleware,
		Remembers:      h.sessions.Remembers,
		Limiter:        h.limiter,
		Unlimited:      []string{login.BackChannelLogout},
		Trace:          g.traces.Request,
		Observe:        g.metrics.ObserveRequest,
		Logger:         g.logger,
		Now:            time.Now,
	}.Handler()
}

// unavailable answers a request whose session cannot be looked up.
func unavailable(w http.ResponseWriter, r *http.Request) {
	httpserver.Refuse(w, r, graphqlhttp.Unavailable())
}

// sessionKey is what a caller's rate is limited by, where there is a session.
func sessionKey(ctx context.Context) string {
	s, _ := session.FromContext(ctx)
	return s.ID
}

// callerOf is whose stream the context's is.
func callerOf(ctx context.Context) string {
	if s, ok := session.FromContext(ctx); ok {
		return "session " + s.ID
	}
	return "address " + httpserver.CallerAddress(ctx)
}

// callers tells WebSocket connections who is calling.
func callers(sessions *session.Manager, limiter *httpserver.RateLimiter, logger *slog.Logger) graphqlhttp.Callers {
	explain := func(ctx context.Context, err error) error {
		switch {
		case errors.Is(err, session.ErrNotFound):
			return graphqlhttp.ErrSignedOut
		case err != nil && ctx.Err() == nil:
			logger.ErrorContext(ctx, "session not looked up", "error", err)
		}
		return err
	}
	return graphqlhttp.Callers{
		Authenticate: func(ctx context.Context, authorization string) (context.Context, error) {
			known, err := sessions.WithBearer(ctx, authorization)
			return known, explain(ctx, err)
		},
		Confirm: func(ctx context.Context) error { return explain(ctx, sessions.Renew(ctx)) },
		Ended:   sessions.Over,
		Admit:   limiter.Admit,
	}
}

// signedInAs is how the start page calls the user.
func signedInAs(ctx context.Context) (string, bool) {
	s, ok := session.FromContext(ctx)
	return s.Subject, ok
}
