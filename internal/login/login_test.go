package login_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/redirect"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// provider vouches for Alice, and says nothing of scopes. The real ones are
// driven by the end-to-end tests.
type provider struct {
	refresh string // what the next sign-in brings
	other   bool   // userinfo is about another person
	iss     string // what the callback is called with beside the code
	asked   []string
	consent bool // was to be asked for

	// exchanging is called while the code is exchanged; nil: nothing is
	exchanging func()

	logout    passport.Logout // what the next logout token says
	logoutErr error
}

func (p *provider) AuthCodeURL(_ context.Context, a passport.Authorization) (string, error) {
	p.asked, p.consent = a.Scopes, a.Consent
	return "https://id.example.com/authorize?state=" + a.State.Reveal(), nil
}

func (p *provider) Exchange(context.Context, secret.Text, secret.Text, secret.Text) (passport.Identity, grant.Tokens, error) {
	if p.exchanging != nil {
		p.exchanging()
	}
	return passport.Identity{Issuer: "https://id.example.com", Subject: "alice"},
		grant.Tokens{Access: secret.New("access"), Refresh: secret.New(p.refresh), AccessExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (p *provider) UserInfo(context.Context, secret.Text, string, any) error {
	if p.other {
		return grant.ErrSubjectMismatch
	}
	return nil
}

func (p *provider) VerifyLogout(context.Context, secret.Text) (passport.Logout, error) {
	return p.logout, p.logoutErr
}

// readOnly is a store that can no longer be written.
type readOnly struct{ login.Store }

func (readOnly) SignIn(context.Context, login.SignIn, time.Time) (session.Session, error) {
	return session.Session{}, errors.New("read-only")
}

// desk is a handler behind https, and one browser.
type desk struct {
	*login.Handler
	provider *provider
	db       *store.DB
	http     http.Handler
	cookies  map[string]*http.Cookie
}

func open(t *testing.T) *desk {
	t.Helper()
	db := testdb.SQLite(t)()
	returns, err := redirect.Parse(redirects)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	sessions := &session.Manager{
		Store: db, Ender: db, IdleTimeout: time.Hour, Lifetime: time.Hour, Secure: true,
		Unavailable: http.NotFoundHandler(), Now: time.Now, Logger: logger,
	}
	d := &desk{provider: &provider{refresh: "refresh-1"}, db: db, cookies: make(map[string]*http.Cookie)}
	d.Handler = &login.Handler{
		Provider: d.provider, Store: db, Grants: db, Outbox: db, Sessions: sessions, Audit: db, Scopes: []string{"openid", "email"},
		PublicURL: &url.URL{Scheme: "https", Host: "gate.example.com"}, Returns: returns, Clients: []string{"native", "other"}, Now: time.Now, Logger: logger,
	}
	mux := http.NewServeMux()
	for pattern, handler := range d.Routes() {
		mux.Handle(pattern, handler)
	}
	d.http = sessions.Middleware(mux)
	return d
}

// send sends a request with the browser's cookies and keeps those of the answer.
func (d *desk) send(method, target string) *http.Response {
	r := httptest.NewRequest(method, "https://gate.example.com"+target, nil)
	for _, cookie := range d.cookies {
		r.AddCookie(cookie)
	}
	recorder := httptest.NewRecorder()
	d.http.ServeHTTP(recorder, r)
	resp := recorder.Result()
	for _, cookie := range resp.Cookies() {
		d.cookies[cookie.Name] = cookie
	}
	return resp
}

func (d *desk) signIn(t *testing.T, query string) *http.Response {
	t.Helper()
	at, err := d.send(http.MethodGet, "/auth/login"+query).Location()
	if err != nil {
		t.Fatal(err)
	}
	return d.send(http.MethodGet, "/auth/callback?code=c&state="+at.Query().Get("state")+d.provider.iss)
}

// pending returns the refresh tokens that are to be revoked, and claims them.
func (d *desk) pending(t *testing.T) []string {
	t.Helper()
	var all []string
	for {
		p, err := d.db.ClaimRevocation(t.Context(), grant.RevokeTokens, time.Hour)
		if errors.Is(err, grant.ErrNotFound) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Tokens.Refresh.Reveal())
	}
}

func TestSigningInAgainRevokesTheReplacedToken(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	d.signIn(t, "")
	if pending := d.pending(t); len(pending) != 0 {
		t.Errorf("to be revoked: %q, which is the stored token once more", pending)
	}
	d.provider.refresh = "refresh-2"
	d.signIn(t, "")
	if pending := d.pending(t); !slices.Equal(pending, []string{"refresh-1"}) {
		t.Errorf("to be revoked: %q, want refresh-1", pending)
	}
}

func TestTheTokensOfARefusedSignInAreRevoked(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(*provider){
		"an answer of another issuer": func(p *provider) { p.iss = "&iss=https://evil.example.com" },
		"tokens of another person":    func(p *provider) { p.other = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			refuse(d.provider)
			if resp := d.signIn(t, ""); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("got status %d", resp.StatusCode)
			}
			if pending := d.pending(t); !slices.Equal(pending, []string{"refresh-1"}) {
				t.Errorf("to be revoked: %q, want refresh-1", pending)
			}
		})
	}
}

func TestASignInThatCannotBeStoredRevokesNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	d.Store = readOnly{d.Store}
	if resp := d.signIn(t, ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got status %d", resp.StatusCode)
	}
	if pending := d.pending(t); len(pending) != 0 {
		t.Errorf("to be revoked: %q, which the stored grant holds", pending)
	}
}

// hungLog is an audit log whose store answers nothing.
type hungLog struct{}

func (hungLog) Record(ctx context.Context, _ audit.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestABrowserDoesNotWaitTwiceForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	d := open(t)
	at, err := d.send(http.MethodGet, "/auth/login").Location()
	if err != nil {
		t.Fatal(err)
	}
	d.Store, d.Audit = readOnly{d.Store}, hungLog{}
	answered := make(chan int, 1)
	go func() {
		answered <- d.send(http.MethodGet, "/auth/callback?code=c&state="+at.Query().Get("state")).StatusCode
	}()
	select {
	case status := <-answered:
		if status != http.StatusServiceUnavailable {
			t.Errorf("got status %d", status)
		}
	case <-time.After(10 * time.Second):
		t.Error("the browser waits for the audit log")
	}
}

func TestASignInWhoseCodeIsSpentIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := open(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	d.provider.exchanging = func() {
		close(began)
		<-goOn
	}
	answered := make(chan int, 1)
	go func() { answered <- d.signIn(t, "").StatusCode }()
	<-began
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait while the code is exchanged: got %v, want context.Canceled", err)
	}
	close(goOn)
	if err := d.Wait(t.Context()); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if grants, err := d.db.GrantsByStatus(t.Context()); err != nil || grants["active"] != 1 {
		t.Errorf("grants when nobody is waited for: got %v, %v, want one", grants, err)
	}
	if status := <-answered; status != http.StatusSeeOther {
		t.Errorf("got status %d", status)
	}
}

func TestScopesOfASilentProviderAreThoseAskedFor(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "?scope=profile+email")
	if want := []string{"openid", "email", "profile"}; !slices.Equal(d.provider.asked, want) {
		t.Errorf("asked for %q, want %q", d.provider.asked, want)
	}
	d.send(http.MethodGet, "/auth/login?scope=erc_4337")
	if want := []string{"openid", "email", "erc_4337", "profile"}; !slices.Equal(d.provider.asked, want) {
		t.Errorf("a signed-in user: asked for %q, want %q, with what was granted", d.provider.asked, want)
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	for _, name := range []string{"__Host-galaxygate", "__Host-galaxygate-login"} {
		c := d.cookies[name]
		if c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || len(c.Value) != 43 {
			t.Errorf("%s: got %v", name, c)
		}
	}
	if life := d.cookies["__Host-galaxygate-login"].MaxAge; life != 600 {
		t.Errorf("the sign-in cookie lives %d s", life)
	}
}

func TestLogoutClearsOnlyACookieThatCame(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	cookies := d.cookies
	d.cookies = make(map[string]*http.Cookie) // as from another site: SameSite keeps them back
	if resp := d.send(http.MethodPost, "/auth/logout"); len(resp.Cookies()) != 0 {
		t.Errorf("without a cookie: got %v", resp.Cookies())
	}
	d.cookies = cookies
	if resp := d.send(http.MethodPost, "/auth/logout"); len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge != -1 {
		t.Errorf("with a cookie: got %v", resp.Cookies())
	}
}

func TestALookBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	d := open(t)
	for _, path := range []string{"/auth/login", "/auth/callback", "/auth/authorize"} {
		if resp := d.send(http.MethodHead, path); resp.StatusCode != http.StatusMethodNotAllowed || len(resp.Cookies()) != 0 {
			t.Errorf("HEAD %s: got %d", path, resp.StatusCode)
		}
	}
}
