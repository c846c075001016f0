package httpserver_test

import (
	"net/http"
	"strings"
	"testing"

	"galaxygate/internal/graphqlhttp"
	"galaxygate/internal/httpserver"
)

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
			if exposed := actual.header.Get("Access-Control-Expose-Headers"); tt.want != "" && !strings.Contains(exposed, "Www-Authenticate") {
				t.Errorf("Access-Control-Expose-Headers: got %q", exposed)
			}
			if want := http.StatusNoContent; preflight.status != want {
				t.Errorf("preflight: got %d, want %d", preflight.status, want)
			}
		})
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
