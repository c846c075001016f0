package httpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
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

func TestCrossOriginProtection(t *testing.T) {
	t.Parallel()
	const cookie, evil = cookieName + "=x", "https://evil.example"
	tests := []struct {
		name   string
		method string
		path   string
		cookie string
		site   string
		origin string
		want   int
	}{
		{name: "a router or a script", method: "POST", path: "/graphql", cookie: cookie, want: 200},
		{name: "the gateway's own page", method: "POST", path: "/graphql", cookie: cookie, site: "same-origin", origin: ownOrigin, want: 200},
		{name: "typed by the user", method: "GET", path: "/graphql", cookie: cookie, site: "none", want: 200},
		{name: "another site", method: "POST", path: "/graphql", cookie: cookie, site: "cross-site", origin: evil, want: 403},
		{name: "another host of the site", method: "POST", path: "/graphql", cookie: cookie, site: "same-site", origin: "https://other.example", want: 403},
		{name: "an unknown mark", method: "POST", path: "/graphql", cookie: cookie, site: "sideways", want: 403},
		{name: "an allowed origin", method: "POST", path: "/graphql", cookie: cookie, site: "cross-site", origin: allowedOrigin, want: 200},
		{name: "an opaque origin", method: "POST", path: "/graphql", cookie: cookie, site: "cross-site", origin: "null", want: 403},
		{name: "an opaque origin in an old browser", method: "POST", path: "/graphql", cookie: cookie, origin: "null", want: 403},
		{name: "an empty host in an old browser", method: "POST", path: "/graphql", cookie: cookie, origin: "https://", want: 403},
		{name: "the gateway's name without TLS in an old browser", method: "POST", path: "/graphql", cookie: cookie, origin: "http://gate.example", want: 403},
		{name: "another port in an old browser", method: "POST", path: "/graphql", cookie: cookie, origin: ownOrigin + ":8443", want: 403},
		{name: "the session cookie among others", method: "POST", path: "/graphql", cookie: "a=b; " + cookie, site: "cross-site", origin: evil, want: 403},
		{name: "an old browser on another site", method: "POST", path: "/graphql", cookie: cookie, origin: evil, want: 403},
		{name: "the gateway's host by http in an old browser", method: "POST", path: ownOrigin + "/graphql", cookie: cookie, origin: "http://gate.example", want: 403},
		{name: "an old browser on the gateway's page", method: "POST", path: "/graphql", cookie: cookie, origin: ownOrigin, want: 200},
		{name: "an old browser on an allowed origin", method: "POST", path: "/graphql", cookie: cookie, origin: allowedOrigin, want: 200},
		{name: "a query by GET from another site", method: "GET", path: "/graphql", cookie: cookie, site: "cross-site", want: 403},
		{name: "a query by HEAD from another site", method: "HEAD", path: "/graphql", cookie: cookie, site: "cross-site", want: 403},
		{name: "methods asked for from another site", method: "OPTIONS", path: "/graphql", cookie: cookie, site: "cross-site", origin: evil, want: 403},
		{name: "a query by GET from another host of the site", method: "GET", path: "/graphql", cookie: cookie, site: "same-site", want: 403},
		{name: "a query by GET from an allowed origin", method: "GET", path: "/graphql", cookie: cookie, site: "same-site", origin: allowedOrigin, want: 200},
		{name: "a WebSocket from another site", method: "GET", path: "/graphql", cookie: cookie, origin: evil, want: 403},
		{name: "without the cookie", method: "POST", path: "/graphql", site: "cross-site", origin: evil, want: 200},
		{name: "with another cookie alone", method: "POST", path: "/graphql", cookie: "a=b", site: "cross-site", origin: evil, want: 200},
		{name: "signing out from another site", method: "POST", path: "/auth/logout", cookie: cookie, site: "cross-site", origin: evil, want: 403},
		{name: "a link to sign in", method: "GET", path: "/auth/login", cookie: cookie, site: "cross-site", want: 200},
		{name: "the provider's redirect", method: "GET", path: "/auth/callback", cookie: cookie, site: "cross-site", want: 200},
		{name: "a link to the page", method: "GET", path: "/", cookie: cookie, site: "cross-site", want: 200},
	}
	h := newPublic(nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {"text/plain"}}
			for name, value := range map[string]string{"Cookie": tt.cookie, "Sec-Fetch-Site": tt.site, "Origin": tt.origin} {
				if value != "" {
					header.Set(name, value)
				}
			}
			got := send(t, h, tt.method, tt.path, "", header)
			if got.status != tt.want {
				t.Errorf("status: got %d, want %d", got.status, tt.want)
			}
			if tt.want == 403 && tt.path == graphqlhttp.Path {
				if code := got.code(t); code != "FORBIDDEN" {
					t.Errorf("code: got %q, want FORBIDDEN", code)
				}
			}
		})
	}
}

