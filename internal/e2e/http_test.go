package e2e_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestTheAuditsOfGraphQLOverHTTP runs those of npm's graphql-http, anonymously and
// for a user who is signed in.
func TestTheAuditsOfGraphQLOverHTTP(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"INTROSPECTION": "true"}) // some audits ask for __type
	alice := w.browser(t)
	alice.signIn(t, w.url+"/auth/login")
	for name, args := range map[string][]string{
		"anonymous": {w.url + "/graphql"},
		"signed in": {w.url + "/graphql", "galaxygate=" + alice.session()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out := runNode(t, "audits.mjs", nil, args...); !strings.Contains(out, "61 audits are ok") {
				t.Errorf("got %s", out)
			}
		})
	}
}

// TestAnswersByHTTP2 asks as a proxy does that speaks HTTP/2 without TLS.
func TestAnswersByHTTP2(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"INTROSPECTION": "true", "PLAYGROUND": "true"})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	large := "/graphql?query=" + url.QueryEscape("{__schema{types{name description}}}")
	tests := []struct {
		name, method, path string
		compressed         bool
		vary               string
	}{
		{name: "a small answer", method: "GET", path: "/graphql?query={__typename}", vary: "Origin, Accept-Encoding, Accept"},
		{name: "a large answer", method: "GET", path: large, compressed: true, vary: "Origin, Accept-Encoding, Accept"},
		{name: "a large answer's header", method: "HEAD", path: large, vary: "Origin, Accept-Encoding, Accept"},
		{name: "the playground", method: "GET", path: "/", compressed: true, vary: "Origin, Accept-Encoding"},
		{name: "a file of its", method: "GET", path: assetOf(t, w.url), compressed: true, vary: "Origin, Accept-Encoding"},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, w.url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || (len(body) == 0) != (tt.method == http.MethodHead) {
			t.Errorf("%s: read %d bytes: %v", tt.name, len(body), err)
		}
		if resp.Proto != "HTTP/2.0" || resp.StatusCode != http.StatusOK || resp.Uncompressed != tt.compressed {
			t.Errorf("%s: got %s %d, compressed %v", tt.name, resp.Proto, resp.StatusCode, resp.Uncompressed)
		}
		if vary := strings.Join(resp.Header.Values("Vary"), ", "); vary != tt.vary {
			t.Errorf("%s: Vary: got %q, want %q", tt.name, vary, tt.vary)
		}
	}
}

// assetOf returns the path of one of the files that the playground loads.
func assetOf(t *testing.T, gateway string) string {
	t.Helper()
	resp, err := http.Get(gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`/-/playground/[^"]+/graphiql\.min\.js`).FindString(string(page))
	if path == "" {
		t.Fatal("the playground loads no graphiql.min.js")
	}
	return path
}

func TestTheDraftOfGraphQLOverHTTP(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"GRAPHQL_HTTP_PROFILE": "draft"})
	resp, body := w.browser(t).post(t, w.url+"/graphql", "application/json", `{"query":"{nope}"}`)
	const want = "application/graphql-response+json; charset=utf-8"
	if resp.StatusCode != http.StatusUnprocessableEntity || resp.Header.Get("Content-Type") != want {
		t.Errorf("got %d %q, want 422 %q; body %s", resp.StatusCode, resp.Header.Get("Content-Type"), want, body)
	}
}
