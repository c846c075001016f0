package session_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// desk is a manager on a real store, with a clock that a test moves.
type desk struct {
	*session.Manager
	db  *store.DB
	now time.Time
}

func open(t *testing.T) *desk {
	t.Helper()
	db := testdb.SQLite(t)()
	d := &desk{db: db, now: time.Now().Truncate(time.Microsecond)}
	d.Manager = &session.Manager{
		Store: db, Ender: db, IdleTimeout: time.Hour, Lifetime: 3 * time.Hour,
		Unavailable: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		Now:         func() time.Time { return d.now },
		Logger:      slog.New(slog.DiscardHandler),
	}
	return d
}

// signIn signs the subject in and returns the session and its token.
func (d *desk) signIn(t *testing.T, subject string) (session.Session, secret.Text) {
	t.Helper()
	s, token := d.New(t.Context(), session.Browser)
	s, err := d.db.SignIn(t.Context(), login.SignIn{
		Issuer: "https://id.example.com", Subject: subject, Session: s, SessionToken: token,
		Tokens: grant.Tokens{Access: secret.New("access"), AccessExpiresAt: d.now.Add(time.Hour)},
	}, d.now)
	if err != nil {
		t.Fatal(err)
	}
	return s, token
}

// ask sends a request through the middleware and says whose it was.
func (d *desk) ask(t *testing.T, header http.Header) (who string, resp *http.Response) {
	t.Helper()
	server := httptest.NewServer(d.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := session.FromContext(r.Context())
		_, _ = io.WriteString(w, s.Subject)
	})))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp
}

func cookie(token secret.Text) http.Header {
	return http.Header{"Cookie": {"galaxygate=" + token.Reveal()}}
}

func bearer(token secret.Text) http.Header {
	return http.Header{"Authorization": {"bearer " + token.Reveal()}}
}

func TestATokenThatWasSomebodysIsRemembered(t *testing.T) {
	t.Parallel()
	d := open(t)
	s, token := d.signIn(t, "alice")
	remembers := func(step string, header http.Header, want bool) {
		t.Helper()
		if got := d.Remembers(&http.Request{Header: header}); got != want {
			t.Errorf("%s: got %v, want %v", step, got, want)
		}
	}
	remembers("no token", http.Header{}, true)
	remembers("before it is used", bearer(token), false)
	d.ask(t, bearer(token))
	remembers("after", bearer(token), true)
	remembers("as a cookie", cookie(token), true)
	made := secret.Random()
	d.ask(t, bearer(made))
	remembers("one that is nobody's", bearer(made), false)
	if _, err := d.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
		t.Fatal(err)
	}
	d.ask(t, bearer(token))
	remembers("one that was used after its session's end", bearer(token), false)
	_, token = d.signIn(t, "bob")
	d.ask(t, bearer(token))
	d.now = d.now.Add(25 * time.Hour)
	remembers("long after", bearer(token), false)
}

func TestCookieAndBearerAreOneKindOfThing(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, alice := d.signIn(t, "alice")
	_, bob := d.signIn(t, "bob")
	both := cookie(alice)
	both.Set("Authorization", "Bearer "+bob.Reveal())
	badBearer := cookie(alice)
	badBearer.Set("Authorization", "Bearer unknown")
	tests := []struct {
		name    string
		header  http.Header
		want    string
		cleared bool
		told    string // WWW-Authenticate
	}{
		{"no session", http.Header{}, "", false, ""},
		{"cookie", cookie(alice), "alice", false, ""},
		{"bearer", bearer(alice), "alice", false, ""},
		{"bearer wins", both, "bob", false, ""},
		{"an unknown cookie is cleared", cookie(secret.Random()), "", true, ""},
		{"an unknown bearer is anonymous, is told so, and leaves the cookie alone", badBearer, "", false, `Bearer error="invalid_token"`},
		{"basic authentication is not ours", http.Header{"Authorization": {"Basic eDp5"}}, "", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			who, resp := d.ask(t, tt.header)
			if who != tt.want || resp.StatusCode != http.StatusOK {
				t.Errorf("got %q, status %d, want %q", who, resp.StatusCode, tt.want)
			}
			if cleared := strings.Contains(resp.Header.Get("Set-Cookie"), "Max-Age=0"); cleared != tt.cleared {
				t.Errorf("cookie cleared: got %v, want %v", cleared, tt.cleared)
			}
			if told := resp.Header.Get("WWW-Authenticate"); told != tt.told {
				t.Errorf("WWW-Authenticate: got %q, want %q", told, tt.told)
			}
		})
	}
}

