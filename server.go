package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"galaxygate/internal/background"
	"galaxygate/internal/config"
	"galaxygate/internal/grant"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/keyring"
	"galaxygate/internal/retry"
	"galaxygate/internal/store"
	"galaxygate/internal/telemetry"
	"galaxygate/internal/vault"
)

// settleLimit bounds how long sign-ins, refreshes and revocations may take to finish
// after the last request has: longer than a lease.
const settleLimit = 20 * time.Second

// hearingLimit is for how long a process that begins does not serve because it
// does not hear yet of what other replicas change.
const hearingLimit = 5 * time.Second

// garbageRatio is GOGC where the operator has not set it. What lives in the
// gateway's heap is small, and most of what a request allocates dies with it: with
// Go's 100 the collector runs all the time, for a tenth of a request's cost.
const (
	garbageRatio = 400
	goDefault    = 100
)

// taskRetry is when a failed background task is begun again.
const taskRetry = 5 * time.Second

// serve opens what the gateway needs, serves until ctx ends, and closes it in
// the opposite order.
func serve(ctx context.Context, cfg config.Config, stdout, stderr io.Writer) error {
	if set := debug.SetGCPercent(garbageRatio); set != goDefault {
		debug.SetGCPercent(set)
	}
	logger := telemetry.NewLogger(stderr, cfg.LogLevel, telemetry.Format(cfg.LogFormat))
	warn(ctx, &cfg, logger)
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
	metrics := newMetrics(db)
	traces, err := startTraces(ctx, &cfg, db.ReplicaID(), stdout, logger)
	if err != nil {
		return err
	}
	defer traces.Close(ctx)
	g := ground{cfg: &cfg, db: db, sealer: sealer, metrics: metrics, traces: traces, logger: logger}
	h, err := build(ctx, g)
	if err != nil {
		return err
	}
	defer h.close()
	if err := db.Announce(ctx); err != nil { // a database may be read-only
		logger.WarnContext(ctx, "replica not announced", "replica_id", db.ReplicaID(), "error", err)
	}
	tasks, err := h.tasks(ctx, g, keyset)
	if err != nil {
		return err
	}
	defer inBackground(ctx, logger, tasks)()
	awaitHearing(ctx, db, logger)

	health := &httpserver.Health{Checks: map[string]func(context.Context) error{
		"database": db.Ping,
		"provider": func(context.Context) error { return h.provider.Ready() },
	}}
	logger.InfoContext(ctx, "serving", "replica_id", db.ReplicaID(), "address", public.Addr().String(),
		"admin_address", admin.Addr().String(), "public_url", cfg.PublicURL.String())
	err = h.run(ctx, &httpserver.Server{
		PublicListener: public,
		Public:         h.public,
		AdminListener:  admin,
		Admin:          httpserver.Admin(health, metrics.Handler()),
		Health:         health,
		EndStreams:     h.streams.Close,
		Grace:          cfg.ShutdownGrace,
		Logger:         logger,
	}, logger)
	logger.InfoContext(ctx, "stopped")
	return err
}

// tasks are what goes on as long as the gateway serves, begun after the replica was
// announced.
func (h *house) tasks(ctx context.Context, g ground, keyset keyring.Keeper) (map[string]task, error) {
	tasks := map[string]task{
		"database notifications": g.db.Run,
		"provider discovery":     h.provider.Run,
		"ends of sessions":       h.sessions.Lookout.Run,
	}
	if h.trusted != nil {
		tasks["trusted documents reload"] = h.trusted.Run
	}
	if file, ok := keyset.(*keyring.File); ok {
		reloader := &keyring.Reloader{File: file, Vault: g.sealer, Check: g.db.AcceptsKeyset, Every: keysetPoll, Logger: g.logger}
		// Whoever rotates keys waits for this replica now. A key that was made
		// primary before is in the file.
		if err := reloader.Reload(ctx); err != nil {
			return nil, fmt.Errorf("TOKEN_KEYSET_FILE: %w", err)
		}
		tasks["keyset reload"] = reloader.Run
	}
	return tasks, nil
}

