package e2e_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"
)

// device is where a native app signs its user in through the browser, step by
// step, and in whatever wrong way a test wants. What is its own is made of the canary, in
// pieces so short that no mask hides a leak.
type device struct {
	*browser
	redirect, verifier, state string

	mu      sync.Mutex
	secrets []string // codes and tokens that it was given
}

func (w *world) device(t *testing.T) *device {
	t.Helper()
	return &device{
		browser:  w.browser(t),
		redirect: "http://127.0.0.1:49152/callback",
		verifier: canary + "." + rand.Text() + "~" + canary,
		state:    canary + "." + rand.Text(),
	}
}

// request is what the app asks for at the authorization endpoint, or rather what is
// changed: a parameter without values is left out.
func (d *device) request(changed url.Values) url.Values {
	return altered(url.Values{
		"response_type": {"code"}, "client_id": {"native"}, "redirect_uri": {d.redirect}, "state": {d.state},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(d.verifier)}, "code_challenge_method": {"S256"},
	}, changed)
}

// form is what it then sends to the token endpoint.
func (d *device) form(code string, changed url.Values) url.Values {
	return altered(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"native"},
		"redirect_uri": {d.redirect}, "code_verifier": {d.verifier},
	}, changed)
}

func altered(values, changed url.Values) url.Values {
	for name, list := range changed {
		if values[name] = list; list == nil {
			delete(values, name)
		}
	}
	return values
}

// begin opens the authorization endpoint in the browser.
func (d *device) begin(t *testing.T, changed url.Values) (*http.Response, string) {
	t.Helper()
	return d.get(t, d.w.url+"/auth/authorize?"+d.request(changed).Encode())
}

// returns opens the callback in the browser, and returns what it brings the app.
func (d *device) returns(t *testing.T, callback *url.URL) url.Values {
	t.Helper()
	resp, body := d.get(t, callback.String())
	location := resp.Header.Get("Location")
	brought, ok := strings.CutPrefix(location, d.redirect+"?")
	if resp.StatusCode != http.StatusSeeOther || !ok {
		t.Fatalf("the callback answers %d to %q: %s", resp.StatusCode, location, body)
	}
	answer, err := url.ParseQuery(brought)
	if err != nil || answer.Get("iss") != d.w.url || answer.Get("state") != d.state {
		t.Fatalf("%v, and the app gets %v", err, answer)
	}
	d.remember(answer.Get("code"))
	return answer
}

// code signs Alice in as far as the app's code.
func (d *device) code(t *testing.T) string {
	t.Helper()
	answer := d.returns(t, d.callback(t, d.w.url+"/auth/authorize?"+d.request(nil).Encode()))
	if answer.Get("code") == "" {
		t.Fatalf("the app gets no code: %v", answer)
	}
	return answer.Get("code")
}

// reply is what the token endpoint answers.
type reply struct {
	status int
	header http.Header
	Token  string `json:"access_token"`
	Type   string `json:"token_type"`
	Life   int    `json:"expires_in"`
	Scope  string `json:"scope"`
	Error  string `json:"error"`
}

// exchange sends the form to the gateway's token endpoint.
func (d *device) exchange(g *gateway, form url.Values) (r reply, err error) {
	resp, err := http.PostForm(g.url+"/auth/token", form)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	r.status, r.header = resp.StatusCode, resp.Header
	err = json.NewDecoder(resp.Body).Decode(&r)
	d.remember(r.Token)
	return r, err
}

// redeem wants the code to be good for a session.
func (d *device) redeem(t *testing.T, g *gateway, code string) string {
	t.Helper()
	r, err := d.exchange(g, d.form(code, nil))
	if err != nil || r.status != http.StatusOK || r.Type != "Bearer" || r.Life <= 0 || r.Token == "" {
		t.Fatalf("the exchange answers %d, %q: %v", r.status, r.Error, err)
	}
	if cached := r.header.Get("Cache-Control"); cached != "no-store" {
		t.Errorf("Cache-Control: %q", cached)
	}
	return r.Token
}

// refused wants the form to be refused with that error.
func (d *device) refused(t *testing.T, g *gateway, form url.Values, want string) {
	t.Helper()
	r, err := d.exchange(g, form)
	if err != nil || r.status != http.StatusBadRequest || r.Error != want || r.Token != "" {
		t.Errorf("got %d, %q, a token: %v, %v; want 400, %s", r.status, r.Error, r.Token != "", err, want)
	}
	if cached := r.header.Get("Cache-Control"); cached != "no-store" {
		t.Errorf("Cache-Control: %q", cached)
	}
}

func (d *device) remember(secret string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if secret != "" {
		d.secrets = append(d.secrets, secret)
	}
}

// wantLive wants the session to be live on each of the gateways, or on none.
func wantLive(t *testing.T, session string, live bool, gateways ...*gateway) {
	t.Helper()
	for i, g := range gateways {
		if got := answerOf(t, g, session, `{ viewer { id } }`).at("viewer") != nil; got != live {
			t.Errorf("on replica %d the session is live: %v, want %v", i+1, got, live)
		}
	}
}

// nativeSessions are the IDs of the live sessions of apps of that session's user.
func nativeSessions(t *testing.T, g *gateway, session string) (ids []string) {
	t.Helper()
	r := answerOf(t, g, session, `{ viewer { sessions { nodes { id kind } } } }`)
	if r.at("viewer", "sessions", "nodes", 0) == nil {
		t.Fatalf("sessions: %+v", r)
	}
	nodes, _ := r.at("viewer", "sessions", "nodes").([]any)
	for _, node := range nodes {
		if one, ok := node.(map[string]any); ok && one["kind"] == "NATIVE" {
			ids = append(ids, one["id"].(string))
		}
	}
	return ids
}
