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
	"galaxygate/internal/cache"
	"galaxygate/internal/config"
	"galaxygate/internal/grant"
	"galaxygate/internal/graphqlhttp"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/persisted"
	"galaxygate/internal/plan"
	"galaxygate/internal/playground"
	"galaxygate/internal/redis"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/telemetry"
	"galaxygate/internal/upstream"
	"galaxygate/internal/vault"
)

// house is what build built, as far as serve looks after it.
type house struct {
	provider    *passport.Client
	galaxy      *upstream.Galaxy
	planner     *plan.Planner
	answers     *upstream.Answers
	trusted     *persisted.File // nil: any operation may run
	automatic   *persisted.Automatic
	sessions    *session.Manager
	signIn      *login.Handler
	grants      *grant.Source
	keeper      *grant.Keeper
	revocations *grant.Revocations
	housekeeper *store.Housekeeper
	limiter     *httpserver.RateLimiter
	redis       *redis.Client // nil: there is none
	streams     *graphqlhttp.Streams
	public      http.Handler
}

// close ends what the rooms keep running.
func (h *house) close() {
	h.planner.Close()
	h.answers.Close()
	h.limiter.Settle()
	h.automatic.Close()
	if h.redis != nil {
		_ = h.redis.Close()
	}
	h.galaxy.Close()
	h.sessions.Cache.Close()
	h.grants.Cache.Close()
}

