package devrollup

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"galaxygate/internal/secret"
)

const redirectURI = "http://localhost:8080/auth/callback"

// rollup is a running Server and a clock that tests turn.
type rollup struct {
	*Server
	url string

	mu  sync.Mutex
	now time.Time
}

func start(t *testing.T) *rollup {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	r := &rollup{url: "http://" + srv.Listener.Addr().String(), now: time.Now()}
	server, err := New(Config{
		Issuer: r.url, ClientID: "gateway", ClientSecret: secret.New("client-secret"),
		RedirectURIs: []string{redirectURI}, APIKey: secret.New("api-key"), AppName: "Gateway",
		Now: func() time.Time {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.now
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = server
	srv.Config.Handler = server.Handler()
	srv.Start()
	t.Cleanup(srv.Close)
	return r
}

func (r *rollup) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rollup) authorizeURL(scope string, more ...string) string {
	query := url.Values{
		"client_id": {"gateway"}, "redirect_uri": {redirectURI}, "response_type": {"code"},
		"state": {"the-state"}, "nonce": {"the-nonce"}, "scope": {scope}, "unheard_of": {"ignored"},
	}
	for i := 0; i < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return r.url + "/authorize?" + query.Encode()
}

func (r *rollup) visit(t *testing.T, v *Visitor, scope string, more ...string) url.Values {
	t.Helper()
	back, err := v.Visit(t.Context(), r.authorizeURL(scope, more...))
	if err != nil {
		t.Fatalf("visit: %v", err)
	}
	if got := back.Query().Get("state"); got != "the-state" {
		t.Errorf("state: got %q", got)
	}
	return back.Query()
}

type reply struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (r reply) str(name string) string {
	s, _ := r.body[name].(string)
	return s
}

func do(t *testing.T, request *http.Request) reply {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL.Path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &out.body)
	return out
}

func request(t *testing.T, method, target, contentType, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func (r *rollup) post(t *testing.T, path string, form url.Values) reply {
	t.Helper()
	return do(t, request(t, http.MethodPost, r.url+path, "application/x-www-form-urlencoded", form.Encode()))
}

func (r *rollup) exchange(t *testing.T, code string, more ...string) reply {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI},
		"client_id": {"gateway"}, "client_secret": {"client-secret"},
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return r.post(t, "/token", form)
}

func (r *rollup) refreshWith(t *testing.T, token string) reply {
	t.Helper()
	return r.post(t, "/token", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {token},
		"client_id": {"gateway"}, "client_secret": {"client-secret"},
	})
}

// signIn returns the token response of a whole sign-in.
func (r *rollup) signIn(t *testing.T, v *Visitor, scope string) reply {
	t.Helper()
	tokens := r.exchange(t, r.visit(t, v, scope).Get("code"))
	if tokens.status != http.StatusOK {
		t.Fatalf("exchange: got %d %s", tokens.status, tokens.text)
	}
	return tokens
}

func (r *rollup) userinfo(t *testing.T, access string) reply {
	t.Helper()
	req := request(t, http.MethodGet, r.url+"/userinfo", "", "")
	req.Header.Set("Authorization", "Bearer "+access)
	return do(t, req)
}

func (r *rollup) ask(t *testing.T, access, key, query string, variables map[string]any) reply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	req := request(t, http.MethodPost, r.url+"/graphql", "application/json", string(bytes.TrimSpace(body)))
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
	}
	if key != "" {
		req.Header.Set("X-GALAXY-KEY", key)
	}
	return do(t, req)
}

// claimsOf verifies a token with the published keys.
func (r *rollup) claimsOf(t *testing.T, token string) (map[string]any, jose.Header) {
	t.Helper()
	var keys jose.JSONWebKeySet
	jwks := do(t, request(t, http.MethodGet, r.url+"/.well-known/jwks.json", "", ""))
	if err := json.Unmarshal([]byte(jwks.text), &keys); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("parse token: %v", err)
	}
	claims := map[string]any{}
	if err := parsed.Claims(keys, &claims); err != nil {
		t.Fatalf("verify token: %v", err)
	}
	return claims, parsed.Headers[0]
}

func wantRefusal(t *testing.T, got reply, status int, code, message string) {
	t.Helper()
	if got.status != status || got.str("code") != code || got.str("message") != message {
		t.Errorf("got %d %s, want %d %s %q", got.status, got.text, status, code, message)
	}
}
