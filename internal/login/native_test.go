package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// redirects are what the desk allows.
var redirects = []string{
	"https://app.example.com/signed-in", "https://app.example.com/with?own=query&a=%20b", "https://app.example.com/below/*",
	"com.example.app:/signed-in", "http://127.0.0.1/signed-in", "https://127.0.0.1:5000/signed-in", "https://localhost/signed-in",
	"https://pages.example.com/signed-in", "https://Pages.example.com:443/signed-in", "https://gate.example.com/signed-in",
}

const (
	appRedirect = "com.example.app:/signed-in"
	// RFC 7636, appendix B
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// with returns the parameters with changes; an empty value takes one away.
func with(parameters url.Values, changes map[string]string) url.Values {
	parameters = maps.Clone(parameters)
	for name, value := range changes {
		parameters.Set(name, value)
		if value == "" {
			parameters.Del(name)
		}
	}
	return parameters
}

func (d *desk) authorize(changes map[string]string) *http.Response {
	return d.send(http.MethodGet, "/auth/authorize?"+with(url.Values{
		"response_type": {"code"}, "client_id": {"native"}, "redirect_uri": {appRedirect}, "state": {"its own"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}, changes).Encode())
}

// signInApp signs the browser's user in for an app, where the provider answers so, and
// returns where the browser is sent.
func (d *desk) signInApp(t *testing.T, changes map[string]string, answer string) *url.URL {
	t.Helper()
	resp := d.authorize(changes)
	at, err := resp.Location()
	if err != nil {
		t.Fatalf("authorize: got %d", resp.StatusCode)
	}
	resp = d.send(http.MethodGet, "/auth/callback?"+answer+"&state="+at.Query().Get("state"))
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("callback: got %d", resp.StatusCode)
	}
	if at, err = resp.Location(); err != nil {
		t.Fatal(err)
	}
	return at
}

func (d *desk) code(t *testing.T) string {
	t.Helper()
	return d.signInApp(t, nil, "code=c").Query().Get("code")
}

// post sends a form, as apps do: without any cookie.
func (d *desk) post(path string, form url.Values, header http.Header) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "https://gate.example.com"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	maps.Copy(r.Header, header)
	recorder := httptest.NewRecorder()
	d.http.ServeHTTP(recorder, r)
	return recorder.Result()
}

func fetching(code string, changes map[string]string) url.Values {
	return with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"native"}, "code": {code},
		"redirect_uri": {appRedirect}, "code_verifier": {verifier},
	}, changes)
}

