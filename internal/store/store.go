package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/keyring"
	"galaxygate/internal/login"
	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/vault"
)

// What a DB satisfies.
var (
	_ grant.Store      = (*DB)(nil)
	_ grant.Leases     = (*DB)(nil)
	_ grant.Outbox     = (*DB)(nil)
	_ grant.Claims     = (*DB)(nil)
	_ grant.DueGrants  = (*DB)(nil)
	_ session.Store    = (*DB)(nil)
	_ session.Ender    = (*DB)(nil)
	_ session.Register = (*DB)(nil)
	_ login.Store      = (*DB)(nil)
	_ audit.Log        = (*DB)(nil)
	_ keyring.Store    = (*DB)(nil)
	_ audit.Reader     = (*DB)(nil)
)

// DB is the database. It is safe for concurrent use.
//
// Its errors are those of the interfaces that it satisfies, else what went wrong:
// the context's error where that has ended, else the driver's, without the values
// of any statement. That of a database that is away or cannot be written wraps
// retry.ErrLater, and never says that something was not found or has changed.
type DB struct {
	read    *sqlx.DB
	write   *sqlx.DB // the same pool on PostgreSQL
	url     secret.Text
	dialect dialect
	vault   *vault.Vault
	logger  *slog.Logger
	hub     hub
	self    *replica
}

// Open returns the database at a postgres:// or sqlite:// URL, without
// connecting to it; what a URL names wrongly is an error, which does not quote
// it. The directory and the file of sqlite:// are made where there are none.
// Migrate or SchemaCurrent, and CheckKeyset, are to be called before anything
// else; Run is to be running for Watch to hear of other replicas.
func Open(url string, v *vault.Vault, logger *slog.Logger) (*DB, error) {
	db := &DB{url: secret.New(url), vault: v, logger: logger}
	var pulse, talk *sqlx.DB
	var err error
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "postgres", "postgresql":
		db.dialect = postgresDialect()
		db.write, err = openPostgres(db.url, maxConns)
		db.read = db.write
		if err == nil {
			pulse, err = openPostgres(db.url, 1)
		}
		if err == nil {
			talk, err = openPostgres(db.url, talkConns)
		}
	case "sqlite":
		db.dialect = sqliteDialect()
		db.read, db.write, err = openSQLite(db.url)
	default:
		err = errors.New("database URL: neither postgres:// nor sqlite://")
	}
	if err != nil {
		return nil, err
	}
	db.self = newReplica(pulse, talk)
	return db, nil
}

// Ping returns an error where the database does not answer.
func (db *DB) Ping(ctx context.Context) error {
	return explain(ctx, "ping database", db.read.PingContext(ctx))
}

// Close closes all connections. Nothing may be called after it.
func (db *DB) Close() error {
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	if db.self.pulse != nil {
		err = errors.Join(err, db.self.pulse.Close(), db.self.talk.Close())
	}
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// get reads one row into dest, a struct with db tags or a plain value, or
// returns sql.ErrNoRows.
func (db *DB) get(ctx context.Context, q sqlx.QueryerContext, dest any, query string, args ...any) error {
	return sqlx.GetContext(ctx, q, dest, db.dialect.statement(query), args...)
}

// list reads all rows into dest, a slice.
func (db *DB) list(ctx context.Context, q sqlx.QueryerContext, dest any, query string, args ...any) error {
	return sqlx.SelectContext(ctx, q, dest, db.dialect.statement(query), args...)
}

// exec runs a statement and returns how many rows it changed.
func (db *DB) exec(ctx context.Context, e sqlx.ExecerContext, query string, args ...any) (int64, error) {
	result, err := e.ExecContext(ctx, db.dialect.statement(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// transact runs do in a transaction, which is committed unless do returns an
// error.
func (db *DB) transact(ctx context.Context, do func(tx *sqlx.Tx) error) error {
	tx, err := db.write.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if db.dialect.begin != "" {
		if _, err := tx.ExecContext(ctx, db.dialect.begin); err != nil {
			return err
		}
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// explain says what was being done when err happened. Where the context has
// ended the driver's words are about that, so its error is returned instead; of a
// database that is away they say so in its own way, and retry.ErrLater in ours.
func explain(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		err = ended
	} else if away(err) {
		err = fmt.Errorf("%w: %w", retry.ErrLater, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// instant is a time that an expression gave: SQLite knows only columns to be
// times.
type instant struct{ time.Time }

// Scan implements sql.Scanner.
func (i *instant) Scan(value any) error {
	switch v := value.(type) {
	case time.Time:
		i.Time = v
	case int64:
		i.Time = time.UnixMicro(v)
	default:
		return fmt.Errorf("%T is not a time", value)
	}
	return nil
}

// stamp is t as both databases can keep it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// optional is NULL for the empty string.
func optional(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// clip returns foreign text as any column takes it: valid UTF-8, without NUL,
// at most so many bytes.
func clip(s string, limit int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
