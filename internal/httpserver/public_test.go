package httpserver_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/audit"
	"galaxygate/internal/graphqlhttp"
	"galaxygate/internal/httpserver"
)

const (
	ownOrigin     = "https://gate.example"
	allowedOrigin = "https://app.example"
	cookieName    = "__Host-galaxygate"
)

// newPublic returns the public side with routes that answer 200 with the
// request's actor, and two that panic, before and after they write.
func newPublic(change func(*httpserver.Public)) http.Handler {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%+v", audit.ActorFrom(r.Context()))
	})
	p := httpserver.Public{
		Routes: map[string]http.Handler{
			graphqlhttp.Path:     echo,
			"GET /{$}":           echo,
			"GET /auth/login":    echo,
			"GET /auth/callback": echo,
			"POST /auth/logout":  echo,
			"GET /panic":         http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("unspeakable") }),
			"GET /late-panic": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				panic("unspeakable")
			}),
		},
		Origin:         ownOrigin,
		Opened:         "/auth/",
		AllowedOrigins: []string{allowedOrigin},
		SessionCookie:  cookieName,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Session:        func(next http.Handler) http.Handler { return next },
		Remembers:      func(*http.Request) bool { return true },
		Logger:         slog.New(slog.DiscardHandler),
		Now:            time.Now,
	}
	if change != nil {
		change(&p)
	}
	return p.Handler()
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		remote    string
		forwarded []string
		want      string
	}{
		{name: "no proxy", remote: "192.0.2.1:1234", want: "192.0.2.1"},
		{name: "a header from someone untrusted", remote: "192.0.2.1:1234", forwarded: []string{"203.0.113.9"}, want: "192.0.2.1"},
		{name: "a trusted proxy", remote: "10.0.0.1:1234", forwarded: []string{"203.0.113.9"}, want: "203.0.113.9"},
		{name: "what the client made up is not believed", remote: "10.0.0.1:1234", forwarded: []string{"1.1.1.1, 203.0.113.9"}, want: "203.0.113.9"},
		{name: "two trusted proxies over two lines", remote: "10.0.0.1:1234", forwarded: []string{"203.0.113.9", "10.0.0.2"}, want: "203.0.113.9"},
		{name: "trusted proxies alone", remote: "10.0.0.1:1234", forwarded: []string{"10.0.0.3"}, want: "10.0.0.3"},
		{name: "nonsense ends the chain", remote: "10.0.0.1:1234", forwarded: []string{"203.0.113.9, unknown, 10.0.0.2"}, want: "10.0.0.2"},
		{name: "an empty header", remote: "10.0.0.1:1234", forwarded: []string{""}, want: "10.0.0.1"},
		{name: "an IPv6 address with a port", remote: "[fd00::1]:1234", forwarded: []string{"[2001:db8::1]:443"}, want: "2001:db8::1"},
		{name: "an IPv4 address in IPv6", remote: "[::ffff:10.0.0.1]:1234", forwarded: []string{"203.0.113.9"}, want: "203.0.113.9"},
		{name: "no address at all", remote: "@", want: ""},
	}
	h := newPublic(nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.remote
			r.Header["X-Forwarded-For"] = tt.forwarded
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if want := "IPAddress:" + tt.want + " "; !strings.Contains(w.Body.String(), want) {
				t.Errorf("got %s, want %s", w.Body, want)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		sent string
		kept bool
	}{
		{name: "a UUID is taken over", sent: "3f2504e0-4f89-11d3-9a0c-0305e82c3301", kept: true},
		{name: "none"},
		{name: "one that breaks lines", sent: "abcdefgh\nlevel=ERROR"},
		{name: "one as long as a session token", sent: strings.Repeat("a", 43)},
		{name: "one too short to tell requests apart", sent: "1"},
	}
	h := newPublic(nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, h, http.MethodGet, "/", "", http.Header{"X-Request-Id": {tt.sent}})
			id := got.header.Get("X-Request-ID")
			if (id == tt.sent) != tt.kept || len(id) < 8 {
				t.Errorf("got %q for %q", id, tt.sent)
			}
			if !strings.Contains(got.body, "RequestID:"+id) {
				t.Errorf("actor: got %s, want request ID %s", got.body, id)
			}
		})
	}
}

