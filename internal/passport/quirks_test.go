package passport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		methods   any
		wantBasic bool
	}{
		{name: "discovery without methods means client_secret_basic", methods: nil, wantBasic: true},
		{name: "an empty list means client_secret_basic", methods: []string{}, wantBasic: true},
		{name: "Rollup takes client_secret_post alone", methods: []string{"client_secret_post"}, wantBasic: false},
		{name: "Basic wins where both are taken", methods: []string{"client_secret_post", "client_secret_basic"}, wantBasic: true},
		{name: "unknown methods are passed over", methods: []string{"private_key_jwt", "client_secret_post"}, wantBasic: false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.metadata["token_endpoint_auth_methods_supported"] = tt.methods
			f.mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
				id, password, basic := r.BasicAuth()
				if basic != tt.wantBasic {
					t.Errorf("basic: got %v, want %v", basic, tt.wantBasic)
				}
				if basic {
					id, _ = url.QueryUnescape(id)
					password, _ = url.QueryUnescape(password)
				}
				if form := r.PostFormValue("client_secret"); basic && form != "" {
					t.Error("the secret came twice")
				} else if !basic {
					id, password = r.PostFormValue("client_id"), form
				}
				if id != clientID || password != clientSecret {
					t.Errorf("client: got %q %q, want %q %q", id, password, clientID, clientSecret)
				}
				http.Error(w, "no", http.StatusInternalServerError)
			})
			c, written := f.client(nil)
			_, err := c.Refresh(t.Context(), secret.New(presented))
			checkFailure(t, err, grant.Later, "http_500", written)
			if got := f.count("/token"); got != 1 {
				t.Errorf("requests: got %d, want 1: the style is never found by trying", got)
			}
		})
	}
}