func TestTheEndOfASession(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		steps []time.Duration // the session is used after each
		lives bool
	}{
		{"used again and again it lives", []time.Duration{50 * time.Minute, 50 * time.Minute, 50 * time.Minute}, true},
		{"not used it ends", []time.Duration{61 * time.Minute}, false},
		{"used again and again it ends at last", []time.Duration{50 * time.Minute, 50 * time.Minute, 50 * time.Minute, 31 * time.Minute}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			_, token := d.signIn(t, "alice")
			who := ""
			for _, step := range tt.steps {
				d.now = d.now.Add(step)
				who, _ = d.ask(t, cookie(token))
			}
			if lives := who == "alice"; lives != tt.lives {
				t.Errorf("lives: got %v, want %v", lives, tt.lives)
			}
		})
	}
}

func TestLastSeenIsWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	d := open(t)
	s, token := d.signIn(t, "alice")
	began := d.now
	for _, tt := range []struct{ after, seen time.Duration }{
		{30 * time.Second, 0}, {59 * time.Second, 0}, {60 * time.Second, 60 * time.Second}, {110 * time.Second, 60 * time.Second},
	} {
		d.now = began.Add(tt.after)
		d.ask(t, cookie(token))
		list, err := d.List(t.Context(), s.UserID)
		if err != nil || len(list) != 1 {
			t.Fatalf("got %v, %v", list, err)
		}
		if got := list[0].LastSeenAt.Sub(began); got != tt.seen {
			t.Errorf("after %v: last seen %v in, want %v", tt.after, got, tt.seen)
		}
	}
}

func TestAStoreThatIsAwaySignsNobodyOut(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, token := d.signIn(t, "alice")
	if err := d.db.Close(); err != nil {
		t.Fatal(err)
	}
	_, resp := d.ask(t, cookie(token))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("got status %d, Set-Cookie %q", resp.StatusCode, resp.Header.Get("Set-Cookie"))
	}
	if who, resp := d.ask(t, http.Header{}); resp.StatusCode != http.StatusOK || who != "" {
		t.Errorf("an anonymous request got status %d", resp.StatusCode)
	}
}

func TestARequestOvertakenByANewSignInLeavesTheNewCookieAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	old, token := d.signIn(t, "alice")
	s, newer := d.New(t.Context(), session.Browser)
	if _, err := d.db.SignIn(t.Context(), login.SignIn{
		Issuer: "https://id.example.com", Subject: "alice", Session: s, SessionToken: newer, EndSessionID: old.ID,
		Tokens: grant.Tokens{Access: secret.New("access"), AccessExpiresAt: d.now.Add(time.Hour)},
	}, d.now); err != nil {
		t.Fatal(err)
	}
	who, resp := d.ask(t, cookie(token))
	if who != "" || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("got %q, Set-Cookie %q", who, resp.Header.Get("Set-Cookie"))
	}
	if _, resp = d.ask(t, bearer(token)); resp.Header.Get("WWW-Authenticate") == "" {
		t.Error("a bearer of the old token is not told that it is none")
	}
}

// readOnly is a store that can no longer be written.
type readOnly struct{ session.Store }

func (readOnly) Touch(context.Context, string, time.Time, time.Time) error {
	return errors.New("read-only")
}

func TestAStoreThatCannotBeWrittenStillTellsWhoIsCalling(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, token := d.signIn(t, "alice")
	d.Store = readOnly{d.Store}
	d.now = d.now.Add(10 * time.Minute)
	if who, resp := d.ask(t, cookie(token)); who != "alice" || resp.StatusCode != http.StatusOK {
		t.Errorf("got %q, status %d", who, resp.StatusCode)
	}
}

func TestTheRestOfARequestIsAnonymousOnceItsSessionHasEnded(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, token := d.signIn(t, "alice")
	for how, header := range map[string]http.Header{"cookie": cookie(token), "bearer": bearer(token)} {
		recorder := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header = header
		d.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			session.Leave(r.Context())
			if _, ok := session.FromContext(r.Context()); ok {
				t.Errorf("%s: still signed in", how)
			}
		})).ServeHTTP(recorder, r)
		if cleared := recorder.Header().Get("Set-Cookie") != ""; cleared != (how == "cookie") {
			t.Errorf("%s: cookie cleared %v", how, cleared)
		}
	}
}

