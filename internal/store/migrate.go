package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
	"galaxygate/migrations"
)

// Errors at start.
var (
	// ErrSchemaOlder means that migrations wait to be applied.
	ErrSchemaOlder = errors.New(`database schema is older than this binary: run "galaxygate migrate up", or set AUTO_MIGRATE=true`)
	// ErrSchemaNewer means that a newer binary has migrated the database.
	ErrSchemaNewer = errors.New("database schema is newer than this binary: run the newer release")
	// ErrWrongKeyset means that the vault's keyset is not the one under which
	// the database was written.
	ErrWrongKeyset = errors.New("keyset does not open what is stored in this database: use the keyset that it was written with")
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

const insertCanarySQL = `
INSERT INTO vault_canary (id, sealed) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`

const selectCanarySQL = `
SELECT sealed FROM vault_canary WHERE id = ?`

// CheckKeyset returns ErrWrongKeyset unless the vault opens the value that the
// first call stored. A database that has it already is only read.
func (db *DB) CheckKeyset(ctx context.Context) error {
	const id = "canary"
	place := vault.Place{Table: "vault_canary", Row: id, Column: "sealed"}
	var stored []byte
	err := db.get(ctx, db.read, &stored, selectCanarySQL, id)
	if errors.Is(err, sql.ErrNoRows) {
		sealed, sealErr := db.vault.Seal(secret.New("galaxygate"), place)
		if sealErr != nil {
			return sealErr
		}
		if _, err := db.exec(ctx, db.write, insertCanarySQL, id, sealed); err != nil {
			return explain(ctx, "write keyset canary", err)
		}
		// Another replica may have been first, with another keyset.
		err = db.get(ctx, db.read, &stored, selectCanarySQL, id)
	}
	if err != nil {
		return explain(ctx, "read keyset canary", err)
	}
	if _, err := db.vault.Open(stored, place); err != nil {
		return ErrWrongKeyset
	}
	return nil
}
