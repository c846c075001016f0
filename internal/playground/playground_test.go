package playground_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"galaxygate/internal/playground"
)

func newServer(t *testing.T, on bool, name string) *httptest.Server {
	t.Helper()
	return serve(t, playground.Options{
		Playground: on, Introspection: true, Origin: "http://localhost:8080",
		SignedIn: func(context.Context) (string, bool) { return name, name != "" },
	})
}

func serve(t *testing.T, options playground.Options) *httptest.Server {
	t.Helper()
	handler, err := playground.Handler(options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// get returns the response to a GET, whose body has been read.
func get(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	// Compression is asked for by the tests themselves.
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		on       bool
		signedIn string
		query    string
		want     []string
		wantNone []string
	}{
		{
			name: "the playground", on: true,
			want: []string{
				"graphiql.min.js", `id="sign-in"`, `id="sign-out"`, `data-origin="http://localhost:8080"`,
				`data-introspection="true"`, `{"title":"Viewer and profile","query":"# Viewer`, `"variables":"{`,
			},
			wantNone: []string{`role="alert"`, `class="short"`},
		},
		{
			name: "the short page for nobody",
			want: []string{"You are not signed in.", `href="/auth/login?return_to=/"`}, wantNone: []string{"<script", "/auth/logout"},
		},
		{
			name: "the short page for Alice", signedIn: "Alice <3",
			want: []string{"signed in as Alice &lt;3", `action="/auth/logout?return_to=/"`}, wantNone: []string{"<script", "/auth/login"},
		},
		{
			name: "a declined sign-in", on: true, query: "?error=access_denied&error_description=Alice+said+no",
			want: []string{`role="alert"><p>Sign-in was declined.`}, wantNone: []string{"Alice said no"},
		},
		{
			name: "an unknown error with markup in it", query: "?error=x&error_description=%3Cscript%3Ealert(1)%3C/script%3E",
			want: []string{"Sign-in did not succeed."}, wantNone: []string{"script>", "alert(1)"},
		},
		{
			name: "a description without an error", query: "?error_description=Call+Bob", wantNone: []string{"Call Bob", `role="alert"`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			response, body := get(t, newServer(t, tt.on, tt.signedIn).URL+"/"+tt.query, nil)
			if response.StatusCode != http.StatusOK {
				t.Errorf("status: got %d, want 200", response.StatusCode)
			}
			if got := response.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
				t.Errorf("Content-Security-Policy: got %q", got)
			}
			for _, want := range tt.want {
				if !strings.Contains(body, want) {
					t.Errorf("page lacks %q", want)
				}
			}
			for _, none := range tt.wantNone {
				if strings.Contains(body, none) {
					t.Errorf("page has %q", none)
				}
			}
		})
	}
}

func TestPageNamesAssetsThatAreServed(t *testing.T) {
	t.Parallel()
	server := newServer(t, true, "")
	_, body := get(t, server.URL, nil)
	urls := regexp.MustCompile(`(?:src|href)="(`+playground.AssetsPath+`[^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(urls) != 7 {
		t.Fatalf("assets on the page: got %d, want 7", len(urls))
	}
	urls = append(urls, imported(t, server.URL, urls[len(urls)-1][1])...)
	if len(urls) < 12 {
		t.Errorf("with what the scripts import: got %d", len(urls))
	}
	for _, match := range urls {
		plain, content := get(t, server.URL+match[1], nil)
		if plain.StatusCode != http.StatusOK || !strings.Contains(plain.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: got %d %q", match[1], plain.StatusCode, plain.Header.Get("Cache-Control"))
		}
		again, _ := get(t, server.URL+match[1], http.Header{"If-None-Match": {plain.Header.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s with its ETag: got %d, want 304", match[1], again.StatusCode)
		}
		small, compressed := get(t, server.URL+match[1], http.Header{"Accept-Encoding": {"br, gzip"}})
		if small.Header.Get("Content-Encoding") != "gzip" || small.Header.Get("ETag") == plain.Header.Get("ETag") {
			t.Errorf("%s with gzip: got encoding %q, ETag %q", match[1], small.Header.Get("Content-Encoding"), small.Header.Get("ETag"))
		}
		if unpack(t, compressed) != content {
			t.Errorf("%s: the compressed content differs", match[1])
		}
	}
}

// imported returns the modules that the one at the URL imports, and those that they do,
// as the pattern above would match them.
func imported(t *testing.T, origin, url string) [][]string {
	t.Helper()
	var all [][]string
	seen := map[string]bool{url: true}
	for next := []string{url}; len(next) > 0; next = next[1:] {
		_, content := get(t, origin+next[0], nil)
		for _, match := range regexp.MustCompile(`from '\./([^']+)'`).FindAllStringSubmatch(content, -1) {
			module := path.Join(path.Dir(next[0]), match[1])
			if !seen[module] {
				seen[module] = true
				all = append(all, []string{"", module})
				next = append(next, module)
			}
		}
	}
	return all
}

