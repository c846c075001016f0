package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/devrollup"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// lookalike is development's Rollup, whose Galaxy runs on an engine that shares no
// code with the gateway's. It remembers what Galaxy was asked.
type lookalike struct {
	*devrollup.Server
	url string

	mu    sync.Mutex
	serve http.Handler
	asked []galaxyRequest
}

type galaxyRequest struct {
	Query     string          `json:"query"`
	Variables json.RawMessage `json:"variables"`
}

const redirectURI = "https://gate.example/auth/callback"

func newLookalike(t testing.TB) *lookalike {
	t.Helper()
	l := &lookalike{}
	front := httptest.NewUnstartedServer(l)
	l.url = "http://" + front.Listener.Addr().String()
	l.reset(t)
	front.Start()
	t.Cleanup(front.Close)
	return l
}

// reset makes it another Rollup, where nobody has signed in and the gateway keeps
// something with Alice.
func (l *lookalike) reset(t testing.TB) {
	t.Helper()
	server, err := devrollup.New(devrollup.Config{
		Issuer: l.url, ClientID: "app", ClientSecret: secret.New("app-secret"),
		RedirectURIs: []string{redirectURI}, APIKey: secret.New("the-api-key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Directory().SetAppData(devrollup.AliceURN, "app", json.RawMessage(`{"theme":"dark","n":[1,2.50,{"é":null}]}`))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Server, l.serve = server, server.Handler()
}

// ServeHTTP remembers what Galaxy is asked.
func (l *lookalike) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	next := l.serve
	l.mu.Unlock()
	if r.URL.Path == "/graphql" {
		body, _ := io.ReadAll(r.Body)
		var asked galaxyRequest
		if err := json.Unmarshal(body, &asked); err != nil {
			asked.Query = "no JSON: " + err.Error()
		}
		l.mu.Lock()
		l.asked = append(l.asked, asked)
		l.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	next.ServeHTTP(w, r)
}

// forget starts the counts anew.
func (l *lookalike) forget() {
	l.ResetCounters()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = nil
}

// requests are those that Galaxy has been sent.
func (l *lookalike) requests() []galaxyRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

// world is a gateway before the look-alike, which remembers answers for that long.
func (l *lookalike) world(t testing.TB, remembered time.Duration, change ...func(*world, *graph.Config)) *world {
	t.Helper()
	return newWorldBefore(t, &rollup{url: l.url}, append(change, func(w *world, _ *graph.Config) {
		if remembered > 0 {
			w.resolver.Upstream.Answers = upstream.NewAnswers(remembered, 1<<30, nil, time.Now)
			t.Cleanup(w.resolver.Upstream.Answers.Close)
		}
	})...)
}

// signIn signs the person in, who consents to these scopes and shares every
// account and wallet with them.
func (l *lookalike) signIn(w *world, subject string, scopes ...string) person {
	w.t.Helper()
	known, err := l.Directory().Person(subject)
	if err != nil {
		w.t.Fatal(err)
	}
	visitor := &devrollup.Visitor{Person: known.Key}
	back, err := visitor.Visit(w.t.Context(), l.url+"/authorize?"+url.Values{
		"client_id": {"app"}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"state"},
		"prompt": {"consent"}, "scope": {strings.Join(scopes, " ")},
	}.Encode())
	if err != nil {
		w.t.Fatal(err)
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	l.post(w.t, "/token", "application/x-www-form-urlencoded", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {redirectURI},
		"client_id": {"app"}, "client_secret": {"app-secret"},
	}.Encode(), &tokens)
	s, token := w.manager.New(w.t.Context(), session.Browser)
	s, err = w.db.SignIn(w.t.Context(), login.SignIn{
		Issuer: l.url, Subject: subject, Session: s, SessionToken: token,
		Tokens: grant.Tokens{
			Access: secret.New(tokens.Access), AccessExpiresAt: time.Now().Add(time.Hour),
			Refresh: secret.New(tokens.Refresh), Scopes: scopes,
		},
	}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return person{session: s, token: token}
}

// post posts to the look-alike and decodes the answer, where one is expected.
func (l *lookalike) post(t testing.TB, path, contentType, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s answers %s: %s", path, resp.Status, answer)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// execute runs an operation and returns the response as it came.
func (w *world) execute(p person, document, name string, variables json.RawMessage) []byte {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "operationName": name, "variables": variables})
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.gateway.URL, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if !p.token.IsZero() {
		req.AddCookie(&http.Cookie{Name: w.manager.CookieName(), Value: p.token.Reveal()})
	}
	resp, err := w.gateway.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}