// TestMarksThatContradictEachOtherAreForeign sends what no browser does: two lines of
// one of its marks, the first of which is innocent.
func TestMarksThatContradictEachOtherAreForeign(t *testing.T) {
	t.Parallel()
	h := newPublic(nil)
	for _, marks := range []http.Header{
		{"Origin": {allowedOrigin, "https://evil.example"}},
		{"Origin": {ownOrigin, "null"}, "Sec-Fetch-Site": {"cross-site"}},
		{"Sec-Fetch-Site": {"same-origin", "cross-site"}},
	} {
		marks.Set("Cookie", cookieName+"=x")
		got := send(t, h, http.MethodPost, "/graphql", "", marks)
		if got.status != http.StatusForbidden || strings.Contains(strings.Join(got.header.Values("Access-Control-Allow-Origin"), " "), "evil") {
			t.Errorf("%v: got %d, shared with %q", marks, got.status, got.header.Values("Access-Control-Allow-Origin"))
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		origin string
		want   string
	}{
		{name: "an allowed origin", origin: allowedOrigin, want: allowedOrigin},
		{name: "another origin", origin: "https://evil.example"},
		{name: "an opaque origin", origin: "null"},
		{name: "an allowed origin with more behind it", origin: allowedOrigin + ".evil.example"},
		{name: "an allowed origin without TLS", origin: "http://app.example"},
	}
	h := newPublic(nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			preflight := send(t, h, http.MethodOptions, "/graphql", "", http.Header{
				"Origin": {tt.origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type,x-galaxygate-cost"},
			})
			if headers := preflight.header.Get("Access-Control-Allow-Headers"); tt.want != "" && headers != "content-type,x-galaxygate-cost" {
				t.Errorf("Access-Control-Allow-Headers: got %q", headers)
			}
			actual := send(t, h, http.MethodPost, "/graphql", "", http.Header{"Origin": {tt.origin}})
			for _, got := range []answer{preflight, actual} {
				if allowed := got.header.Get("Access-Control-Allow-Origin"); allowed != tt.want {
					t.Errorf("Access-Control-Allow-Origin: got %q, want %q", allowed, tt.want)
				}
				if credentials := got.header.Get("Access-Control-Allow-Credentials"); (credentials == "true") != (tt.want != "") {
					t.Errorf("Access-Control-Allow-Credentials: got %q", credentials)
				}
			}
			if want := http.StatusNoContent; preflight.status != want {
				t.Errorf("preflight: got %d, want %d", preflight.status, want)
			}
		})
	}
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

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		path   string
		header http.Header
		status int
	}{
		{name: "an answer", method: "GET", path: "/", status: 200},
		{name: "nothing there", method: "GET", path: "/nowhere", status: 404},
		{name: "another method", method: "PUT", path: "/auth/logout", status: 405},
		{name: "a path that is not clean", method: "GET", path: "//auth/login", status: 307},
		{name: "a redirect", method: "GET", path: "/elsewhere", status: 303},
		{name: "a panic", method: "GET", path: "/panic", status: 500},
		{name: "a foreign request", method: "POST", path: "/graphql", header: http.Header{"Cookie": {cookieName + "=x"}, "Origin": {"null"}}, status: 403},
		{name: "a preflight", method: "OPTIONS", path: "/graphql", header: http.Header{"Origin": {allowedOrigin}, "Access-Control-Request-Method": {"POST"}}, status: 204},
	}
	h := newPublic(func(p *httpserver.Public) {
		p.Routes["GET /elsewhere"] = http.RedirectHandler("/", http.StatusSeeOther)
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, h, tt.method, tt.path, "", tt.header)
			if got.status != tt.status {
				t.Errorf("status: got %d, want %d", got.status, tt.status)
			}
			for name, want := range map[string]string{
				"Cache-Control":                "no-store",
				"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
				"Cross-Origin-Opener-Policy":   openerPolicy(tt.path),
				"Cross-Origin-Resource-Policy": "same-origin",
				"Referrer-Policy":              "same-origin",
				"Strict-Transport-Security":    "max-age=31536000",
				"X-Content-Type-Options":       "nosniff",
				"X-Frame-Options":              "DENY",
			} {
				if values := strings.Join(got.header.Values(name), "; "); values != want {
					t.Errorf("%s: got %q, want %q", name, values, want)
				}
			}
			if !strings.Contains(got.header.Get("Permissions-Policy"), "camera=()") {
				t.Error("no Permissions-Policy")
			}
		})
	}
}

