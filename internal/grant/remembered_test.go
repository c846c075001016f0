package grant_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/cache"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// counted counts what is asked of a store.
type counted struct {
	*store.DB

	queries atomic.Int64
}

func (c *counted) Grant(ctx context.Context, userID string) (grant.Grant, error) {
	c.queries.Add(1)
	return c.DB.Grant(ctx, userID)
}

func (c *counted) Session(ctx context.Context, hash []byte, now time.Time) (session.Session, error) {
	c.queries.Add(1)
	return c.DB.Session(ctx, hash, now)
}

func (c *counted) Touch(ctx context.Context, id string, seen, expires time.Time) error {
	c.queries.Add(1)
	return c.DB.Touch(ctx, id, seen, expires)
}

// warm is what turns a session into a token, as a gateway has it, on a store that
// counts.
type warm struct {
	db       *counted
	source   *grant.Source
	sessions *session.Manager
	user     string
	header   http.Header
}

// newWarm signs Alice in. Where it does not remember, each request reads the
// store.
func newWarm(t testing.TB, db *store.DB, remember bool) *warm {
	t.Helper()
	w := &warm{db: &counted{DB: db}}
	w.source = &grant.Source{Store: w.db, Leases: db, Early: time.Minute, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	w.sessions = &session.Manager{Store: w.db, Ender: db, IdleTimeout: time.Hour, Lifetime: time.Hour, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	if remember {
		w.source.Cache = grant.NewCache(cache.Options[grant.Grant]{Hearing: db.Hearing, Now: time.Now})
		w.sessions.Cache = session.NewCache(time.Hour, cache.Options[session.Session]{Hearing: db.Hearing, Now: time.Now})
		t.Cleanup(w.source.Cache.Close)
		t.Cleanup(w.sessions.Cache.Close)
	}
	w.source.Confirm = w.sessions.Confirm
	db.Subscribe(store.Listener{
		GrantChanged: w.source.Cache.Forget, SessionEnded: w.sessions.Cache.Forget, Settle: w.source.Drain, Missed: func() {},
	})
	s, token := w.sessions.New(t.Context(), session.Browser)
	s, err := db.SignIn(t.Context(), login.SignIn{
		Issuer: "https://id.example.com", Subject: "alice", Session: s, SessionToken: token,
		Tokens: grant.Tokens{
			Access: secret.New("access"), Refresh: secret.New("refresh"),
			AccessExpiresAt: time.Now().Add(time.Hour), Scopes: []string{"openid"},
		},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.user, w.header = s.UserID, http.Header{"Cookie": {"galaxygate=" + token.Reveal()}}
	return w
}

// handler serves what do does with Alice's token; it must be called for her.
func (w *warm) handler(t testing.TB, do func(context.Context, grant.Token) error) http.Handler {
	return w.sessions.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, ok := session.FromContext(r.Context())
		if !ok {
			t.Error("nobody is signed in")
			return
		}
		if err := w.source.Call(r.Context(), s.UserID, do); err != nil {
			t.Error(err)
		}
	}))
}

func (w *warm) request(ctx context.Context) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/graphql", nil).WithContext(ctx)
	r.Header = w.header
	return r
}

func use(context.Context, grant.Token) error { return nil }

func TestAWarmRequestAsksTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	for kind, create := range testdb.Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWarm(t, create(t)(), true)
			handler := w.handler(t, use)
			handler.ServeHTTP(httptest.NewRecorder(), w.request(t.Context()))
			before := w.db.queries.Load()
			if before == 0 {
				t.Fatal("the first request asked nothing: the counter is broken")
			}
			for range 100 {
				handler.ServeHTTP(httptest.NewRecorder(), w.request(t.Context()))
			}
			if n := w.db.queries.Load() - before; n != 0 {
				t.Errorf("100 warm requests asked the database %d times", n)
			}
		})
	}
}

func TestAWriteIsSeenOnEveryReplicaWhenItReturns(t *testing.T) {
	t.Parallel()
	for kind, create := range testdb.Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			open := create(t)
			w, elsewhere := newWarm(t, open(), true), open()
			for want := range int64(50) {
				for range 2 { // once read, and once from memory
					g, err := w.source.Grant(t.Context(), w.user)
					if err != nil || g.Writes != want {
						t.Fatalf("got %d, %v, want %d", g.Writes, err, want)
					}
				}
				if err := elsewhere.Wrote(t.Context(), w.user); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestNoCallIsMadeForASessionThatHasEnded(t *testing.T) {
	t.Parallel()
	for kind, create := range testdb.Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			open := create(t)
			w, elsewhere := newWarm(t, open(), true), open()
			w.sessions.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s, _ := session.FromContext(r.Context())
				called := 0
				do := func(context.Context, grant.Token) error { called++; return nil }
				if err := w.source.Call(r.Context(), s.UserID, do); err != nil || called != 1 {
					t.Errorf("before its end: %v, called %d times", err, called)
				}
				if _, err := elsewhere.End(r.Context(), s.UserID, s.ID, session.LoggedOut, time.Now()); err != nil {
					t.Error(err)
				}
				if err := w.source.Call(r.Context(), s.UserID, do); !errors.Is(err, session.ErrNotFound) || called != 1 {
					t.Errorf("after its end: %v, called %d times", err, called)
				}
			})).ServeHTTP(httptest.NewRecorder(), w.request(t.Context()))
		})
	}
}