// fetch uses the code rightly and returns the token, and the error where there is none.
func (d *desk) fetch(t *testing.T, code string) (token, problem string) {
	t.Helper()
	var answer map[string]any
	if err := json.NewDecoder(d.post("/auth/token", fetching(code, nil), nil).Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	token, _ = answer["access_token"].(string)
	problem, _ = answer["error"].(string)
	return token, problem
}

// holder returns the session of the token.
func (d *desk) holder(t *testing.T, token string) (session.Session, error) {
	t.Helper()
	return d.Sessions.Store.Session(t.Context(), secret.New(token).Hash(), time.Now())
}

func TestNobodyIsSentWhereAnAppMayNotBe(t *testing.T) {
	t.Parallel()
	d := open(t)
	for name, query := range map[string]string{
		"no client":                "redirect_uri=" + appRedirect,
		"an unknown client":        "client_id=galaxygate&redirect_uri=" + appRedirect,
		"no address":               "client_id=native",
		"an unknown address":       "client_id=native&redirect_uri=https://evil.example.com/",
		"an address below another": "client_id=native&redirect_uri=https://app.example.com/below/it",
		"a path of the gateway":    "client_id=native&redirect_uri=/",
		"the gateway":              "client_id=native&redirect_uri=https://gate.example.com/",
		"two clients":              "client_id=native&client_id=native&redirect_uri=" + appRedirect,
		"two states":               "client_id=native&state=a&state=a&redirect_uri=" + appRedirect,
		"no query":                 "%zz",
	} {
		resp := d.send(http.MethodGet, "/auth/authorize?"+query)
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || len(resp.Cookies()) != 0 {
			t.Errorf("%s: got %d with %v", name, resp.StatusCode, resp.Header)
		}
	}
}

func TestAnAppIsToldWhatIsWrongWithItsRequest(t *testing.T) {
	t.Parallel()
	d := open(t)
	for _, tt := range []struct {
		name, value, want string
	}{
		{"response_type", "", "invalid_request"},
		{"response_type", "token", "unsupported_response_type"},
		{"response_mode", "fragment", "invalid_request"},
		{"code_challenge", "", "invalid_request"},
		{"code_challenge", verifier + "A", "invalid_request"},
		{"code_challenge", challenge + "\n", "invalid_request"},
		{"code_challenge_method", "", "invalid_request"},
		{"code_challenge_method", "plain", "invalid_request"},
		{"scope", `open"id`, "invalid_scope"},
		{"state", strings.Repeat("x", 1025), "invalid_request"},
		{"state", "\x00", "invalid_request"},
		{"request", "e30.e30.", "request_not_supported"},
		{"request_uri", "https://app.example.com/", "request_uri_not_supported"},
		{"prompt", "none", "interaction_required"},
	} {
		resp := d.authorize(map[string]string{tt.name: tt.value})
		at, err := resp.Location()
		if err != nil {
			t.Errorf("%s %q: got %d", tt.name, tt.value, resp.StatusCode)
			continue
		}
		query, state := at.Query(), "its own"
		if tt.name == "state" {
			state = ""
		}
		at.RawQuery = ""
		if at.String() != appRedirect || query.Get("error") != tt.want || query.Get("error_description") == "" ||
			query.Get("state") != state || query.Get("iss") != "https://gate.example.com" || query.Has("code") {
			t.Errorf("%s %q: sent to %s with %v, want %s", tt.name, tt.value, at, query, tt.want)
		}
	}
	if d.provider.asked != nil {
		t.Error("the provider was asked")
	}
}

func TestTheProviderAsksWhereNobodyVouchesForTheApp(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.Pages = []string{"https://pages.example.com"}
	for address, want := range map[string]bool{
		appRedirect: true, "http://127.0.0.1:5000/signed-in": true, "https://app.example.com/signed-in": false,
		"https://127.0.0.1:5000/signed-in": true, "https://localhost/signed-in": true,
		"https://pages.example.com/signed-in": true, "https://Pages.example.com:443/signed-in": true, "https://gate.example.com/signed-in": true,
	} {
		d.authorize(map[string]string{"redirect_uri": address, "scope": "erc_4337"})
		if d.provider.consent != want || !slices.Equal(d.provider.asked, []string{"openid", "email", "erc_4337"}) {
			t.Errorf("%s: asked for consent: %v, for %q", address, d.provider.consent, d.provider.asked)
		}
	}
	if d.send(http.MethodGet, "/auth/login"); d.provider.consent {
		t.Error("a browser is asked")
	}
}

func TestABrowserOfAnotherNameIsSentHomeForTheApp(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.PublicURL = &url.URL{Scheme: "http", Host: "localhost:8080"}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080/auth/authorize?a=b", nil)
	recorder := httptest.NewRecorder()
	d.http.ServeHTTP(recorder, r)
	if got := recorder.Result().Header.Get("Location"); got != "http://localhost:8080/auth/authorize?a=b" {
		t.Errorf("sent to %q", got)
	}
}

func TestTheAppGetsACodeAndTheBrowserNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	own := d.cookies["__Host-galaxygate"].Value
	at := d.signInApp(t, map[string]string{"redirect_uri": "https://app.example.com/with?own=query&a=%20b"}, "code=c")
	query := at.Query()
	if !strings.HasPrefix(at.String(), "https://app.example.com/with?own=query&a=%20b&") || len(query.Get("code")) != 43 ||
		query.Get("state") != "its own" || query.Get("iss") != "https://gate.example.com" {
		t.Errorf("sent to %s", at)
	}
	if d.cookies["__Host-galaxygate"].Value != own {
		t.Error("the browser has another session")
	}
	if _, err := d.holder(t, own); err != nil {
		t.Errorf("the browser's session: %v", err)
	}
	sessions, err := d.Sessions.List(t.Context(), d.user(t))
	if err != nil || len(sessions) != 2 || sessions[0].Kind != session.Native || time.Until(sessions[0].ExpiresAt) > time.Minute {
		t.Errorf("sessions: %+v, %v", sessions, err)
	}
}

