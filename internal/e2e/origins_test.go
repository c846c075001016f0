package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// arrival is a request of an attack's, as the gateway saw and answered it.
type arrival struct {
	method string
	cookie bool // whether the session came with it
	status int
}

// hosts stands before the gateway as its proxy, and is every other host too: those
// of the pages that call it.
type hosts struct {
	counters func() map[string]int // of what is asked upstream

	mu       sync.Mutex
	arrivals map[string][]arrival // by the attack's name
	before   map[string]int
	asked    []string // upstream, during attacks
}

// handler serves every host.
func (h *hosts) handler(t *testing.T, gateway string) http.Handler {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(response *http.Response) error { h.note(response); return nil },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "gate.example.test" {
			proxy.ServeHTTP(w, r)
			return
		}
		h.page(w, r)
	})
}

// note remembers how an attack was answered.
func (h *hosts) note(response *http.Response) {
	r := response.Request
	attack := r.URL.Query().Get("attack")
	if attack == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	cookie := len(r.CookiesNamed("__Host-galaxygate")) > 0
	h.arrivals[attack] = append(h.arrivals[attack], arrival{r.Method, cookie, response.StatusCode})
}

// page is what another host shows. Some say that attacks begin, or are over.
func (h *hosts) page(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r.URL.Path {
	case "/begin":
		h.before = h.counters()
	case "/end":
		for name, n := range h.counters() {
			if n != h.before[name] {
				h.asked = append(h.asked, fmt.Sprintf("%s %d times for %s", name, n-h.before[name], r.Host))
			}
		}
	}
	w.Header().Set("Content-Type", "text/html")
	script := ""
	if r.URL.Path == "/done" {
		script = "<script>opener.postMessage('done', '*'); close()</script>"
	}
	_, _ = io.WriteString(w, "<!doctype html><title>a page</title><body>"+script)
}

// TestWhatOtherOriginsCanDo lets a real Chromium attack the gateway of a user who
// is signed in, from a page of another site and from one of another host of the
// same site, whose requests carry the cookie. A page of an allowed origin works.
func TestWhatOtherOriginsCanDo(t *testing.T) {
	t.Parallel()
	chromium := inChromium(t)
	at := func(t *testing.T, _ string) *provider {
		t.Helper()
		return rollup(t, "https://gate.example.test/auth/callback")
	}
	w := found(t, sqlite(t), at, map[string]string{
		"PUBLIC_URL": "https://gate.example.test", "ALLOWED_ORIGINS": "https://app.example.test",
		"ALLOWED_REDIRECTS": "https://app.example.test/done",
	})
	all := &hosts{counters: w.rollup.Counters, arrivals: make(map[string][]arrival)}
	front := httptest.NewUnstartedServer(all.handler(t, w.url))
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // Chromium does not know its certificate
	front.StartTLS()
	defer front.Close()

	var read map[string]string
	out := runNode(t, "origins.mjs", chromium, front.Listener.Addr().String())
	if err := json.Unmarshal([]byte(out), &read); err != nil {
		t.Fatalf("what was read: %v\n%s", err, out)
	}
	for attack, content := range read {
		if content != "" {
			t.Errorf("%s read %q", attack, content)
		}
	}
	if len(all.asked) > 0 {
		t.Errorf("asked upstream: %v", all.asked)
	}
	all.wantRefusals(t, read)
}

// wantRefusals wants each attack to have come, and to have been refused where the
// session came with it.
func (h *hosts) wantRefusals(t *testing.T, attacks map[string]string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	withCookie := 0
	for attack := range attacks {
		if len(h.arrivals[attack]) == 0 {
			t.Errorf("%s did not come to the gateway", attack)
		}
		for _, a := range h.arrivals[attack] {
			preflight := a.method == http.MethodOptions && a.status == http.StatusNoContent
			page := strings.HasSuffix(attack, "iframe-page")
			if a.cookie {
				withCookie++
			}
			if a.cookie && a.status != http.StatusForbidden && !preflight && !page {
				t.Errorf("%s, with the session: got %+v, want 403", attack, a)
			}
		}
	}
	if withCookie < 20 {
		t.Errorf("%d requests of attacks had the session with them: the browser has not tried", withCookie)
	}
}