// openerPolicy keeps what opened a page from seeing it, but for sign-in.
func openerPolicy(path string) string {
	if strings.HasPrefix(path, "/auth/") {
		return ""
	}
	return "same-origin"
}

func TestTransportSecurityIsForHTTPSAlone(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) { p.Origin = "http://localhost:8080" })
	if hsts := send(t, h, http.MethodGet, "/", "", nil).header.Get("Strict-Transport-Security"); hsts != "" {
		t.Errorf("Strict-Transport-Security over http: got %q, want none", hsts)
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

// newLimiter counts for the session that headerSession found.
func newLimiter(perMinute int, now func() time.Time) *httpserver.RateLimiter {
	return httpserver.NewRateLimiter(httpserver.RateLimits{
		PerMinute: perMinute,
		Key:       func(ctx context.Context) string { return audit.ActorFrom(ctx).SessionID },
		Now:       now,
	})
}

// headerSession takes each request for one of the session that its header names.
func headerSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor := audit.ActorFrom(r.Context())
		actor.SessionID = r.Header.Get("Test-Session")
		next.ServeHTTP(w, r.WithContext(audit.WithActor(r.Context(), actor)))
	})
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	clock := &manualClock{now: time.Unix(1_700_000_000, 0)}
	h := newPublic(func(p *httpserver.Public) {
		p.Session = headerSession
		p.Limiter = newLimiter(2, clock.Now)
	})
	post := func(session string, want int) answer {
		t.Helper()
		got := send(t, h, http.MethodPost, "/graphql", "", http.Header{"Test-Session": {session}})
		if got.status != want {
			t.Errorf("session %q: got %d, want %d", session, got.status, want)
		}
		return got
	}
	post("alice", 200)
	post("alice", 200)
	refused := post("alice", 429)
	if after := refused.header.Get("Retry-After"); after != "30" {
		t.Errorf("Retry-After: got %q, want 30", after)
	}
	if code := refused.code(t); code != "RATE_LIMITED" {
		t.Errorf("code: got %q, want RATE_LIMITED", code)
	}
	post("bob", 200)
	post("", 200) // without a session the address counts
	clock.Advance(30 * time.Second)
	post("alice", 200)
	post("alice", 429)
}

func TestRateLimitCountsAnIPv6NetworkAsOne(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) { p.Limiter = newLimiter(1, time.Now) })
	status := func(remote string) int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	got := []int{status("[2001:db8::1]:1"), status("[2001:db8::2]:1"), status("[2001:db8:0:1::1]:1")}
	if diff := cmp.Diff([]int{200, 429, 200}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestWhoMakesUpCredentialsIsRefusedBeforeTheyAreLookedUp(t *testing.T) {
	t.Parallel()
	var lookUps int
	h := newPublic(func(p *httpserver.Public) {
		p.Limiter = newLimiter(2, (&manualClock{now: time.Unix(1_700_000_000, 0)}).Now)
		p.Remembers = func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" || r.Header.Get("Test-Session") == "remembered"
		}
		p.Session = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !p.Remembers(r) {
					lookUps++
				}
				headerSession(next).ServeHTTP(w, r)
			})
		}
		p.Unlimited = []string{"/auth/logout"}
	})
	for _, step := range []struct {
		name    string
		path    string
		session string // live, where there is one
		want    int
		lookUps int // until then
	}{
		{"a session that is not remembered counts for itself", "/graphql", "cold", 200, 1},
		{"and again", "/graphql", "cold", 200, 2},
		{"but no more often than it may", "/graphql", "cold", 429, 3},
		{"a made-up one counts for the address", "/graphql", "", 200, 4},
		{"also where nothing is limited", "/auth/logout", "", 200, 5},
		{"then it is refused unseen", "/graphql", "", 429, 5},
		{"there too", "/auth/logout", "", 429, 5},
		{"a remembered one goes on", "/graphql", "remembered", 200, 5},
		{"one that may be live is not looked up", "/graphql", "also cold", 429, 5},
	} {
		header := http.Header{"Authorization": {"Bearer x"}, "Test-Session": {step.session}}
		if got := send(t, h, http.MethodPost, step.path, "", header); got.status != step.want || lookUps != step.lookUps {
			t.Errorf("%s: got %d after %d look-ups, want %d after %d", step.name, got.status, lookUps, step.want, step.lookUps)
		}
	}
	if got := send(t, h, http.MethodPost, "/auth/logout", "", nil); got.status != http.StatusOK {
		t.Errorf("an unlimited path without credentials: got %d", got.status)
	}
}