// build builds the rooms on the database, in the order of their dependencies.
func build(
	ctx context.Context, cfg *config.Config, db *store.DB, sealer *vault.Vault, metrics *telemetry.Metrics,
	traces *telemetry.Traces, logger *slog.Logger,
) (*house, error) {
	shared, err := openRedis(cfg, sealer, metrics, logger)
	if err != nil {
		return nil, err
	}
	trusted, err := loadDocuments(ctx, cfg, metrics, logger)
	if err != nil {
		return nil, err
	}
	provider := passport.New(passport.Config{
		Issuer:       cfg.Issuer,
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret,
		RedirectURL:  cfg.PublicURL.JoinPath("/auth/callback").String(),
		RequireNonce: cfg.RequireNonce,
		AssumedLife:  cfg.AssumedLife,
		RefreshLife:  cfg.RefreshLife,
		Watch:        watched(traces, "passport"),
		Logger:       logger,
	})
	galaxy := upstream.NewGalaxy(upstream.GalaxyConfig{
		URL: cfg.GalaxyURL, APIKey: cfg.GalaxyAPIKey, Now: time.Now, Logger: logger, Observer: metrics,
		Watch: watched(traces, "galaxy"),
	})
	sessions := &session.Manager{
		Store: db,
		Ender: db,
		Cache: session.NewCache(cfg.SessionIdle, cache.Options[session.Session]{
			Hearing: db.Hearing, Now: time.Now, Observe: metrics.ObserveSessionCache,
		}),
		Lookout:     session.NewLookout(db, db.Hearing, time.Now, logger),
		IdleTimeout: cfg.SessionIdle,
		Lifetime:    cfg.SessionLife,
		Secure:      cfg.Secure(),
		Unavailable: http.HandlerFunc(unavailable),
		Now:         time.Now,
		Logger:      logger,
	}
	limit := budget.Config{PerMinute: cfg.GalaxyRate}
	var shelf upstream.Shelf
	if shared != nil {
		shelf = shared
		if cfg.GalaxyRate > 0 {
			limit.Shared = shared.Bucket(cfg.GalaxyURL+" "+cfg.ClientID, cfg.GalaxyRate)
		}
	}
	requests := budget.New(limit)
	revocations := &grant.Revocations{
		Outbox:     db,
		Claims:     db,
		Refresher:  provider,
		Revoker:    provider,
		Withdrawer: upstream.AppRevoker{Galaxy: galaxy, ClientID: cfg.ClientID, Budget: requests},
		Observe:    metrics.Revoked,
		Now:        time.Now,
		Logger:     logger,
	}
	grants := &grant.Source{
		Store: db,
		Cache: grant.NewCache(cache.Options[grant.Grant]{
			Hearing: db.Hearing, Now: time.Now, Observe: metrics.ObserveGrantCache,
		}),
		Confirm:     confirm(sessions),
		Leases:      db,
		Refresher:   provider,
		Revocations: revocations,
		Names:       passport.Names,
		Early:       cfg.RefreshEarly,
		Now:         time.Now,
		Logger:      logger,
		Observer:    metrics,

		RotationGrace: cfg.RotationGrace,
	}
	keeper := &grant.Keeper{
		Due:       db,
		Source:    grants,
		Interval:  cfg.SweepInterval,
		PerMinute: cfg.SweepRate,
		Observe:   metrics.KeptAlive,
		Now:       time.Now,
		Logger:    logger,
	}
	housekeeper := &store.Housekeeper{
		DB:               db,
		Interval:         cfg.SweepInterval,
		SessionRetention: cfg.SessionRetention,
		AuditRetention:   cfg.AuditRetention,
		Observe:          metrics.Tidied,
		Now:              time.Now,
		Logger:           logger,
	}
	db.Subscribe(store.Listener{
		GrantChanged: grants.Cache.Forget,
		SessionEnded: sessions.Forget,
		Settle:       grants.Drain,
		Missed: func() {
			grants.Cache.ForgetAll()
			sessions.ForgetAll()
		},
	})
	metrics.Gauge("galaxygate_session_watchers", "Connections and subscriptions that wait for the end of their session.",
		func() float64 { return float64(sessions.Lookout.Watchers()) })
	signIn := &login.Handler{
		Provider:  provider,
		Store:     db,
		Grants:    db,
		Outbox:    db,
		Sessions:  sessions,
		Audit:     db,
		PublicURL: cfg.PublicURL,
		Returns:   cfg.AllowedRedirects,
		Scopes:    cfg.Scopes,
		Now:       time.Now,
		Logger:    logger,
	}
	limits := httpserver.RateLimits{PerMinute: cfg.RateLimit, Key: sessionKey, Now: time.Now}
	if shared != nil && cfg.RateLimit > 0 {
		limits.Shared = shared.Counter(cfg.RateLimit)
	}
	limiter := httpserver.NewRateLimiter(limits)
	planner := plan.New(graph.Schema())
	answers := upstream.NewAnswers(cfg.GalaxyCache, cfg.GalaxyCacheBytes, shelf, time.Now)
	answers.Observer = metrics
	metrics.Gauge("galaxygate_answers_bytes", "About how much memory the kept answers take.",
		func() float64 { return float64(answers.Bytes()) })
	automatic := persisted.NewAutomatic(cfg.MaxBodyBytes)
	metrics.Gauge("galaxygate_automatic_documents_bytes", "About how much memory automatic persisted queries take.",
		func() float64 { return float64(automatic.Bytes()) })
	api := graph.NewServer(graph.Config{
		Resolver: &graph.Resolver{
			Planner: planner,
			Upstream: &upstream.Client{
				Tokens:   grants,
				UserInfo: upstream.GuardUserInfo(provider, metrics),
				Galaxy:   galaxy,
				Answers:  answers,
				Writes:   db,
				Budget:   requests,
				Patience: cfg.GalaxyWait,
				Observer: metrics,
				Logger:   logger,
			},
			Grants:    grants,
			Revoker:   grants,
			Manager:   sessions,
			Audit:     db,
			Events:    db,
			PublicURL: cfg.PublicURL,
			Returns:   cfg.AllowedRedirects,
			Now:       time.Now,
			Logger:    logger,
		},
		Introspection: cfg.Introspection,
		Limits: graph.Limits{
			Depth:      cfg.MaxDepth,
			Cost:       cfg.MaxComplexity,
			Aliases:    cfg.MaxAliases,
			RootFields: cfg.MaxRootFields,
			Tokens:     cfg.MaxTokens,
		},
		Timeout:   cfg.OperationTimeout,
		TellCost:  cfg.Development,
		Documents: graph.Documents{Trusted: trusted, Automatic: automatic, Observe: metrics.Persisted},
		Tracer:    traces.Tracer(),
	})
	streams := graphqlhttp.NewStreams(graphqlhttp.StreamLimits{
		All: cfg.MaxStreams, PerCaller: cfg.MaxStreamsPerCaller, Caller: callerOf,
	})
	metrics.Gauge("galaxygate_websockets", "Open WebSocket connections.",
		func() float64 { return float64(streams.Open(graphqlhttp.OverWebSocket)) })
	metrics.Gauge("galaxygate_event_streams", "Open subscriptions by server-sent events.",
		func() float64 { return float64(streams.Open(graphqlhttp.OverEvents)) })
	api.AddTransport(graphqlhttp.WebSocket{
		Allowed: func(origin string) bool {
			return origin == cfg.PublicURL.String() || slices.Contains(cfg.AllowedOrigins, origin)
		},
		MaxMessageBytes: cfg.MaxBodyBytes,
		Streams:         streams,
		Callers:         callers(sessions, limiter, logger),
	})
	api.AddTransport(graphqlhttp.Events{MaxBodyBytes: cfg.MaxBodyBytes, Streams: streams, Ended: sessions.Over})
	api.AddTransport(graphqlhttp.Transport{MaxBodyBytes: cfg.MaxBodyBytes, Profile: graphqlhttp.Profile(cfg.HTTPProfile)})
	page, err := playground.Handler(playground.Options{Playground: cfg.Playground, SignedIn: signedInAs})
	if err != nil {
		return nil, fmt.Errorf("build playground: %w", err)
	}
	routes := signIn.Routes()
	routes[graphqlhttp.Path] = api
	routes["GET /{$}"] = page
	routes["GET "+playground.AssetsPath] = page

	handler := httpserver.Public{
		Routes:         routes,
		Origin:         cfg.PublicURL.String(),
		AllowedOrigins: cfg.AllowedOrigins,
		Opened:         "/auth/",
		SessionCookie:  sessions.CookieName(),
		TrustedProxies: cfg.TrustedProxies,
		Session:        sessions.Middleware,
		Remembers:      sessions.Remembers,
		Limiter:        limiter,
		Unlimited:      []string{login.BackChannelLogout},
		Trace:          traces.Request,
		Observe:        metrics.ObserveRequest,
		Logger:         logger,
		Now:            time.Now,
	}.Handler()
	return &house{
		provider: provider, galaxy: galaxy, planner: planner, answers: answers,
		trusted: trusted, automatic: automatic, sessions: sessions, signIn: signIn, grants: grants,
		keeper: keeper, revocations: revocations, housekeeper: housekeeper, limiter: limiter, redis: shared,
		streams: streams, public: handler,
	}, nil
}