func TestTheAppLearnsWhyASignInFailed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		trouble      func(*desk)
		want         string
	}{
		{"a user who says no", "error=access_denied", nil, "access_denied"},
		{"no code", "", nil, "server_error"},
		{"a provider that is away", "error=temporarily_unavailable", nil, "temporarily_unavailable"},
		{"another person's tokens", "code=c", func(d *desk) { d.provider.other = true }, "server_error"},
		{"a store that is away", "code=c", func(d *desk) { d.Store = readOnly{d.Store} }, "temporarily_unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			if tt.trouble != nil {
				tt.trouble(d)
			}
			query := d.signInApp(t, nil, tt.answer).Query()
			if query.Get("error") != tt.want || query.Get("state") != "its own" || query.Get("iss") == "" || query.Has("code") {
				t.Errorf("told %v, want %s", query, tt.want)
			}
		})
	}
}

func TestACodeIsGoodForOneSession(t *testing.T) {
	t.Parallel()
	d := open(t)
	resp := d.post("/auth/token", fetching(d.code(t), nil), http.Header{"Authorization": {"Bearer of-a-session"}})
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || answer.TokenType != "Bearer" || answer.ExpiresIn < 3500 || answer.ExpiresIn > 3600 ||
		answer.Scope != "openid email" || len(answer.AccessToken) != 43 {
		t.Errorf("got %d, %+v", resp.StatusCode, answer)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if s, err := d.holder(t, answer.AccessToken); err != nil || s.Kind != session.Native || s.Subject != "alice" {
		t.Errorf("session: %+v, %v", s, err)
	}
}

func TestACodeIsSpentByItsFirstUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		changes map[string]string
		status  int
		want    string
	}{
		{"another verifier", map[string]string{"code_verifier": strings.Repeat("a", 43)}, 400, "invalid_grant"},
		{"a short verifier", map[string]string{"code_verifier": "a"}, 400, "invalid_grant"},
		{"the challenge as verifier", map[string]string{"code_verifier": challenge}, 400, "invalid_grant"},
		{"another address", map[string]string{"redirect_uri": "http://127.0.0.1/signed-in"}, 400, "invalid_grant"},
		{"another client", map[string]string{"client_id": "other"}, 400, "invalid_grant"},
		{"an unknown client", map[string]string{"client_id": "galaxygate"}, 401, "invalid_client"},
		{"no verifier", map[string]string{"code_verifier": ""}, 400, "invalid_request"},
		{"no address", map[string]string{"redirect_uri": ""}, 400, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			code := d.code(t)
			wantRefusal(t, d.post("/auth/token", fetching(code, tt.changes), nil), tt.status, tt.want)
			if token, problem := d.fetch(t, code); token != "" || problem != "invalid_grant" {
				t.Errorf("used rightly then: got %q, %q", token, problem)
			}
		})
	}
}

