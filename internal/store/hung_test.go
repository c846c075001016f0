package store_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/testdb"
	"galaxygate/internal/vault"
)

// silence is a proxy before a server. Once it is frozen it keeps every
// connection and passes nothing on, as a network does that drops packets.
type silence struct {
	thawed sync.RWMutex // held for writing while frozen
	server string
}

func (s *silence) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			server, err := net.Dial("unix", s.server)
			if err != nil {
				_ = client.Close()
				return
			}
			go s.pump(server, client)
			s.pump(client, server)
		}()
	}
}

func (s *silence) pump(to, from net.Conn) {
	defer to.Close()
	_, _ = io.Copy(writer(func(b []byte) (int, error) {
		s.thawed.RLock()
		defer s.thawed.RUnlock()
		return to.Write(b)
	}), from)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestADatabaseThatHangsFreesItsCallers(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	if err := migrate(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	proxy := &silence{server: filepath.Join(at.Query().Get("host"), ".s.PGSQL.5432")}
	go proxy.serve(listener)
	db := open(t, "postgres://postgres@"+listener.Addr().String()+"/postgres?sslmode=disable", testdb.NewVault(t))
	alice, err := db.SignIn(t.Context(), newSignIn("alice"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g, err := db.Grant(t.Context(), alice.UserID)
	if err != nil {
		t.Fatal(err)
	}

	proxy.thawed.Lock()
	var all sync.WaitGroup
	for name, ask := range map[string]func(context.Context) error{
		"Ping":    db.Ping,
		"Grant":   func(ctx context.Context) error { _, err := db.Grant(ctx, alice.UserID); return err },
		"Acquire": func(ctx context.Context) error { return db.Acquire(ctx, g, "owner", time.Second) },
	} {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := ask(ctx); err == nil {
				t.Errorf("%s: no error", name)
			}
		})
	}
	freed := make(chan struct{})
	go func() {
		all.Wait()
		close(freed)
	}()
	select {
	case <-freed:
	case <-time.After(40 * time.Second):
		t.Error("callers are still waiting")
	}
	proxy.thawed.Unlock()
	if err := db.Ping(t.Context()); err != nil {
		if err := db.Ping(t.Context()); err != nil { // a connection of before may still break
			t.Errorf("after it came back: %v", err)
		}
	}
}

func TestAUserWhoseTokensAreDamagedCanSignInAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, testdb.Migrate)
	db := open(t, url, testdb.NewVault(t))
	damage := func() {
		t.Helper()
		_, err := raw(t, url).ExecContext(t.Context(), `UPDATE grants SET access_token = refresh_token, refresh_token = access_token`)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.SignIn(t.Context(), newSignIn("alice"), time.Now()); err != nil {
		t.Fatal(err)
	}
	damage()
	again := newSignIn("alice")
	s, err := db.SignIn(t.Context(), again, time.Now())
	if err != nil {
		t.Fatalf("sign in again: %v", err)
	}
	if g, err := db.Grant(t.Context(), s.UserID); err != nil || !g.Access.Equal(again.Tokens.Access) {
		t.Errorf("got %v, %v", g.Access, err)
	}
	damage()
	if p, _, err := db.Erase(t.Context(), s.UserID); err != nil || p.ID != "" {
		t.Errorf("Erase of what is damaged: got revocation %q, %v", p.ID, err)
	}
	if n, err := db.PendingRevocations(t.Context()); err != nil || len(n) != 0 {
		t.Errorf("%v revocations of tokens that are damaged: %v", n, err)
	}
}

// A replica whose keyset lags behind cannot open what others have sealed, yet.
func TestTokensUnderAKeyThatIsNotHereYetAreKept(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, _, promoted := keysets(t)
		ahead, behind := open(t, url, promoted.Vault()), open(t, url, first.Vault())
		alice, err := ahead.SignIn(t.Context(), newSignIn("alice"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		before, err := ahead.Grant(t.Context(), alice.UserID)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := behind.Erase(t.Context(), alice.UserID); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("Erase: got %v", err)
		}
		if _, err := behind.SignIn(t.Context(), newSignIn("alice"), time.Now()); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("SignIn: got %v", err)
		}
		after, err := ahead.Grant(t.Context(), alice.UserID)
		if err != nil || !after.Refresh.Equal(before.Refresh) || after.Version != before.Version {
			t.Errorf("stored version %d, %v", after.Version, err)
		}
		if p, _, err := ahead.Erase(t.Context(), alice.UserID); err != nil || !p.Tokens.Refresh.Equal(before.Refresh) {
			t.Errorf("Erase with the key: %v", err)
		}
	})
}

func TestARevocationWhoseTokensDoNotOpenIsNotForgotten(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, testdb.Migrate)
	here, there := open(t, url, testdb.NewVault(t)), open(t, url, testdb.NewVault(t)) // another keyset
	alice, err := here.SignIn(t.Context(), newSignIn("alice"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	erased, _, err := here.Erase(t.Context(), alice.UserID)
	if err == nil {
		err = here.PostponeRevocation(t.Context(), erased, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := there.ClaimRevocation(t.Context(), grant.RevokeConsent, 0)
	if !errors.Is(err, vault.ErrSealed) || p.ID != erased.ID || !p.Tokens.Refresh.IsZero() {
		t.Errorf("with another keyset: got revocation %q, %v", p.ID, err)
	}
	p, err = here.ClaimRevocation(t.Context(), grant.RevokeConsent, 0)
	if err != nil || !p.Tokens.Refresh.Equal(erased.Tokens.Refresh) {
		t.Errorf("with the keyset: got revocation %q, %v", p.ID, err)
	}
	if _, err := there.SignIn(t.Context(), newSignIn("alice"), time.Now()); err != nil {
		t.Errorf("sign in beside it: %v", err)
	}
}