func TestEachOperationOfAConnectionCounts(t *testing.T) {
	t.Parallel()
	l := newLimiter(2, (&manualClock{now: time.Unix(1_700_000_000, 0)}).Now)
	ctx := audit.WithActor(t.Context(), audit.Actor{SessionID: "alice", IPAddress: "192.0.2.1"})
	for i, want := range []int{0, 0, http.StatusTooManyRequests} {
		got := 0
		if refusal := l.Admit(ctx); refusal != nil {
			got = refusal.Status
		}
		if got != want {
			t.Errorf("operation %d: got %d, want %d", i+1, got, want)
		}
	}
	if httpserver.NewRateLimiter(httpserver.RateLimits{}).Admit(ctx) != nil {
		t.Error("without a limit an operation was refused")
	}
}

// ledger is a Shared in memory, for callers of that many requests at most.
type ledger struct {
	most int
	away bool

	mu   sync.Mutex
	used map[string]int
}

func (l *ledger) Count(_ context.Context, caller string, n int) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return 0, errors.New("away")
	}
	l.used[caller] += n
	if l.used[caller] < l.most {
		return 0, nil
	}
	return 30 * time.Second, nil
}

func TestReplicasShareTheLimit(t *testing.T) {
	t.Parallel()
	const perMinute = 100 // and so told by the five
	tests := []struct {
		name        string
		away        bool
		least, most int
	}{
		{"one allowance", false, perMinute, perMinute + 2*5 + 2},
		{"each its own where nothing can be shared", true, 2 * perMinute, 2 * perMinute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			clock := &manualClock{now: time.Unix(1_700_000_000, 0)}
			shared := &ledger{most: perMinute, away: test.away, used: make(map[string]int)}
			var replicas []*httpserver.RateLimiter
			for range 2 {
				replicas = append(replicas, httpserver.NewRateLimiter(httpserver.RateLimits{
					PerMinute: perMinute, Shared: shared, Now: clock.Now,
					Key: func(context.Context) string { return "alice" },
				}))
			}
			ask := func() (admitted int) {
				for range perMinute + 1 {
					for _, l := range replicas {
						if l.Admit(t.Context()) == nil {
							admitted++
						}
						l.Settle() // what is told has arrived
					}
				}
				return admitted
			}
			if got := ask(); got < test.least || got > test.most {
				t.Errorf("got %d admitted, want %d to %d", got, test.least, test.most)
			}
			fresh := httpserver.NewRateLimiter(httpserver.RateLimits{
				PerMinute: perMinute, Shared: shared, Now: clock.Now,
				Key: func(context.Context) string { return "alice" },
			})
			_ = fresh.Admit(t.Context())
			fresh.Settle()
			if refused := fresh.Admit(t.Context()) != nil; refused == test.away {
				t.Errorf("a replica that the caller has not been to refuses: %v", refused)
			}
			clock.Advance(31 * time.Second)
			if refusal := replicas[0].Admit(t.Context()); refusal != nil {
				t.Errorf("half a minute later: got %+v", refusal)
			}
		})
	}
}

func TestWhatIsGivenBackIsNotToldOfAnAddress(t *testing.T) {
	t.Parallel()
	shared := &ledger{most: 1000, used: make(map[string]int)}
	limiter := httpserver.NewRateLimiter(httpserver.RateLimits{
		PerMinute: 20, Shared: shared, Now: time.Now, // and so told by the one
		Key: func(ctx context.Context) string { return audit.ActorFrom(ctx).SessionID },
	})
	h := newPublic(func(p *httpserver.Public) {
		p.Session, p.Limiter = headerSession, limiter
		p.Remembers = func(*http.Request) bool { return false }
	})
	for range 10 {
		send(t, h, http.MethodPost, "/graphql", "", http.Header{"Test-Session": {"alice"}})
		limiter.Settle()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if got := shared.used["address 192.0.2.1"]; got > 1 || shared.used["key alice"] < 9 {
		t.Errorf("got %v, want the session's alone", shared.used)
	}
}

// manualClock is a clock that stands until it is advanced.
type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
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

func TestUnlimitedPathsCountForNobody(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) {
		p.Limiter = newLimiter(1, time.Now)
		p.Unlimited = []string{"/auth/logout"}
	})
	for range 5 {
		if got := send(t, h, http.MethodPost, "/auth/logout", "", nil); got.status != http.StatusOK {
			t.Fatalf("unlimited path: got %d", got.status)
		}
	}
	for i, want := range []int{200, 429} {
		if got := send(t, h, http.MethodGet, "/", "", nil); got.status != want {
			t.Errorf("request %d to another path: got %d, want %d", i+1, got.status, want)
		}
	}
	if got := send(t, h, http.MethodPost, "/auth/logout", "", nil); got.status != http.StatusOK {
		t.Errorf("unlimited path, of a caller beyond the limit: got %d", got.status)
	}
}
