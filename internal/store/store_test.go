package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/testdb"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/storetest"
	"galaxygate/internal/vault"
)

// databases are the addresses of new, migrated databases of both kinds.
var databases = map[string]func(t testing.TB) string{
	"sqlite": func(t testing.TB) string {
		url := sqliteURL(t)
		if err := migrate(t.Context(), url); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		return url
	},
	"postgres": func(t testing.TB) string { return pgtest.URL(t, migrate) },
}

func sqliteURL(t testing.TB) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "state", "galaxygate.db")
}

func migrate(ctx context.Context, url string) error {
	db, err := store.Open(url, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	return db.Close()
}

// open opens the database as one replica would, until the test ends. A nil vault
// is a new one.
func open(t testing.TB, url string, v *vault.Vault) *store.DB {
	t.Helper()
	if v == nil {
		v = testdb.NewVault(t)
	}
	db, err := store.Open(url, v, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	ran := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ran <- db.Run(ctx) }()
	testdb.AwaitHearing(db)
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Logf("Close: %v", err) // of connections that a test has cut
		}
	})
	return db
}

// raw opens the database beside the store.
func raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, dsn := "postgres", url
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_busy_timeout=5000&_time_integer_format=unix_micro&_inttotime=1"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatalf("open %s: %v", driver, err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// stores opens a new database for the specification.
func stores(t testing.TB, url string, v *vault.Vault) storetest.Stores {
	t.Helper()
	db := open(t, url, v)
	replica := db
	if strings.HasPrefix(url, "postgres") {
		replica = open(t, url, v)
	}
	beside := raw(t, url)
	return storetest.Stores{
		Store:   db,
		Replica: replica,
		Events:  func(t testing.TB) []audit.Event { return events(t, beside) },
		Dump:    func(t testing.TB) []byte { return dump(t, beside, url) },
		Elapse:  func(t testing.TB, d time.Duration) { elapse(t, beside, url, d) },
	}
}

// newSignIn is a sign-in of that subject.
func newSignIn(subject string) login.SignIn {
	now := time.Now()
	return login.SignIn{
		Issuer:  "https://passport.example",
		Subject: subject,
		Tokens: grant.Tokens{
			Access:          secret.Random(),
			AccessExpiresAt: now.Add(time.Hour),
			Refresh:         secret.Random(),
		},
		Session: session.Session{
			ID: secret.Random().Reveal(), Kind: session.Browser,
			CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(time.Hour),
		},
		SessionToken: secret.Random(),
	}
}

func TestStoreKeepsTheSpecification(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) storetest.Stores { return stores(t, database(t), testdb.NewVault(t)) })
		})
	}
}