// A connection that stays open has one request, and may be used for longer than a
// session is idle.
func TestRenewIsAUseOfTheSession(t *testing.T) {
	t.Parallel()
	d := open(t)
	s, token := d.signIn(t, "alice")
	ctx, err := d.WithBearer(t.Context(), "Bearer "+token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.now = d.now.Add(50 * time.Minute)
		if err := d.Renew(ctx); err != nil {
			t.Fatalf("a session in use: got %v", err)
		}
		if seen, ok := session.FromContext(ctx); !ok || d.now.Sub(seen.LastSeenAt) > time.Second || !seen.ExpiresAt.After(d.now) {
			t.Errorf("a session in use: got %+v, want it as it is now", seen)
		}
	}
	if _, err := d.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
		t.Fatal(err)
	}
	if err := d.Renew(ctx); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a session that was ended: got %v, want ErrNotFound", err)
	}
	if err := d.Renew(t.Context()); err != nil {
		t.Errorf("nobody's: got %v", err)
	}

	_, token = d.signIn(t, "bob")
	if ctx, err = d.WithBearer(t.Context(), "Bearer "+token.Reveal()); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(61 * time.Minute)
	if err := d.Renew(ctx); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a session that was idle: got %v, want ErrNotFound", err)
	}
}

func TestEndingSessions(t *testing.T) {
	t.Parallel()
	d := open(t)
	one, _ := d.signIn(t, "alice")
	_, two := d.signIn(t, "alice")
	_, other := d.signIn(t, "bob")
	if _, err := d.End(t.Context(), "someone else", one.ID, session.EndedByUser); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("someone else's session: got %v, want ErrNotFound", err)
	}
	if n, err := d.EndOthers(t.Context(), one.UserID, one.ID); n != 1 || err != nil {
		t.Errorf("EndOthers: got %d, %v", n, err)
	}
	if who, _ := d.ask(t, bearer(two)); who != "" {
		t.Errorf("the ended session is still %q's", who)
	}
	if who, _ := d.ask(t, bearer(other)); who != "bob" {
		t.Errorf("the other user's session is %q's", who)
	}
	if _, err := d.End(t.Context(), one.UserID, one.ID, session.LoggedOut); err != nil {
		t.Error(err)
	}
	if _, err := d.End(t.Context(), one.UserID, one.ID, session.LoggedOut); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a second end: got %v, want ErrNotFound", err)
	}
}

func TestTheCookieOverHTTPS(t *testing.T) {
	t.Parallel()
	m := &session.Manager{Secure: true, Lifetime: time.Hour}
	recorder := httptest.NewRecorder()
	m.SetCookie(recorder, secret.New("value"))
	got := recorder.Header().Get("Set-Cookie")
	if want := "__Host-galaxygate=value; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestABearerTokenPutsItsSessionIntoAContext(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, cookies := d.signIn(t, "alice")
	_, token := d.signIn(t, "bob")
	old, replaced := d.signIn(t, "carol")
	if _, err := d.End(t.Context(), old.UserID, old.ID, session.LoggedOut); err != nil {
		t.Fatal(err)
	}
	ctx, err := d.WithBearer(t.Context(), "Bearer "+cookies.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, authorization, want string
		err                       error
	}{
		{"nothing", "", "alice", nil},
		{"another scheme", "Basic eDp5", "alice", nil},
		{"a token", "bearer " + token.Reveal(), "bob", nil},
		{"an unknown token", "Bearer unknown", "", session.ErrNotFound},
		{"a token of a session that has ended", "Bearer " + replaced.Reveal(), "", session.ErrNotFound},
		{"no token", "Bearer ", "", session.ErrNotFound},
	}
	for _, tt := range tests {
		got, err := d.WithBearer(ctx, tt.authorization)
		if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.err)
			continue
		}
		if err != nil {
			continue
		}
		s, _ := session.FromContext(got)
		if s.Subject != tt.want || audit.ActorFrom(got).SessionID != s.ID {
			t.Errorf("%s: got %q as %v", tt.name, s.Subject, audit.ActorFrom(got))
		}
	}
	if err := d.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WithBearer(ctx, "Bearer "+token.Reveal()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("a store that is away: got %v", err)
	}
}

// afterwards is a response whose header is touched only before it is taken over.
type afterwards struct {
	http.ResponseWriter
	t     *testing.T
	taken bool
}

func (a *afterwards) Header() http.Header {
	if a.taken {
		a.t.Error("the header was touched after the connection was taken over")
	}
	return a.ResponseWriter.Header()
}

func TestASessionIsLeftAlsoOverAWebSocket(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, token := d.signIn(t, "alice")
	w := &afterwards{ResponseWriter: httptest.NewRecorder(), t: t}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = cookie(token)
	r.Header.Set("Upgrade", "websocket")
	d.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.taken = true
		session.Leave(r.Context())
		if _, ok := session.FromContext(r.Context()); ok {
			t.Error("still signed in")
		}
	})).ServeHTTP(w, r)
}
