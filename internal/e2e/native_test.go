package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"galaxygate/internal/secret"
)

const appRedirect = "http://127.0.0.1:51004/callback"

// app is a native app: a client without a browser of its own.
type app struct {
	w        *world
	verifier string
}

func newApp(w *world) *app { return &app{w: w, verifier: secret.Random().Reveal()} }

// link is where the app sends the system's browser.
func (a *app) link(more url.Values) string {
	sum := sha256.Sum256([]byte(a.verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {"native"}, "redirect_uri": {appRedirect}, "state": {"its own"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, values := range more {
		query[name] = values
	}
	return a.w.url + "/auth/authorize?" + query.Encode()
}

// code lets the browser's user sign in for the app, and returns the code that the app
// gets.
func (a *app) code(t *testing.T, b *browser) string {
	t.Helper()
	resp, body := b.get(t, b.callback(t, a.link(nil)).String())
	at, err := resp.Location()
	if err != nil {
		t.Fatalf("the callback answers %d: %s", resp.StatusCode, body)
	}
	query := at.Query()
	at.RawQuery = ""
	if at.String() != appRedirect || query.Get("state") != "its own" || query.Get("iss") != a.w.url || query.Get("code") == "" {
		t.Fatalf("sent back to %s with %v", at, query)
	}
	return query.Get("code")
}

// fetch uses the code at the gateway and returns what it answers.
func (a *app) fetch(t *testing.T, g *gateway, code string) (status int, answer map[string]any) {
	t.Helper()
	resp, body := a.w.browser(t).post(t, g.url+"/auth/token", "application/x-www-form-urlencoded", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"native"}, "code": {code},
		"redirect_uri": {appRedirect}, "code_verifier": {a.verifier},
	}.Encode())
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("the token endpoint answers %d: %s", resp.StatusCode, body)
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got header %v", resp.Header)
	}
	return resp.StatusCode, answer
}

func TestAnAppGetsASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := found(t, database(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
			b := w.browser(t)
			b.signIn(t, w.url+"/auth/login")
			own := b.session()

			app := newApp(w)
			code := app.code(t, b)
			status, answer := app.fetch(t, w.gateway, code)
			token, _ := answer["access_token"].(string)
			rest, _ := answer["expires_in"].(float64)
			if status != http.StatusOK || answer["token_type"] != "Bearer" || rest < 600000 || rest > 604800 ||
				answer["scope"] != "openid profile email connected_accounts" {
				t.Fatalf("got %d, %v", status, answer)
			}
			if got := kindOf(t, w, token); got != "NATIVE" {
				t.Errorf("the app's session is %v", got)
			}
			if b.session() != own || kindOf(t, w, own) != "BROWSER" {
				t.Error("the browser's session is another, or none")
			}

			resp, body := w.browser(t).post(t, w.url+"/auth/revoke", "application/x-www-form-urlencoded", "token="+token)
			if resp.StatusCode != http.StatusOK || body != "" {
				t.Errorf("revocation answers %d: %s", resp.StatusCode, body)
			}
			if got := kindOf(t, w, token); got != nil {
				t.Errorf("after revocation the session is %v", got)
			}
			for what, secret := range map[string]string{"code": code, "token": token, "verifier": app.verifier} {
				if strings.Contains(w.log.String(), secret) {
					t.Errorf("the %s is in the log", what)
				}
			}
		})
	}
}

func TestACodeThatComesAgainEndsTheSessionOnEachReplica(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	other := serving(t, w.replica(t, nil))
	app := newApp(w)
	code := app.code(t, w.browser(t))
	_, answer := app.fetch(t, w.gateway, code)
	token, _ := answer["access_token"].(string)
	for range 2 { // so that it is remembered
		if got := kindOf(t, w, token); got != "NATIVE" {
			t.Fatalf("the app's session is %v", got)
		}
	}
	if status, answer := app.fetch(t, other, code); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("a replay: got %d, %v", status, answer)
	}
	b := w.browser(t)
	b.bearer(token)
	resp, body := b.post(t, w.url+"/graphql", "application/json", `{"query":"{ session { kind } }"}`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"session":null`) ||
		resp.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("after a replay: got %d, %s with %v", resp.StatusCode, body, resp.Header)
	}
	db := openDatabase(t, w.database)
	if got := column(t, db, "SELECT reason FROM audit_events WHERE kind = 'session_ended'"); len(got) != 1 || got[0] != "code_replayed" {
		t.Errorf("audit log: %q", got)
	}
}

// kindOf is the kind of the token's session, as the gateway tells its holder; nil: there
// is none.
func kindOf(t *testing.T, w *world, token string) any {
	t.Helper()
	b := w.browser(t)
	b.bearer(token)
	live, _ := b.query(t, `{ session { kind } }`).Data["session"].(map[string]any)
	return live["kind"]
}