func TestTokenRequests(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	var got atomic.Pointer[url.Values]
	f.mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got.Store(&r.PostForm)
		http.Error(w, "no", http.StatusInternalServerError)
	})
	c, _ := f.client(nil)
	_, _ = c.Refresh(t.Context(), secret.New("r"))
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r"}}
	if got := got.Load().Encode(); got != want.Encode() {
		t.Errorf("refresh: got %s, want %s", got, want.Encode())
	}
	_, _, _ = c.Exchange(t.Context(), secret.New("c"), secret.New("v"), secret.New("n"))
	want = url.Values{
		"grant_type": {"authorization_code"}, "code": {"c"}, "code_verifier": {"v"},
		"redirect_uri": {"http://localhost:8080/auth/callback"},
	}
	if got := got.Load().Encode(); got != want.Encode() {
		t.Errorf("exchange: got %s, want %s", got, want.Encode())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.metadata["revocation_endpoint"] = f.url + "/revoke"
			for _, path := range []string{"/token", "/userinfo", "/revoke"} {
				f.mux.Handle(path, http.RedirectHandler(elsewhere.URL, status))
			}
			c, written := f.client(nil)
			_, err := c.Refresh(t.Context(), secret.New(presented))
			checkFailure(t, err, grant.Later, "redirected", written)
			err = c.UserInfo(t.Context(), secret.New(presented), subject, &struct{}{})
			checkFailure(t, err, grant.Later, "redirected", written)
			_, err = c.Revoke(t.Context(), secret.New(presented), secret.Text{})
			checkFailure(t, err, grant.Later, "redirected", written)
			if got := stolen.Load(); got != 0 {
				t.Errorf("requests elsewhere: got %d, want 0", got)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // only then is the client's leaving seen
		<-r.Context().Done()
	}
	hangInBody := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"at-tok3n`))
		w.(http.Flusher).Flush()
		hang(w, r)
	}
	drop := func(reset bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Errorf("hijack: %v", err)
				return
			}
			if reset {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			_ = conn.Close()
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
		want    string
	}{
		{name: "a provider that hangs", handler: hang, timeout: 50 * time.Millisecond, want: "timeout"},
		{name: "a provider that hangs in the middle of a body", handler: hangInBody, timeout: 50 * time.Millisecond, want: "timeout"},
		{name: "a connection closed without an answer", handler: drop(false), want: "connection_closed"},
		{name: "a connection reset", handler: drop(true), want: "connection_reset"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.mux.HandleFunc("/token", tt.handler)
			c, written := f.client(func(cfg *passport.Config) { cfg.Timeout = tt.timeout })
			_, err := c.Refresh(t.Context(), secret.New(presented))
			checkFailure(t, err, grant.Later, tt.want, written)
			if got := f.count("/token"); got != 1 {
				t.Errorf("requests: got %d, want 1: a refresh token is presented once", got)
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.metadata["token_endpoint"] = "http://" + listener.Addr().String() + "/token"
	_ = listener.Close()
	c, written := f.client(nil)
	_, err = c.Refresh(t.Context(), secret.New(presented))
	checkFailure(t, err, grant.Later, "connection_refused", written)
	if grant.AsFailure(err).Err == nil {
		t.Error("cause: got none, want the address that refused")
	}
}

func TestCallersContext(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	arrived := make(chan struct{})
	f.mux.HandleFunc("/token", func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		close(arrived)
		<-r.Context().Done()
	})
	c, written := f.client(nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := c.Refresh(ctx, secret.New(presented))
	checkFailure(t, err, grant.Later, "canceled", written)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cause: got %v, want %v", errors.Unwrap(err), context.Canceled)
	}
}

func TestRollupsTokens(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	access := f.key.sign(t, map[string]any{"exp": clock().Add(time.Hour).Unix(), "scope": "openid profile"})
	tests := []struct {
		name       string
		answer     map[string]any
		wantLife   time.Duration
		wantScopes []string
	}{
		{
			name:     "expiry and scopes come from the access token where the reply has none",
			answer:   map[string]any{"access_token": access},
			wantLife: time.Hour, wantScopes: []string{"openid", "profile"},
		},
		{
			name:     "the reply's expiry and scopes go before the access token's",
			answer:   map[string]any{"access_token": access, "expires_in": 60, "scope": "openid"},
			wantLife: time.Minute, wantScopes: []string{"openid"},
		},
		{
			name:     "an opaque token without expires_in gets the assumed life, never for ever",
			answer:   map[string]any{"access_token": "opaque"},
			wantLife: 7 * time.Minute,
		},
		{
			name:     "what looks like a JWT and is none is opaque",
			answer:   map[string]any{"access_token": "a.b.c"},
			wantLife: 7 * time.Minute,
		},
		{
			name:     "an ID token that comes with a refresh is not looked at",
			answer:   map[string]any{"access_token": access, "id_token": "nonsense"},
			wantLife: time.Hour, wantScopes: []string{"openid", "profile"},
		},
		{
			name:     "a token that lives beyond 2038 does not wrap around",
			answer:   map[string]any{"access_token": f.key.sign(t, map[string]any{"exp": clock().AddDate(20, 0, 0).Unix()})},
			wantLife: clock().AddDate(20, 0, 0).Sub(clock()),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.answer(tt.answer)
			c, _ := f.client(nil)
			got := mustRefresh(t, c)
			if life := got.AccessExpiresAt.Sub(clock()); life != tt.wantLife {
				t.Errorf("life: got %s, want %s", life, tt.wantLife)
			}
			if !slices.Equal(got.Scopes, tt.wantScopes) || (got.Scopes == nil) != (tt.wantScopes == nil) {
				t.Errorf("scopes: got %#v, want %#v", got.Scopes, tt.wantScopes)
			}
			if !got.Refresh.IsZero() {
				t.Error("refresh token: got one, want none, so that the old one is kept")
			}
		})
	}
}