// A verifier that can be guessed proves nothing.
func TestAVerifierIsLong(t *testing.T) {
	t.Parallel()
	d := open(t)
	for guess, want := range map[string]int{
		strings.Repeat("a", 42): http.StatusBadRequest, strings.Repeat("a", 43): http.StatusOK,
		strings.Repeat("~", 128): http.StatusOK, strings.Repeat("~", 129): http.StatusBadRequest,
		strings.Repeat("a", 42) + "+": http.StatusBadRequest,
	} {
		sum := sha256.Sum256([]byte(guess))
		code := d.signInApp(t, map[string]string{"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:])}, "code=c").Query().Get("code")
		if resp := d.post("/auth/token", fetching(code, map[string]string{"code_verifier": guess}), nil); resp.StatusCode != want {
			t.Errorf("%q: got %d, want %d", guess, resp.StatusCode, want)
		}
	}
}

func TestAReplayEndsTheSession(t *testing.T) {
	t.Parallel()
	d := open(t)
	code := d.code(t)
	token, _ := d.fetch(t, code)
	if _, err := d.holder(t, token); err != nil {
		t.Fatal(err)
	}
	if again, problem := d.fetch(t, code); again != "" || problem != "invalid_grant" {
		t.Errorf("a replay: got %q, %q", again, problem)
	}
	if _, err := d.holder(t, token); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after a replay: got %v", err)
	}
}

// A request that is no use of a code leaves it.
func TestRequestsThatAreNoUseOfACode(t *testing.T) {
	t.Parallel()
	d := open(t)
	code := d.code(t)
	basic := http.Header{"Authorization": {"Basic bmF0aXZlOng="}}
	for _, tt := range []struct {
		name, path string
		form       url.Values
		header     http.Header
		status     int
		want       string
	}{
		{"no client", "", fetching(code, map[string]string{"client_id": ""}), nil, 400, "invalid_request"},
		{"a client with a password", "", fetching(code, nil), basic, 401, "invalid_client"},
		{"a client with a secret", "", fetching(code, map[string]string{"client_secret": "x"}), nil, 401, "invalid_client"},
		{"a client with an assertion", "", fetching(code, map[string]string{"client_assertion": "x"}), nil, 401, "invalid_client"},
		{"no grant type", "", fetching(code, map[string]string{"grant_type": ""}), nil, 400, "invalid_request"},
		{"a refresh", "", fetching(code, map[string]string{"grant_type": "refresh_token"}), nil, 400, "unsupported_grant_type"},
		{"no code", "", fetching("", nil), nil, 400, "invalid_request"},
		{"two codes", "", url.Values{"code": {code, code}, "client_id": {"native"}}, nil, 400, "invalid_request"},
		{"JSON", "", fetching(code, nil), http.Header{"Content-Type": {"application/json"}}, 400, "invalid_request"},
		{"parameters in the address", "?code=" + code, fetching(code, nil), nil, 400, "invalid_request"},
		{"a form without end", "", fetching(code, map[string]string{"x": strings.Repeat("x", 20_000)}), nil, 400, "invalid_request"},
	} {
		resp := d.post("/auth/token"+tt.path, tt.form, tt.header)
		if challenged := resp.Header.Get("WWW-Authenticate") != ""; challenged != (tt.status == http.StatusUnauthorized) {
			t.Errorf("%s: WWW-Authenticate: %q", tt.name, resp.Header.Get("WWW-Authenticate"))
		}
		wantRefusal(t, resp, tt.status, tt.want)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut} {
		resp := d.send(method, "/auth/token")
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost ||
			resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d with %v", method, resp.StatusCode, resp.Header)
		}
	}
	if token, problem := d.fetch(t, code); token == "" {
		t.Errorf("the code is gone: %s", problem)
	}
}

// gone is a store that has just gone away.
type gone struct{ login.Store }

func (gone) RedeemCode(context.Context, login.Redemption, time.Time) (login.Redeemed, error) {
	return login.Redeemed{}, errors.New("away")
}

func TestACodeOutlivesAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	d := open(t)
	code, real := d.code(t), d.Store
	d.Store = gone{real}
	resp := d.post("/auth/token", fetching(code, nil), nil)
	if resp.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
	}
	wantRefusal(t, resp, http.StatusServiceUnavailable, "temporarily_unavailable")
	d.Store = real
	if token, problem := d.fetch(t, code); token == "" {
		t.Errorf("the code is gone: %s", problem)
	}
}

// leaving is a store whose client leaves just before it is asked.
type leaving struct {
	login.Store
	leave func()
}

func (l leaving) RedeemCode(ctx context.Context, r login.Redemption, now time.Time) (login.Redeemed, error) {
	l.leave()
	return l.Store.RedeemCode(ctx, r, now)
}

func TestAReplayCountsAlsoWhereItsSenderDoesNotWait(t *testing.T) {
	t.Parallel()
	d := open(t)
	code := d.code(t)
	token, _ := d.fetch(t, code)
	ctx, cancel := context.WithCancel(t.Context())
	d.Store = leaving{d.Store, cancel}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://gate.example.com/auth/token", strings.NewReader(fetching(code, nil).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	d.http.ServeHTTP(httptest.NewRecorder(), r)
	if _, err := d.holder(t, token); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after a replay: got %v", err)
	}
}