func TestUserAgentIsCut(t *testing.T) {
	t.Parallel()
	got := send(t, newPublic(nil), http.MethodGet, "/", "", http.Header{"User-Agent": {strings.Repeat("x", 255) + "éé"}})
	if want := "UserAgent:" + strings.Repeat("x", 255) + " "; !strings.Contains(got.body, want) {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server := httptest.NewServer(newPublic(func(p *httpserver.Public) {
		p.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}))
	response, body := fetch(t, server.URL+"/panic")
	if response.StatusCode != http.StatusInternalServerError || strings.Contains(body, "unspeakable") ||
		!strings.Contains(body, response.Header.Get("X-Request-ID")) {
		t.Errorf("got %d %q, want 500 with the request ID alone", response.StatusCode, body)
	}
	if _, body, err := tryFetch(t, server.URL+"/late-panic"); err == nil {
		t.Errorf("a broken answer passed for a whole one: %q", body)
	}
	server.Close()
	if got := log.String(); strings.Count(got, "handler panicked") != 2 || !strings.Contains(got, "public_test.go") {
		t.Errorf("log lacks the panics and their stacks: %s", got)
	}
}

// fetch returns the response to a GET and its body.
func fetch(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	response, body, err := tryFetch(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

// tryFetch returns what came of a GET that may fail or break off.
func tryFetch(t *testing.T, url string) (*http.Response, string, error) {
	t.Helper()
	return tryFetchBy(t, new(http.Transport), url)
}

// tryFetchBy fetches by the transport, which it closes.
func tryFetchBy(t *testing.T, transport *http.Transport, url string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	response, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func TestAccessLogAndObserve(t *testing.T) {
	t.Parallel()
	type seen struct {
		route  string
		status int
	}
	var (
		log      bytes.Buffer
		observed []seen
	)
	h := newPublic(func(p *httpserver.Public) {
		p.Logger = slog.New(slog.NewTextHandler(&log, nil))
		p.Routes["/files/"] = http.NotFoundHandler()
		p.Routes["/events"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			_, _ = io.WriteString(w, "event: next\n\n")
		})
		p.Observe = func(route string, status int, _ time.Duration) { observed = append(observed, seen{route, status}) }
	})
	const token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
	send(t, h, http.MethodGet, "/auth/callback?code="+token+"&state="+token, "", http.Header{"Authorization": {"Bearer " + token}})
	send(t, h, http.MethodGet, "/"+token, "", nil)
	send(t, h, http.MethodGet, "/files/"+token, "", nil)
	send(t, h, http.MethodGet, "/events", "", nil) // logged, not measured
	if got := log.String(); strings.Contains(got, token) || !strings.Contains(got, "path=/auth/callback status=200") || !strings.Contains(got, "path=/events status=200") {
		t.Errorf("log: got %s", got)
	}
	if diff := cmp.Diff([]seen{{"GET /auth/callback", 200}, {"", 404}, {"/files/", 404}}, observed, cmp.AllowUnexported(seen{})); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestRefusalOutsideGraphQLIsText(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) { p.Limiter = newLimiter(1, time.Now) })
	send(t, h, http.MethodGet, "/", "", nil)
	got := send(t, h, http.MethodGet, "/auth/login", "", nil)
	if got.status != http.StatusTooManyRequests || got.body != "Too many requests.\n" {
		t.Errorf("got %d %q, want 429 as text", got.status, got.body)
	}
}

func TestRefusalOfAnOAuthClientIsAsItReadsErrors(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) { p.Limiter = newLimiter(1, time.Now) })
	send(t, h, http.MethodGet, "/", "", nil)
	for _, path := range []string{"/auth/token", "/auth/revoke"} {
		got := send(t, h, http.MethodPost, path, "", nil)
		want := `{"error":"temporarily_unavailable","error_description":"Too many requests."}` + "\n"
		if got.status != http.StatusTooManyRequests || got.body != want ||
			got.header.Get("Content-Type") != "application/json" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %q with %v", path, got.status, got.body, got.header)
		}
	}
}