// run serves until ctx ends, and then finishes what was begun before the database
// is closed: a refresh token that was presented has a successor to store, and a
// code that was exchanged has tokens.
func (h *house) run(ctx context.Context, server *httpserver.Server, logger *slog.Logger) error {
	stopSweep := inBackground(ctx, logger, map[string]task{
		"keeping grants alive": h.keeper.Run,
		"housekeeping":         h.housekeeper.Run,
	})
	stopRevoking := inBackground(ctx, logger, map[string]task{"revocations": h.revocations.Run})
	err := server.Run(ctx) // afterwards no request is begun
	stopSweep()            // it begins refreshes
	var revoking background.Group
	revoking.Go(stopRevoking)
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	return errors.Join(err, h.signIn.Wait(settle), h.answers.Wait(settle), h.grants.Wait(settle), revoking.Wait(settle))
}

// awaitHearing keeps a replica from serving before it hears of what the others
// change, but not for ever.
func awaitHearing(ctx context.Context, db *store.DB, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, hearingLimit)
	defer cancel()
	if !db.AwaitHearing(ctx) {
		logger.WarnContext(ctx, "not hearing of changes: working without memory; "+
			"is DATABASE_URL a pooler's in transaction mode?", "replica_id", db.ReplicaID())
	}
}

// warn logs what is odd about the configuration.
func warn(ctx context.Context, cfg *config.Config, logger *slog.Logger) {
	if cfg.TrustedDocuments != "" && (cfg.Playground || cfg.Introspection) {
		logger.WarnContext(ctx, "PLAYGROUND and INTROSPECTION are of little use with TRUSTED_DOCUMENTS: nothing else runs",
			"playground", cfg.Playground, "introspection", cfg.Introspection)
	}
	if cfg.RotationGrace > 0 && cfg.RotationGrace <= grant.LeaseLife {
		logger.WarnContext(ctx, "ROTATION_GRACE is too short to have an effect: a crash is noticed when its lease has run out",
			"rotation_grace", cfg.RotationGrace, "lease", grant.LeaseLife)
	}
	if !cfg.Development && !cfg.Given("PUBLIC_URL") {
		logger.WarnContext(ctx, "PUBLIC_URL is not set: only browsers on this machine can sign in", "public_url", cfg.PublicURL.String())
	}
}

// startTraces returns nil where the configuration asks for no traces.
func startTraces(
	ctx context.Context, cfg *config.Config, replica string, console io.Writer, logger *slog.Logger,
) (*telemetry.Traces, error) {
	return telemetry.NewTraces(ctx, telemetry.TracesConfig{
		Exporters: cfg.Traces.Exporters(),
		Protocol:  cfg.Traces.Protocol(),
		Sampler:   cfg.Traces.Sampler,
		Ratio:     cfg.Traces.Ratio,
		Propagate: cfg.Traces.Propagated(),
		Secrets:   cfg.Traces.Secrets(),
		Version:   version(),
		Replica:   replica,
		Console:   console,
		Logger:    logger,
	})
}

// newMetrics returns the metrics, with what is counted in the store.
func newMetrics(db *store.DB) *telemetry.Metrics {
	metrics := telemetry.NewMetrics()
	metrics.Count("galaxygate_grants", "Stored grants, by status.", "status", db.GrantsByStatus)
	metrics.Count("galaxygate_pending_revocations", "Revocations still to be done, by kind.", "kind", db.PendingRevocations)
	return metrics
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

// task runs until its context ends.
type task = func(context.Context) error

// inBackground runs the tasks, again where they fail, until stop is called, which
// waits for them.
func inBackground(ctx context.Context, logger *slog.Logger, tasks map[string]task) (stop func()) {
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
