package main

import (
	"context"
	"log/slog"
	"net/http"

	"galaxygate/graph"
	"galaxygate/internal/config"
	"galaxygate/internal/grant"
	"galaxygate/internal/graphqlhttp"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/persisted"
	"galaxygate/internal/plan"
	"galaxygate/internal/redis"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/telemetry"
	"galaxygate/internal/upstream"
	"galaxygate/internal/vault"
)

// ground is what the house is built on.
type ground struct {
	cfg     *config.Config
	db      *store.DB
	sealer  *vault.Vault
	metrics *telemetry.Metrics
	traces  *telemetry.Traces // nil: there are to be none
	logger  *slog.Logger
}

// house is what build built, as far as serve looks after it.
type house struct {
	redis       *redis.Client   // nil: there is none
	trusted     *persisted.File // nil: any operation may run
	provider    *passport.Client
	galaxy      *upstream.Galaxy
	sessions    *session.Manager
	revocations *grant.Revocations
	grants      *grant.Source
	keeper      *grant.Keeper
	housekeeper *store.Housekeeper
	signIn      *login.Handler
	planner     *plan.Planner
	answers     *upstream.Answers
	automatic   *persisted.Automatic
	limiter     *httpserver.RateLimiter
	streams     *graphqlhttp.Streams
	public      http.Handler
}

// build builds the rooms, in the order of their dependencies. The API and the public side
// come last and take the whole house.
func build(ctx context.Context, g ground) (*house, error) {
	shared, err := g.openRedis()
	if err != nil {
		return nil, err
	}
	trusted, err := g.loadDocuments(ctx)
	if err != nil {
		return nil, err
	}
	h := &house{redis: shared, trusted: trusted}
	requests := g.budget(shared)

	h.provider = g.provider()
	h.galaxy = g.galaxy()
	h.sessions = g.sessions()
	h.revocations = g.revocations(h.provider, h.galaxy, requests)
	h.grants = g.grants(h.provider, h.sessions, h.revocations)
	h.keeper = g.keeper(h.grants)
	h.housekeeper = g.housekeeper()
	g.hear(h.sessions, h.grants)

	h.signIn = g.signIn(h.provider, h.sessions)
	h.planner = plan.New(graph.Schema())
	h.answers = g.answers(shared)
	h.automatic = g.automatic()
	h.limiter = g.limiter(shared)
	h.streams = g.streams()
	api := g.api(h, requests)
	page, err := g.page()
	if err != nil {
		return nil, err
	}
	h.public = g.public(h, api, page)
	return h, nil
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
