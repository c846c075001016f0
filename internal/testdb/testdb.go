package testdb

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"galaxygate/internal/pgtest"
	"galaxygate/internal/store"
	"galaxygate/internal/vault"
)

// Open opens another handle on one database, as another replica has, with its
// notifications running. It is closed with the test.
type Open func() *store.DB

// Kinds makes a new database of each kind, by the kind's name. A test on
// PostgreSQL is skipped, or fails, as pgtest.URL says.
func Kinds() map[string]func(testing.TB) Open {
	return map[string]func(testing.TB) Open{"sqlite": SQLite, "postgres": Postgres}
}

// SQLite makes a database in a file. Its handles are one and the same: a file is
// one process's.
func SQLite(t testing.TB) Open {
	t.Helper()
	url := "sqlite://" + filepath.Join(t.TempDir(), "test.db")
	if err := Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db := run(t, url, NewVault(t))
	return func() *store.DB { return db }
}

// Postgres makes a database on the test's PostgreSQL server.
func Postgres(t testing.TB) Open {
	t.Helper()
	url, sealer := pgtest.URL(t, Migrate), NewVault(t)
	return func() *store.DB { return run(t, url, sealer) }
}

// Migrate brings the database at the URL up to date.
func Migrate(ctx context.Context, url string) error {
	db, err := store.Open(url, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.Migrate(ctx)
}

// NewVault returns a vault with a keyset of its own.
func NewVault(t testing.TB) *vault.Vault {
	t.Helper()
	keys, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := vault.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func run(t testing.TB, url string, sealer *vault.Vault) *store.DB {
	t.Helper()
	db, err := store.Open(url, sealer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	AwaitHearing(db)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = db.Close()
	})
	return db
}

// AwaitHearing waits until the running store hears of what others change, or a
// while where its database is away.
func AwaitHearing(db *store.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	db.AwaitHearing(ctx)
}
