package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// TestGalaxysSchemaIsCompared with a Galaxy like ours, one that has changed, and
// one that is away.
func TestGalaxysSchemaIsCompared(t *testing.T) {
	t.Parallel()
	w := settle(t, sqlite(t), rollup, nil)
	issuer := w.settings["ROLLUP_ISSUER"]
	changed := changedGalaxy(t, issuer)
	for _, tt := range []struct {
		name   string
		url    string
		status int
		want   []string
	}{
		{"a Galaxy like ours", issuer + "/graphql", 0, []string{"No difference"}},
		{"a Galaxy that has changed", changed + "/graphql", 1, []string{
			"missing here:  GalaxyProfile.shownName: String\n",
			"missing there: GalaxyProfile.displayName: String\n",
			"differs:       GalaxyApp.timestamp: Float! here, Int! there\n",
			"\nextend type GalaxyProfile {\n  shownName: String\n}\n",
			"differ\n",
		}},
		{"a Galaxy that is away", "http://127.0.0.1:1/graphql", 2, []string{"ask galaxy for its schema"}},
		{"what is no Galaxy", issuer + "/jwks", 2, []string{"does not tell its schema"}},
		{"what is no URL", "nonsense", 2, []string{"GALAXY_URL: must be"}},
	} {
		out, status := w.command(t, "galaxy", "diff", "--url", tt.url)
		for _, want := range tt.want {
			if status != tt.status || !strings.Contains(out, want) {
				t.Errorf("%s: exit status %d, want %d, and %q in\n%s", tt.name, status, tt.status, want, out)
			}
		}
	}
	if out, status := prepare(t, nil).command(t, "galaxy", "diff"); status != 0 || !strings.Contains(out, "the embedded Galaxy\n") {
		t.Errorf("in development mode: %d\n%s", status, out)
	}
}

// changedGalaxy is the Galaxy behind that address with another schema.
func changedGalaxy(t *testing.T, address string) string {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		text := strings.NewReplacer(`"displayName"`, `"shownName"`, `"Float"`, `"Int"`).Replace(string(body))
		r.Body = io.NopCloser(strings.NewReader(text))
		r.ContentLength = int64(len(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}