func TestRevokingATokenEndsItsSession(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	app, _ := d.fetch(t, d.code(t))
	for _, token := range []string{app, app, d.cookies["__Host-galaxygate"].Value, "unknown"} {
		resp := d.post("/auth/revoke", url.Values{"token": {token}, "token_type_hint": {"refresh_token"}, "client_id": {"native"}}, nil)
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || len(body) != 0 || err != nil {
			t.Errorf("got %d, %q, %v", resp.StatusCode, body, err)
		}
		if _, err := d.holder(t, token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after revocation: got %v", err)
		}
	}
}

// ending is a store of sessions whose client leaves when it has answered.
type ending struct {
	session.Store
	leave func()
}

func (e ending) Session(ctx context.Context, tokenHash []byte, now time.Time) (session.Session, error) {
	defer e.leave()
	return e.Store.Session(ctx, tokenHash, now)
}

func TestWhoSignsOutNeedNotWait(t *testing.T) {
	t.Parallel()
	d := open(t)
	real := d.Sessions.Store
	for _, path := range []string{"/auth/revoke", "/auth/logout"} {
		token, _ := d.fetch(t, d.code(t))
		ctx, cancel := context.WithCancel(t.Context())
		d.Sessions.Store = ending{real, cancel}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://gate.example.com"+path, strings.NewReader("token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if path == "/auth/logout" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		d.http.ServeHTTP(httptest.NewRecorder(), r)
		d.Sessions.Store = real
		if _, err := d.holder(t, token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: afterwards: got %v", path, err)
		}
	}
}

func TestRevocationsThatAreRefused(t *testing.T) {
	t.Parallel()
	d := open(t)
	token, _ := d.fetch(t, d.code(t))
	for _, tt := range []struct {
		form   url.Values
		header http.Header
		status int
		want   string
	}{
		{url.Values{}, nil, 400, "invalid_request"},
		{url.Values{"token": {token, token}}, nil, 400, "invalid_request"},
		{url.Values{"token": {token}, "client_id": {"galaxygate"}}, nil, 401, "invalid_client"},
		{url.Values{"token": {token}}, http.Header{"Authorization": {"Basic bmF0aXZlOng="}}, 401, "invalid_client"},
	} {
		wantRefusal(t, d.post("/auth/revoke", tt.form, tt.header), tt.status, tt.want)
	}
	real := d.Sessions.Ender
	d.Sessions.Ender = away{real}
	wantRefusal(t, d.post("/auth/revoke", url.Values{"token": {token}}, nil), http.StatusServiceUnavailable, "temporarily_unavailable")
	if _, err := d.holder(t, token); err != nil {
		t.Errorf("the session: %v", err)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	resp := open(t).send(http.MethodGet, "/.well-known/oauth-authorization-server")
	var got map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got["issuer"] != "https://gate.example.com" || got["token_endpoint"] != "https://gate.example.com/auth/token" ||
		resp.Header.Get("Content-Type") != "application/json" || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age") {
		t.Errorf("got %v with %v", got, resp.Header)
	}
}

// TestMetadataIsForEverybody wants what was set for one browser before, which cookie it
// is to forget, to be in no answer that shared caches keep.
func TestMetadataIsForEverybody(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.cookies["__Host-galaxygate"] = &http.Cookie{Name: "__Host-galaxygate", Value: "ended"}
	if got := d.send(http.MethodGet, "/").Header.Get("Set-Cookie"); got == "" {
		t.Error("elsewhere the browser keeps the cookie")
	}
	d.cookies["__Host-galaxygate"] = &http.Cookie{Name: "__Host-galaxygate", Value: "ended"}
	if got := d.send(http.MethodGet, "/.well-known/oauth-authorization-server").Header.Get("Set-Cookie"); got != "" {
		t.Errorf("got the cookie %q", got)
	}
	r := httptest.NewRequest(http.MethodGet, "https://gate.example.com/.well-known/oauth-authorization-server", nil)
	r.Header.Set("Authorization", "Bearer ended")
	recorder := httptest.NewRecorder()
	if d.http.ServeHTTP(recorder, r); recorder.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got %v", recorder.Header())
	}
}