func TestTheEndOfARefreshToken(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	key := newSigner(t, "k1")
	ending := func(at time.Duration) string { return key.sign(t, map[string]any{"exp": clock().Add(at).Unix()}) }
	tests := []struct {
		name    string
		answer  map[string]any
		assumed time.Duration
		want    time.Duration // 0: unknown
	}{
		{"Keycloak says it", map[string]any{"refresh_token": "new", "refresh_expires_in": 1800}, 0, 30 * time.Minute},
		{"GitHub and Microsoft say it", map[string]any{"refresh_token": "new", "refresh_token_expires_in": "15811200"}, 0, 183 * day},
		{"said of a token that is kept", map[string]any{"refresh_expires_in": 1800.0}, day, 30 * time.Minute},
		{"a JWT says it", map[string]any{"refresh_token": ending(day)}, 0, day},
		{"the reply goes before the JWT, and both before the setting", map[string]any{"refresh_token": ending(day), "refresh_expires_in": 60}, time.Hour, time.Minute},
		{"the JWT goes before the setting", map[string]any{"refresh_token": ending(day)}, time.Hour, day},
		{"a JWT that is past says nothing", map[string]any{"refresh_token": ending(-day)}, 0, 0},
		{"nobody says it", map[string]any{"refresh_token": "new"}, 0, 0},
		{"the setting says it of a new token", map[string]any{"refresh_token": "new"}, 90 * day, 90 * day},
		{"a JWT without an end has the setting's", map[string]any{"refresh_token": key.sign(t, map[string]any{"jti": "1"})}, 90 * day, 90 * day},
		{"the setting says nothing of a token that is kept", map[string]any{}, 90 * day, 0},
		{"nor of the one presented, come again", map[string]any{"refresh_token": "presented-tok3n"}, 90 * day, 0},
		{"0 is not an end", map[string]any{"refresh_token": "new", "refresh_expires_in": 0}, 0, 0},
		{"nonsense is not an end", map[string]any{"refresh_token": "new", "refresh_expires_in": "soon"}, 0, 0},
		{"an end beyond all time is bounded", map[string]any{"refresh_token": "new", "refresh_expires_in": 1e300}, 0, (1 << 31) * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			tt.answer["access_token"] = "at-tok3n"
			f.answer(tt.answer)
			c, _ := f.client(func(cfg *passport.Config) { cfg.RefreshLife = tt.assumed })
			want := time.Time{}
			if tt.want != 0 {
				want = clock().Add(tt.want)
			}
			if got := mustRefresh(t, c).RefreshExpiresAt; !got.Equal(want) {
				t.Errorf("end: got %s, want %s", got, want)
			}
		})
	}
}

func TestAuthCodeURL(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	c, _ := f.client(nil)
	tests := []struct {
		name                  string
		scopes                []string
		consent               bool
		wantScope, wantPrompt string
	}{
		{name: "the scopes asked for", scopes: []string{"openid", "email"}, wantScope: "openid email"},
		{name: "openid is added", scopes: []string{"email"}, wantScope: "openid email"},
		{name: "offline_access asks for consent", scopes: []string{"openid", "offline_access"}, wantScope: "openid offline_access", wantPrompt: "consent"},
		{name: "consent that is to be asked for", scopes: []string{"openid"}, consent: true, wantScope: "openid", wantPrompt: "consent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.AuthCodeURL(t.Context(), passport.Authorization{
				State: secret.New("s"), Nonce: secret.New("n"), Scopes: tt.scopes, Consent: tt.consent,
				Verifier: secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), // RFC 7636, appendix B
			})
			if err != nil {
				t.Fatal(err)
			}
			want := url.Values{
				"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {"http://localhost:8080/auth/callback"},
				"scope": {tt.wantScope}, "state": {"s"}, "nonce": {"n"}, "code_challenge_method": {"S256"},
				"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
			}
			if tt.wantPrompt != "" {
				want.Set("prompt", tt.wantPrompt)
			}
			if want := f.url + "/authorize?" + want.Encode(); got != want {
				t.Errorf("URL:\n got %s\nwant %s", got, want)
			}
		})
	}
	if _, err := c.AuthCodeURL(t.Context(), passport.Authorization{State: secret.New("s"), Nonce: secret.New("n")}); err == nil {
		t.Error("without a verifier: got no error")
	}
}

func TestLogNamesCalls(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.answer(map[string]any{"access_token": "at-tok3n", "refresh_token": "rt-tok3n"})
	c, written := f.client(nil)
	mustRefresh(t, c)
	for _, want := range []string{"provider discovered", "client_auth=client_secret_basic", "call=refresh"} {
		if !strings.Contains(written.String(), want) {
			t.Errorf("log: got %s, want it to hold %q", written, want)
		}
	}
	if strings.Contains(written.String(), "tok3n") {
		t.Errorf("a secret got out: %s", written)
	}
}