func unpack(t *testing.T, compressed string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAssetsAreNotCompressedForWhoDoesNotTakeIt(t *testing.T) {
	t.Parallel()
	server := newServer(t, true, "")
	_, body := get(t, server.URL, nil)
	url := regexp.MustCompile(`href="([^"]+app\.css)"`).FindStringSubmatch(body)[1]
	for _, header := range []string{"identity", "gzip;q=0", "gzip;Q=0", "gzip; q=0.0, br", "gzipped"} {
		response, _ := get(t, server.URL+url, http.Header{"Accept-Encoding": {header}})
		if got := response.Header.Get("Content-Encoding"); got != "" {
			t.Errorf("%q: got encoding %q, want none", header, got)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	server := newServer(t, true, "")
	for _, path := range []string{"/other", playground.AssetsPath, playground.AssetsPath + "app.js", playground.AssetsPath + "0000000000000000/app.js"} {
		if response, _ := get(t, server.URL+path, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, response.StatusCode)
		}
	}
}

func TestAssetsAreAsPublished(t *testing.T) {
	t.Parallel()
	sums, err := os.ReadFile("assets/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{"SHA256SUMS": ""}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		listed[name] = sum
	}
	entries, err := os.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(listed) {
		t.Errorf("files: got %d, want the %d listed", len(entries), len(listed))
	}
	for _, entry := range entries {
		want, ok := listed[entry.Name()]
		if !ok {
			t.Errorf("%s is not listed", entry.Name())
		}
		if want == "" {
			continue
		}
		content, err := os.ReadFile(filepath.Join("assets", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: got %s, want %s", entry.Name(), got, want)
		}
	}
}

// TestAFileIsForEverybody wants what was set for one browser before, which cookie it
// is to forget, to be in no answer that shared caches keep.
func TestAFileIsForEverybody(t *testing.T) {
	t.Parallel()
	handler, err := playground.Handler(playground.Options{
		Playground: true, SignedIn: func(context.Context) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=; Max-Age=0")
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	page, body := get(t, server.URL+"/", nil)
	if page.Header.Get("Set-Cookie") == "" {
		t.Error("the page has lost its cookie")
	}
	file, _ := get(t, server.URL+regexp.MustCompile(`/-/playground/[^"]*app\.js`).FindString(body), nil)
	if file.StatusCode != http.StatusOK || file.Header.Get("Set-Cookie") != "" || !strings.HasPrefix(file.Header.Get("Cache-Control"), "public") {
		t.Errorf("got %d with %v", file.StatusCode, file.Header)
	}
}

func TestAPlaygroundThatCouldRunNothing(t *testing.T) {
	t.Parallel()
	nobody := func(context.Context) (string, bool) { return "", false }
	_, trusted := get(t, serve(t, playground.Options{Playground: true, TrustedOnly: true, SignedIn: nobody}).URL, nil)
	if !strings.Contains(trusted, "TRUSTED_DOCUMENTS") || strings.Contains(trusted, "<script") {
		t.Errorf("with trusted documents alone: got %s", trusted)
	}
	_, mute := get(t, serve(t, playground.Options{Playground: true, SignedIn: nobody}).URL, nil)
	if !strings.Contains(mute, `data-introspection="false"`) {
		t.Errorf("without introspection: got %s", mute)
	}
}

func TestWhereASignInInAWindowOfItsOwnEnds(t *testing.T) {
	t.Parallel()
	response, body := get(t, newServer(t, true, "").URL+playground.AssetsPath+"done?error=%3Cscript%3E", nil)
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "done.js") || strings.Contains(body, "<script>") {
		t.Errorf("got %d: %s", response.StatusCode, body)
	}
	if got := response.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
		t.Errorf("Content-Security-Policy: got %q", got)
	}
	if response, _ := get(t, newServer(t, false, "").URL+playground.AssetsPath+"done", nil); response.StatusCode != http.StatusNotFound {
		t.Errorf("where there is no playground: got %d, want 404", response.StatusCode)
	}
}