func TestTheEndOfASessionWaitsForCallsAndThenCancelsThem(t *testing.T) {
	t.Parallel()
	for name, patient := range map[string]bool{"a call that ends soon": true, "a call that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWarm(t, testdb.SQLite(t)(), true)
			begun, release := make(chan string), make(chan struct{})
			var over atomic.Bool
			go w.sessions.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s, _ := session.FromContext(r.Context())
				_ = w.source.Call(r.Context(), s.UserID, func(ctx context.Context, _ grant.Token) error {
					begun <- s.ID
					select {
					case <-release:
					case <-ctx.Done():
					}
					over.Store(true)
					return nil
				})
			})).ServeHTTP(httptest.NewRecorder(), w.request(t.Context()))
			id := <-begun
			if patient {
				time.AfterFunc(100*time.Millisecond, func() { close(release) })
			}
			if _, err := w.db.End(t.Context(), w.user, id, session.LoggedOut, time.Now()); err != nil {
				t.Fatal(err)
			}
			if patient && !over.Load() {
				t.Error("the end did not wait for the call")
			}
			for !over.Load() { // it was cancelled, or this hangs until the test is ended
				runtime.Gosched()
			}
		})
	}
}

func TestTheEndOfASessionLeavesTheCallsOfAnotherAlone(t *testing.T) {
	t.Parallel()
	w := newWarm(t, testdb.SQLite(t)(), true)
	other, token := w.sessions.New(t.Context(), session.Browser)
	other, err := w.db.SignIn(t.Context(), login.SignIn{
		Issuer: "https://id.example.com", Subject: "alice", Session: other, SessionToken: token,
		Tokens: grant.Tokens{Access: secret.New("access"), AccessExpiresAt: time.Now().Add(time.Hour), Scopes: []string{"openid"}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	begun, release, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go w.handler(t, func(ctx context.Context, _ grant.Token) error {
		close(begun)
		<-release
		result <- ctx.Err()
		return nil
	}).ServeHTTP(httptest.NewRecorder(), w.request(t.Context()))
	<-begun
	// It returns although the call is still under way, which is not cancelled.
	if _, err := w.db.End(t.Context(), w.user, other.ID, session.LoggedOut, time.Now()); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-result; err != nil {
		t.Errorf("the other session's call: %v", err)
	}
}

// panicking is a refresher with a bug.
type panicking struct{}

func (panicking) Refresh(context.Context, secret.Text) (grant.Tokens, error) {
	panic("refresh-0 in a message")
}

func TestAPanicInARefreshIsAnError(t *testing.T) {
	t.Parallel()
	h := &house{db: testdb.SQLite(t)(), provider: startProvider(t)}
	h.signIn(t, "access-0", "refresh-0", life, expired)
	source := h.replica(h.db)
	source.Refresher = panicking{}
	_, err := source.Token(t.Context(), h.user)
	if err == nil || strings.Contains(err.Error(), "refresh-0") {
		t.Errorf("got %v", err)
	}
}

func TestARequestThatHasEndedBeginsNoRefresh(t *testing.T) {
	t.Parallel()
	h := &house{db: testdb.SQLite(t)(), provider: startProvider(t)}
	h.signIn(t, "access-0", "refresh-0", life, expired)
	source := h.replica(h.db)
	source.Cache = grant.NewCache(cache.Options[grant.Grant]{Hearing: h.db.Hearing, Now: time.Now})
	t.Cleanup(source.Cache.Close)
	if _, err := source.Grant(t.Context(), h.user); err != nil { // remembered from here on
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Token(ctx, h.user); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := source.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.provider.presentations(); n != 0 {
		t.Errorf("presented %d times", n)
	}
}

// BenchmarkSessionToToken is what the gateway adds to a request before it calls
// upstream. Its baseline reads the database, as each request would without memory.
func BenchmarkSessionToToken(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for name, remember := range map[string]bool{"warm": true, "baseline": false} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				w := newWarm(b, testdb.Kinds()[kind](b)(), remember)
				handler, recorder := w.handler(b, use), httptest.NewRecorder()
				request := w.request(b.Context())
				handler.ServeHTTP(recorder, request)
				before := w.db.queries.Load()
				b.ReportAllocs()
				for b.Loop() {
					handler.ServeHTTP(recorder, request)
				}
				b.ReportMetric(float64(w.db.queries.Load()-before)/float64(b.N), "queries/op")
			})
		}
	}
}

// BenchmarkWaiter is what one more request costs that waits for a refresh which
// is under way: b.N of them wait for one.
func BenchmarkWaiter(b *testing.B) {
	db := testdb.SQLite(b)()
	w := newWarm(b, db, true)
	held := &heldRefresher{release: make(chan struct{})}
	w.source.Refresher = held
	w.source.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } // the token has expired
	var waiting sync.WaitGroup
	before := w.db.queries.Load()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		waiting.Go(func() {
			if _, err := w.source.Token(b.Context(), w.user); err != nil {
				b.Error(err)
			}
		})
	}
	close(held.release)
	waiting.Wait()
	b.ReportMetric(float64(held.presented.Load()), "presentations")
	b.ReportMetric(float64(w.db.queries.Load()-before)/float64(b.N), "queries/op")
}

// heldRefresher answers when it is released.
type heldRefresher struct {
	release   chan struct{}
	presented atomic.Int64
}

func (h *heldRefresher) Refresh(context.Context, secret.Text) (grant.Tokens, error) {
	<-h.release
	h.presented.Add(1)
	return grant.Tokens{Access: secret.New("next"), AccessExpiresAt: time.Now().Add(9 * time.Hour)}, nil
}
