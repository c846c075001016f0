package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"galaxygate/internal/budget"
	"galaxygate/internal/cache"
	"galaxygate/internal/config"
	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/redis"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/upstream"
)

// The rooms that know no GraphQL, each as its place in the house wants it.

// openRedis returns a client of what the replicas share; nil where that is nothing.
func (g ground) openRedis() (*redis.Client, error) {
	if g.cfg.RedisURL.IsZero() {
		return nil, nil
	}
	client, err := redis.Open(redis.Config{
		URL: g.cfg.RedisURL, Sealer: g.sealer, Observe: g.metrics.RedisAway, Now: time.Now, Logger: g.logger,
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

// budget is how many requests Galaxy is sent, of all replicas where they share it.
func (g ground) budget(shared *redis.Client) *budget.Budget {
	limit := budget.Config{PerMinute: g.cfg.GalaxyRate}
	if shared != nil && g.cfg.GalaxyRate > 0 {
		limit.Shared = shared.Bucket(g.cfg.GalaxyURL+" "+g.cfg.ClientID, g.cfg.GalaxyRate)
	}
	return budget.New(limit)
}

func (g ground) provider() *passport.Client {
	return passport.New(passport.Config{
		Issuer:       g.cfg.Issuer,
		ClientID:     g.cfg.ClientID,
		ClientSecret: g.cfg.ClientSecret,
		RedirectURL:  g.cfg.PublicURL.JoinPath("/auth/callback").String(),
		RequireNonce: g.cfg.RequireNonce,
		AssumedLife:  g.cfg.AssumedLife,
		RefreshLife:  g.cfg.RefreshLife,
		Watch:        g.watched("passport"),
		Logger:       g.logger,
	})
}

func (g ground) galaxy() *upstream.Galaxy {
	return upstream.NewGalaxy(upstream.GalaxyConfig{
		URL:      g.cfg.GalaxyURL,
		APIKey:   g.cfg.GalaxyAPIKey,
		Watch:    g.watched("galaxy"),
		Observer: g.metrics,
		Now:      time.Now,
		Logger:   g.logger,
	})
}

// watched traces the calls to that service.
func (g ground) watched(service string) func(string, http.RoundTripper) http.RoundTripper {
	return func(call string, base http.RoundTripper) http.RoundTripper {
		return g.traces.Transport(service, call, base)
	}
}

func (g ground) sessions() *session.Manager {
	sessions := &session.Manager{
		Store: g.db,
		Ender: g.db,
		Cache: session.NewCache(g.cfg.SessionIdle, cache.Options[session.Session]{
			Hearing: g.db.Hearing, Now: time.Now, Observe: g.metrics.ObserveSessionCache,
		}),
		Lookout:     session.NewLookout(g.db, g.db.Hearing, time.Now, g.logger),
		IdleTimeout: g.cfg.SessionIdle,
		Lifetime:    g.cfg.SessionLife,
		Secure:      g.cfg.Secure(),
		Unavailable: http.HandlerFunc(unavailable),
		Now:         time.Now,
		Logger:      g.logger,
	}
	g.metrics.Gauge("galaxygate_session_watchers", "Connections and subscriptions that wait for the end of their session.",
		func() float64 { return float64(sessions.Lookout.Watchers()) })
	return sessions
}

func (g ground) revocations(
	provider *passport.Client, galaxy *upstream.Galaxy, requests *budget.Budget,
) *grant.Revocations {
	return &grant.Revocations{
		Outbox:     g.db,
		Claims:     g.db,
		Refresher:  provider,
		Revoker:    provider,
		Withdrawer: upstream.AppRevoker{Galaxy: galaxy, ClientID: g.cfg.ClientID, Budget: requests},
		Observe:    g.metrics.Revoked,
		Now:        time.Now,
		Logger:     g.logger,
	}
}

func (g ground) grants(
	provider *passport.Client, sessions *session.Manager, revocations *grant.Revocations,
) *grant.Source {
	return &grant.Source{
		Store: g.db,
		Cache: grant.NewCache(cache.Options[grant.Grant]{
			Hearing: g.db.Hearing, Now: time.Now, Observe: g.metrics.ObserveGrantCache,
		}),
		Confirm:     confirm(sessions),
		Leases:      g.db,
		Refresher:   provider,
		Revocations: revocations,
		Names:       passport.Names,
		Early:       g.cfg.RefreshEarly,
		Now:         time.Now,
		Logger:      g.logger,
		Observer:    g.metrics,

		RotationGrace: g.cfg.RotationGrace,
	}
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

func (g ground) keeper(grants *grant.Source) *grant.Keeper {
	return &grant.Keeper{
		Due:       g.db,
		Source:    grants,
		Interval:  g.cfg.SweepInterval,
		PerMinute: g.cfg.SweepRate,
		Observe:   g.metrics.KeptAlive,
		Now:       time.Now,
		Logger:    g.logger,
	}
}

func (g ground) housekeeper() *store.Housekeeper {
	return &store.Housekeeper{
		DB:               g.db,
		Interval:         g.cfg.SweepInterval,
		SessionRetention: g.cfg.SessionRetention,
		AuditRetention:   g.cfg.AuditRetention,
		Observe:          g.metrics.Tidied,
		Now:              time.Now,
		Logger:           g.logger,
	}
}

// hear has those who remember something told of what other replicas change.
func (g ground) hear(sessions *session.Manager, grants *grant.Source) {
	g.db.Subscribe(store.Listener{
		GrantChanged: grants.Cache.Forget,
		SessionEnded: sessions.Forget,
		Settle:       grants.Drain,
		Missed: func() {
			grants.Cache.ForgetAll()
			sessions.ForgetAll()
		},
	})
}

func (g ground) answers(shared *redis.Client) *upstream.Answers {
	var shelf upstream.Shelf
	if shared != nil {
		shelf = shared
	}
	answers := upstream.NewAnswers(g.cfg.GalaxyCache, g.cfg.GalaxyCacheBytes, shelf, time.Now)
	answers.Observer = g.metrics
	g.metrics.Gauge("galaxygate_answers_bytes", "About how much memory the kept answers take.",
		func() float64 { return float64(answers.Bytes()) })
	return answers
}
