package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"galaxygate/migrations"
)

// Errors at start.
var (
	// ErrSchemaOlder means that migrations wait to be applied.
	ErrSchemaOlder = errors.New(`database schema is older than this binary: run "galaxygate migrate up", or set AUTO_MIGRATE=true`)
	// ErrSchemaNewer means that a newer binary has migrated the database.
	ErrSchemaNewer = errors.New("database schema is newer than this binary: run the newer release")
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string    // the file's
	AppliedAt time.Time // zero: not yet
}

// Migrate brings the schema up to this binary's. Replicas that start together
// wait for the one that migrates, for two minutes at most. A schema that is
// newer is ErrSchemaNewer.
func (db *DB) Migrate(ctx context.Context) error {
	provider, err := db.migrations()
	if err != nil {
		return err
	}
	if _, err = provider.Up(ctx); err != nil {
		return explain(ctx, "migrate database", err)
	}
	return db.SchemaCurrent(ctx) // a newer one is left as it is, and refused
}

// MigrationStatus returns the migrations that this binary knows, oldest first.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	provider, err := db.migrations()
	if err != nil {
		return nil, err
	}
	known, err := provider.Status(ctx)
	if err != nil {
		return nil, explain(ctx, "read migration status", err)
	}
	status := make([]Migration, len(known))
	for i, m := range known {
		status[i] = Migration{Version: m.Source.Version, Name: path.Base(m.Source.Path), AppliedAt: m.AppliedAt}
	}
	return status, nil
}

// SchemaCurrent returns ErrSchemaOlder or ErrSchemaNewer unless the schema is
// the one that this binary was built for.
func (db *DB) SchemaCurrent(ctx context.Context) error {
	provider, err := db.migrations()
	if err != nil {
		return err
	}
	stored, known, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return explain(ctx, "read schema version", err)
	case stored < known:
		return fmt.Errorf("%w (version %d, want %d)", ErrSchemaOlder, stored, known)
	case stored > known:
		return fmt.Errorf("%w (version %d, want %d)", ErrSchemaNewer, stored, known)
	}
	return nil
}

// migrations returns goose over this database. It is not to be closed, because
// that would close the pool.
func (db *DB) migrations() (*goose.Provider, error) {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.dialect.goose == goose.DialectPostgres {
		// Asks every second, 120 times; the default is every five.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return nil, fmt.Errorf("prepare migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(db.dialect.goose, db.write.DB, migrations.Files(db.dialect.types), options...)
	if err != nil {
		return nil, fmt.Errorf("prepare migrations: %w", err)
	}
	return provider, nil
}
