package pgtest_test

import (
	"context"
	"database/sql"
	"testing"

	_ "github.com/lib/pq"

	"galaxygate/internal/pgtest"
)

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func migrate(ctx context.Context, url string) error {
	db, err := sql.Open("postgres", url)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE guests (name TEXT)"); err != nil {
		return err
	}
	return db.Close()
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := open(t, pgtest.URL(t, migrate)), open(t, pgtest.URL(t, migrate))
	if _, err := first.ExecContext(t.Context(), "INSERT INTO guests (name) VALUES ('Alice')"); err != nil {
		t.Fatalf("insert: %v", err)
	}
	var guests int
	if err := second.QueryRowContext(t.Context(), "SELECT count(*) FROM guests").Scan(&guests); err != nil {
		t.Fatalf("count: %v", err)
	}
	if guests != 0 {
		t.Fatalf("got %d guests in the other test's database, want 0", guests)
	}
}

func TestReadOnlyDatabaseRefusesWritesUntilItIsWritableAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	insert := func() error {
		_, err := open(t, url).ExecContext(t.Context(), "INSERT INTO guests (name) VALUES ('Bob')")
		return err
	}
	pgtest.SetReadOnly(t, url, true)
	if err := insert(); err == nil {
		t.Fatal("got no error from a write to a read-only database")
	}
	pgtest.SetReadOnly(t, url, false)
	if err := insert(); err != nil {
		t.Fatalf("insert: %v", err)
	}
}

func TestStoppedServerIsAwayAndComesBackWithItsData(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	if err := migrate(t.Context(), server.URL); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	server.Stop()
	if err := open(t, server.URL).PingContext(t.Context()); err == nil {
		t.Fatal("got an answer from a stopped server")
	}
	server.Start()
	if _, err := open(t, server.URL).ExecContext(t.Context(), "SELECT name FROM guests"); err != nil {
		t.Fatalf("select: %v", err)
	}
}
