package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Migrate prepares the empty database at that URL.
type Migrate func(ctx context.Context, url string) error

// shared is this process's server, with the template that databases are cloned
// from. It lives until the process ends.
var shared struct {
	once sync.Once
	*instance
	err error
}

// URL returns the address of a new database of the test's own, as migrate would
// leave it: the first call's migrate runs, and later databases are clones of
// its work. Where PostgreSQL is missing the test is skipped, or fails where the
// environment has CI=true.
func URL(t testing.TB, migrate Migrate) string {
	t.Helper()
	shared.once.Do(func() { shared.instance, shared.err = newTemplate(t.Context(), migrate) })
	require(t, shared.err)
	name := "test_" + strings.ToLower(rand.Text())
	require(t, shared.psql(t.Context(), "postgres", "CREATE DATABASE "+name+" TEMPLATE template1"))
	t.Cleanup(func() {
		if err := shared.psql(context.Background(), "postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return shared.url(name)
}

// SetReadOnly makes the database, one of URL's, refuse writes from now on, or
// accept them again. Connections to it are cut.
func SetReadOnly(t testing.TB, address string, on bool) {
	t.Helper()
	parsed, err := url.Parse(address)
	require(t, err)
	name := strings.TrimPrefix(parsed.Path, "/")
	value := "off"
	if on {
		value = "on"
	}
	require(t, shared.psql(t.Context(), "postgres",
		"ALTER DATABASE "+name+" SET default_transaction_read_only = "+value,
		"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '"+name+"'"))
}

// Server is a server of one test's own, which may be stopped.
type Server struct {
	URL string // of an empty database

	t        testing.TB
	instance *instance
}

// NewServer starts a server that ends with the test. Where PostgreSQL is
// missing the test is skipped, or fails where the environment has CI=true.
func NewServer(t testing.TB) *Server {
	t.Helper()
	in, err := newInstance(t.Context())
	require(t, err)
	t.Cleanup(func() {
		in.stop(syscall.SIGTERM)
		_ = os.RemoveAll(in.dir) // where it had been stopped already
	})
	return &Server{URL: in.url("postgres"), t: t, instance: in}
}

// Stop ends the server as a crash would, and keeps its data.
func (s *Server) Stop() { s.instance.stop(syscall.SIGUSR1) }

// Start starts the stopped server, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	require(s.t, s.instance.start(s.t.Context()))
}

// newTemplate starts a server whose template1 is migrated.
func newTemplate(ctx context.Context, migrate Migrate) (*instance, error) {
	in, err := newInstance(ctx)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, in.url("template1")); err != nil {
		in.stop(syscall.SIGTERM)
		return nil, err
	}
	return in, nil
}

// require ends the test where err is not nil.
func require(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if errors.Is(err, errMissing) && os.Getenv("CI") != "true" { //nolint:forbidigo // tests have no configuration
		t.Skipf("SKIPPED, NOTHING WAS TESTED ON POSTGRES: %v", err)
	}
	t.Fatalf("PostgreSQL for tests: %v", err)
}
