package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/background"
	"galaxygate/internal/cache"
	"galaxygate/internal/config"
	"galaxygate/internal/grant"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/keyring"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/playground"
	"galaxygate/internal/retry"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/telemetry"
	"galaxygate/internal/upstream"
	"galaxygate/internal/vault"
)

// settleLimit bounds how long refreshes and revocations may take to finish
// after the last request has: longer than a lease.
const settleLimit = 20 * time.Second

// taskRetry is when a failed background task is begun again.
const taskRetry = 5 * time.Second

// serve opens what the gateway needs, serves until ctx ends, and closes it in
// the opposite order.
func serve(ctx context.Context, cfg config.Config, stdout, stderr io.Writer) error {
	logger := telemetry.NewLogger(stderr, cfg.LogLevel, telemetry.Format(cfg.LogFormat))
	for _, name := range cfg.Ineffective {
		logger.WarnContext(ctx, "variable has no effect in this version", "name", name)
	}
	if !cfg.Development && !cfg.Given("PUBLIC_URL") {
		logger.WarnContext(ctx, "PUBLIC_URL is not set: only browsers on this machine can sign in", "public_url", cfg.PublicURL.String())
	}
	public, err := httpserver.Listen(ctx, cfg.Addr)
	if err != nil {
		return fmt.Errorf("ADDR: %w", err)
	}
	defer public.Close()
	admin, err := httpserver.Listen(ctx, cfg.AdminAddr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	defer admin.Close()
	if cfg.Development {
		embedded, err := develop(ctx, &cfg, public.Addr(), logger)
		if err != nil {
			return err
		}
		defer embedded.Close(ctx)
		if err := embedded.announce(stdout, &cfg); err != nil {
			return err
		}
	}
	keyset, sealer, err := openVault(ctx, &cfg)
	if err != nil {
		return err
	}
	db, err := openStore(ctx, &cfg, sealer, logger)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	metrics := telemetry.NewMetrics()
	metrics.Count("galaxygate_grants", "Stored grants, by status.", "status", db.GrantsByStatus)
	h, err := build(&cfg, db, metrics, logger)
	if err != nil {
		return err
	}
	defer h.close()

	health := &httpserver.Health{Checks: map[string]func(context.Context) error{
		"database": db.Ping,
		"provider": func(context.Context) error { return h.provider.Ready() },
	}}
	server := &httpserver.Server{
		PublicListener: public,
		Public:         h.public,
		AdminListener:  admin,
		Admin:          httpserver.Admin(health, metrics.Handler()),
		Health:         health,
		Grace:          cfg.ShutdownGrace,
		Logger:         logger,
	}
	tasks := map[string]func(context.Context) error{
		"database notifications": db.Run,
		"provider discovery":     h.provider.Run,
	}
	if file, ok := keyset.(*keyring.File); ok {
		reloader := &keyring.Reloader{File: file, Vault: sealer, Check: db.AcceptsKeyset, Every: keysetPoll, Logger: logger}
		tasks["keyset reload"] = reloader.Run
	}
	stop := inBackground(ctx, logger, tasks)
	defer stop()
	stopSweep := inBackground(ctx, logger, map[string]func(context.Context) error{
		"keeping grants alive": h.keeper.Run,
		"housekeeping":         h.housekeeper.Run,
	})
	defer stopSweep()
	stopRevoking := inBackground(ctx, logger, map[string]func(context.Context) error{"revocations": h.revocations.Run})
	logger.InfoContext(ctx, "serving", "address", public.Addr().String(),
		"admin_address", admin.Addr().String(), "public_url", cfg.PublicURL.String())
	err = server.Run(ctx)
	stopSweep() // it begins refreshes

	// No request is left. What requests began is finished before the database
	// is closed: a refresh token that was presented has a successor to store.
	var revoking background.Group
	revoking.Go(stopRevoking)
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	err = errors.Join(err, h.grants.Wait(settle), revoking.Wait(settle))
	logger.InfoContext(ctx, "stopped")
	return err
}

// house is what build built, as far as serve looks after it.
type house struct {
	provider    *passport.Client
	galaxy      *upstream.Galaxy
	sessions    *session.Manager
	grants      *grant.Source
	keeper      *grant.Keeper
	revocations *grant.Revocations
	housekeeper *store.Housekeeper
	public      http.Handler
}

// close ends what the rooms keep running.
func (h *house) close() {
	h.galaxy.Close()
	h.sessions.Cache.Close()
	h.grants.Cache.Close()
}

// build builds the rooms on the database, in the order of their dependencies.
func build(cfg *config.Config, db *store.DB, metrics *telemetry.Metrics, logger *slog.Logger) (*house, error) {
	provider := passport.New(passport.Config{
		Issuer:       cfg.Issuer,
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret,
		RedirectURL:  cfg.PublicURL.JoinPath("/auth/callback").String(),
		RequireNonce: cfg.RequireNonce,
		AssumedLife:  cfg.AssumedLife,
		RefreshLife:  cfg.RefreshLife,
		Logger:       logger,
	})
	galaxy := upstream.NewGalaxy(upstream.GalaxyConfig{
		URL: cfg.GalaxyURL, APIKey: cfg.GalaxyAPIKey, Now: time.Now, Logger: logger,
	})
	sessions := &session.Manager{
		Store: db,
		Ender: db,
		Cache: session.NewCache(cfg.SessionIdle, cache.Options[session.Session]{
			Hearing: db.Hearing, Now: time.Now, Observe: metrics.ObserveSessionCache,
		}),
		IdleTimeout: cfg.SessionIdle,
		Lifetime:    cfg.SessionLife,
		Secure:      cfg.Secure(),
		Unavailable: http.HandlerFunc(unavailable),
		Now:         time.Now,
		Logger:      logger,
	}
	revocations := &grant.Revocations{
		Outbox:     db,
		Claims:     db,
		Refresher:  provider,
		Revoker:    provider,
		Withdrawer: upstream.AppRevoker{Galaxy: galaxy, ClientID: cfg.ClientID},
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
		Now:       time.Now,
		Logger:    logger,
	}
	housekeeper := &store.Housekeeper{
		DB:               db,
		Interval:         cfg.SweepInterval,
		SessionRetention: cfg.SessionRetention,
		AuditRetention:   cfg.AuditRetention,
		Now:              time.Now,
		Logger:           logger,
	}
	db.Subscribe(store.Listener{
		GrantChanged: grants.Cache.Forget,
		SessionEnded: sessions.Cache.Forget,
		Settle:       grants.Drain,
		Missed: func() {
			grants.Cache.ForgetAll()
			sessions.Cache.ForgetAll()
		},
	})
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
	api := graph.NewServer(graph.Config{
		Resolver: &graph.Resolver{
			Upstream:  &upstream.Client{Tokens: grants, UserInfo: provider, Galaxy: galaxy},
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
		MaxDepth:      cfg.MaxDepth,
		MaxComplexity: cfg.MaxComplexity,
		MaxTokens:     cfg.MaxTokens,
		Timeout:       cfg.OperationTimeout,
	})
	api.AddTransport(httpserver.Transport{MaxBodyBytes: cfg.MaxBodyBytes})
	page, err := playground.Handler(playground.Options{Playground: cfg.Playground, SignedIn: signedInAs})
	if err != nil {
		return nil, fmt.Errorf("build playground: %w", err)
	}
	routes := signIn.Routes()
	routes[httpserver.GraphQLPath] = api
	routes["GET /{$}"] = page
	routes["GET "+playground.AssetsPath] = page

	handler := httpserver.Public{
		Routes:         routes,
		Origin:         cfg.PublicURL.String(),
		AllowedOrigins: cfg.AllowedOrigins,
		SessionCookie:  sessions.CookieName(),
		TrustedProxies: cfg.TrustedProxies,
		Session:        sessions.Middleware,
		RateLimit:      cfg.RateLimit,
		RateKey:        sessionKey,
		Unlimited:      []string{login.BackChannelLogout},
		Observe:        metrics.ObserveRequest,
		Logger:         logger,
		Now:            time.Now,
	}.Handler()
	return &house{
		provider: provider, galaxy: galaxy, sessions: sessions, grants: grants,
		keeper: keeper, revocations: revocations, housekeeper: housekeeper, public: handler,
	}, nil
}

// openStore opens the database and makes sure that it can be served from: its
// schema is the binary's, and the keyset opens what it holds.
func openStore(ctx context.Context, cfg *config.Config, sealer *vault.Vault, logger *slog.Logger) (*store.DB, error) {
	db, err := store.Open(cfg.DatabaseURL.Reveal(), sealer, logger)
	if err != nil {
		return nil, err
	}
	if cfg.AutoMigrate {
		err = db.Migrate(ctx)
	} else {
		err = db.SchemaCurrent(ctx)
	}
	if err == nil {
		err = db.CheckKeyset(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// inBackground runs the tasks, again where they fail, until stop is called, which
// waits for them.
func inBackground(ctx context.Context, logger *slog.Logger, tasks map[string]func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for name, task := range tasks {
		running.Go(func() {
			for err := task(ctx); err != nil && ctx.Err() == nil; err = task(ctx) {
				logger.ErrorContext(ctx, "background task failed", "task", name, "error", err)
				select {
				case <-ctx.Done():
				case <-time.After(retry.Jitter(taskRetry)):
				}
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// unavailable answers a request whose session cannot be looked up.
func unavailable(w http.ResponseWriter, r *http.Request) {
	httpserver.Refuse(w, r, httpserver.Refusal{
		Status:     http.StatusServiceUnavailable,
		Code:       "INTERNAL_SERVER_ERROR",
		Message:    "The service is not available right now. You are not signed out.",
		RetryAfter: time.Second,
	})
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

// sessionKey is what a request's rate is limited by, where it has a session.
func sessionKey(r *http.Request) string {
	s, _ := session.FromContext(r.Context())
	return s.ID
}

// signedInAs is how the start page calls the user.
func signedInAs(ctx context.Context) (string, bool) {
	s, ok := session.FromContext(ctx)
	return s.Subject, ok
}