// watched traces the calls to that service.
func watched(traces *telemetry.Traces, service string) func(string, http.RoundTripper) http.RoundTripper {
	return func(call string, base http.RoundTripper) http.RoundTripper {
		return traces.Transport(service, call, base)
	}
}

// openRedis returns a client of what the replicas share; nil where that is nothing.
func openRedis(
	cfg *config.Config, sealer *vault.Vault, metrics *telemetry.Metrics, logger *slog.Logger,
) (*redis.Client, error) {
	if cfg.RedisURL.IsZero() {
		return nil, nil
	}
	client, err := redis.Open(redis.Config{
		URL: cfg.RedisURL, Sealer: sealer, Observe: metrics.RedisAway, Now: time.Now, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	return client, nil
}

// checkRedis says what is wrong with REDIS_URL, as far as that shows without Redis.
func checkRedis(cfg *config.Config) error {
	if cfg.RedisURL.IsZero() {
		return nil
	}
	if err := redis.CheckURL(cfg.RedisURL); err != nil {
		return fmt.Errorf("REDIS_URL: %w", err)
	}
	return nil
}

// unavailable answers a request whose session cannot be looked up.
func unavailable(w http.ResponseWriter, r *http.Request) {
	httpserver.Refuse(w, r, graphqlhttp.Unavailable())
}

// confirm says that the user has signed out where the request's session has ended
// since it began.
func confirm(sessions *session.Manager) func(context.Context) error {
	return func(ctx context.Context) error {
		err := sessions.Confirm(ctx)
		if errors.Is(err, session.ErrNotFound) {
			return grant.ErrSignedOut
		}
		return err
	}
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
