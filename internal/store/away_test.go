package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/testdb"

	"galaxygate/internal/pgtest"
	"galaxygate/internal/retry"
	"galaxygate/internal/store"
	"galaxygate/internal/storetest"
)

func TestReadOnlyDatabaseIsReadAndRefusesWritesUntilItIsWritable(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			v := testdb.NewVault(t)
			s := stores(t, url, v)
			if name == "sqlite" {
				s.Replica = open(t, url+"?mode=ro", v)
			}
			calls := storetest.Calls(t, s)
			if name == "postgres" {
				pgtest.SetReadOnly(t, url, true)
			}
			replica := s.Replica.(*store.DB)
			if err := replica.SchemaCurrent(t.Context()); err != nil {
				t.Errorf("SchemaCurrent: %v", err)
			}
			if err := replica.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			for _, c := range calls {
				err := c.Do(t.Context())
				if c.Writes {
					storetest.Plain(t, c.Name, err)
					later(t, c.Name, err)
				} else if err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
			if name == "sqlite" {
				return // that handle stays as it is
			}
			pgtest.SetReadOnly(t, url, false)
			succeedAll(t, calls)
		})
	}
}

func TestStoreOutlivesADatabaseThatGoesAway(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	if err := migrate(t.Context(), server.URL); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	s := stores(t, server.URL, testdb.NewVault(t))
	calls := storetest.Calls(t, s)
	alice, err := s.SignIn(t.Context(), newSignIn("alice"), time.Now())
	if err != nil {
		t.Fatalf("SignIn: %v", err)
	}
	g, err := s.Grant(t.Context(), alice.UserID)
	if err != nil {
		t.Fatalf("Grant: %v", err)
	}
	wake, stop := s.Replica.Watch(g.ID)
	defer stop()

	server.Stop()
	if err := s.Replica.(*store.DB).Ping(t.Context()); err == nil {
		t.Error("Ping: got no error from a database that is away")
	}
	for _, c := range calls {
		err := c.Do(t.Context())
		storetest.Plain(t, c.Name, err)
		later(t, c.Name, err)
		if err != nil && strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: error quotes a value: %v", c.Name, err)
		}
	}

	for len(wake) > 0 { // from before
		<-wake
	}
	server.Start()
	await(t, wake, "the reconnection") // some changes may have been missed
	if _, err := s.SignIn(t.Context(), newSignIn("alice"), time.Now()); err != nil {
		t.Fatalf("SignIn: %v", err)
	}
	await(t, wake, "a change on another replica")
	succeedAll(t, calls)
}

// later wants the error to say that the same may be asked again.
func later(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, retry.ErrLater) {
		t.Errorf("%s: got %v, want retry.ErrLater", call, err)
	}
}

// succeedAll makes the calls, in their order.
func succeedAll(t *testing.T, calls []storetest.Call) {
	t.Helper()
	for _, c := range calls {
		if err := c.Do(t.Context()); err != nil {
			t.Errorf("%s after the database came back: %v", c.Name, err)
		}
	}
}

func await(t *testing.T, wake <-chan struct{}, by string) {
	t.Helper()
	select {
	case <-wake:
	case <-time.After(20 * time.Second):
		t.Fatalf("not woken by %s", by)
	}
}