func events(t testing.TB, db *sql.DB) []audit.Event {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
SELECT kind, user_id, grant_id, session_id, reason, actor_session_id, ip_address, user_agent, request_id, at
  FROM audit_events ORDER BY at, id`)
	if err != nil {
		t.Fatalf("select audit events: %v", err)
	}
	defer rows.Close()
	var all []audit.Event
	for rows.Next() {
		var e audit.Event
		err := rows.Scan(&e.Kind, &e.UserID, &e.GrantID, &e.SessionID, &e.Reason,
			&e.Actor.SessionID, &e.Actor.IPAddress, &e.Actor.UserAgent, &e.Actor.RequestID, &e.At)
		if err != nil {
			t.Fatalf("scan audit event: %v", err)
		}
		e.At = e.At.UTC()
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read audit events: %v", err)
	}
	return all
}

// elapse moves what is by the database's clock back by d.
func elapse(t testing.TB, db *sql.DB, url string, d time.Duration) {
	t.Helper()
	ago := fmt.Sprintf("INTERVAL '%d microseconds'", d.Microseconds())
	if strings.HasPrefix(url, "sqlite") {
		ago = strconv.FormatInt(d.Microseconds(), 10)
	}
	statement := "UPDATE grants SET lease_expires_at = lease_expires_at - " + ago +
		", lapsed_at = lapsed_at - " + ago + ", retry_at = retry_at - " + ago
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("let time pass: %v", err)
	}
}

// dump returns every value of every table, bytes as they are.
func dump(t testing.TB, db *sql.DB, url string) []byte {
	t.Helper()
	var all []byte
	for _, table := range schema(t, db, url).tables() {
		all = append(all, dumpTable(t, db, table)...)
	}
	return all
}

func dumpTable(t testing.TB, db *sql.DB, table string) []byte {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatalf("select from %s: %v", table, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatalf("columns of %s: %v", table, err)
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	var all []byte
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			t.Fatalf("scan %s: %v", table, err)
		}
		for _, value := range values {
			all = fmt.Appendf(all, "%s\n", *value.(*any))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read %s: %v", table, err)
	}
	return all
}

func TestTokensMovedToAnotherRowOrColumnDoNotOpen(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		for _, move := range []struct{ name, source string }{
			{"from another column", `refresh_token`},
			{"from another row", `(SELECT other.access_token FROM grants other WHERE other.id <> grants.id)`},
			{"from another table", `(SELECT sealed FROM vault_canary)`},
		} {
			t.Run(name+": "+move.name, func(t *testing.T) {
				t.Parallel()
				url := database(t)
				s := stores(t, url, testdb.NewVault(t))
				if err := s.Store.(*store.DB).CheckKeyset(t.Context()); err != nil {
					t.Fatalf("CheckKeyset: %v", err)
				}
				alice, err := s.SignIn(t.Context(), newSignIn("alice"), time.Now())
				if err != nil {
					t.Fatalf("SignIn: %v", err)
				}
				if _, err := s.SignIn(t.Context(), newSignIn("bob"), time.Now()); err != nil {
					t.Fatalf("SignIn: %v", err)
				}
				statement := "UPDATE grants SET access_token = " + move.source + " WHERE user_id = '" + alice.UserID + "'"
				if _, err := raw(t, url).ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("move: %v", err)
				}
				_, err = s.Grant(t.Context(), alice.UserID)
				storetest.Plain(t, "Grant", err)
				if !errors.Is(err, vault.ErrSealed) {
					t.Fatalf("Grant: got %v, want ErrSealed", err)
				}
			})
		}
	}
}

func TestKeysetThatCannotOpenTheCanaryIsRefused(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			first := testdb.NewVault(t)
			for range 2 {
				if err := open(t, url, first).CheckKeyset(t.Context()); err != nil {
					t.Fatalf("CheckKeyset: %v", err)
				}
			}
			err := open(t, url, testdb.NewVault(t)).CheckKeyset(t.Context())
			if !errors.Is(err, store.ErrWrongKeyset) {
				t.Fatalf("CheckKeyset: got %v, want ErrWrongKeyset", err)
			}
		})
	}
}

func TestURLThatIsNoneIsRefusedWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, url, want string }{
		{"empty", "", "neither postgres:// nor sqlite://"},
		{"another database", "mysql://root:hunter2@localhost/x", "neither postgres:// nor sqlite://"},
		{"a slash in the password", "postgres://gate:hunter2/x@localhost/gate", "%2F"},
		{"an unknown sslmode", "postgres://gate:hunter2@localhost/gate?sslmode=hunter2", "parameters"},
		{"no path", "sqlite://", "path of a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := store.Open(tt.url, nil, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Open: got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("Open: error quotes the URL: %v", err)
			}
		})
	}
}

// TestAVersionBeforeAppsLeavesTheirAttempts takes attempts as that version did.
func TestAVersionBeforeAppsLeavesTheirAttempts(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			db := open(t, url, testdb.NewVault(t))
			for _, app := range []*login.App{nil, {Client: "native"}} {
				a := newAttempt()
				a.App = app
				if err := db.SaveAttempt(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				taken, err := raw(t, url).ExecContext(t.Context(),
					"DELETE FROM sign_in_attempts WHERE state_hash = $1 AND browser_hash = $2", a.State.Hash(), a.Browser.Hash())
				if err != nil {
					t.Fatal(err)
				}
				if n, err := taken.RowsAffected(); (n == 1) != (app == nil) || err != nil {
					t.Errorf("app %v: got %d, %v", app, n, err)
				}
				if _, err := db.TakeAttempt(t.Context(), a.State, a.Browser, time.Now()); errors.Is(err, login.ErrNoAttempt) != (app == nil) {
					t.Errorf("app %v: then got %v", app, err)
				}
			}
		})
	}
}
