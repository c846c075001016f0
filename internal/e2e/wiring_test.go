package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// production is a gateway behind a proxy that ends TLS, for an app elsewhere.
func production(t *testing.T, more map[string]string) *world {
	t.Helper()
	settings := map[string]string{
		"PUBLIC_URL": "https://gate.example.com", "ALLOWED_ORIGINS": "https://app.example.com", "TRUSTED_PROXIES": "127.0.0.0/8",
	}
	for name, value := range more {
		settings[name] = value
	}
	return found(t, sqlite(t), rollup, settings)
}

// with sends a query with these headers.
func (w *world) with(t *testing.T, method, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	target := w.url + "/graphql"
	if method == http.MethodGet {
		target += "?query=%7B__typename%7D"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return w.browser(t).send(t, req)
}

func TestWhoMaySendTheCookie(t *testing.T) {
	t.Parallel()
	w := production(t, nil)
	cookie := "__Host-galaxygate=" + strings.Repeat("x", 43)
	const query = `{"query":"{ __typename }"}`
	tests := []struct {
		name   string
		method string
		header map[string]string
		status int
	}{
		{"a router, a script", "POST", map[string]string{"Cookie": cookie}, 200},
		{"our own pages", "POST", map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Origin": "https://gate.example.com"}, 200},
		{"the allowed app", "POST", map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com"}, 200},
		{"another site", "POST", map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"}, 403},
		{"a neighbour of the site", "POST", map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "same-site", "Origin": "https://blog.example.com"}, 403},
		{"an older browser on another site", "POST", map[string]string{"Cookie": cookie, "Origin": "https://evil.example.com"}, 403},
		{"another site by GET", "GET", map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}, 403},
		{"another site with no JSON at all", "POST", map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}, 403},
		{"another site without the cookie", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := w.with(t, tt.method, query, tt.header)
			if resp.StatusCode != tt.status {
				t.Errorf("got %d %s, want %d", resp.StatusCode, body, tt.status)
			}
			shared := resp.Header.Get("Access-Control-Allow-Origin")
			if allowed := tt.header["Origin"] == "https://app.example.com"; (shared != "") != allowed || shared == "*" {
				t.Errorf("Access-Control-Allow-Origin: %q", shared)
			}
		})
	}
}

func TestLimitsAreInForce(t *testing.T) {
	t.Parallel()
	w := production(t, map[string]string{
		"MAX_QUERY_DEPTH": "4", "MAX_QUERY_COMPLEXITY": "60", "MAX_QUERY_TOKENS": "60", "MAX_BODY_BYTES": "2000",
		"MAX_QUERY_ALIASES": "2", "MAX_ROOT_FIELDS": "3",
	})
	tests := []struct{ name, query, want string }{
		{"depth", "{ viewer { sessions { nodes { user { id } } } } }", "QUERY_TOO_COMPLEX"},
		{"cost", "{ viewer { sessions { nodes { id kind } } } }", "QUERY_TOO_COMPLEX"},
		{"aliases", "{ viewer { a: id b: id c: id } }", "3 aliases; 2 are allowed"},
		{"root fields", "{ scopes { name } viewer { id } session { id } __typename }", "4 fields of the root; 3 are allowed"},
		{"tokens", "{ viewer { " + strings.Repeat("id ", 70) + "} }", "QUERY_TOO_COMPLEX"},
		{"body", "{ viewer { id } } #" + strings.Repeat("x", 2000), "413"},
		{"introspection", "{ __schema { types { name } } }", "GRAPHQL_VALIDATION_FAILED"},
		{"no suggestions", "{ viewr { id } }", "GRAPHQL_VALIDATION_FAILED"},
		{"federation all the same", "{ _service { sdl } }", "type User"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := w.with(t, http.MethodPost, fmt.Sprintf(`{"query":%q}`, tt.query), nil)
			if got := fmt.Sprint(resp.StatusCode, " ", body); !strings.Contains(got, tt.want) || strings.Contains(got, "Did you mean") {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRatesAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	w := production(t, map[string]string{"RATE_LIMIT": "5"})
	const query = `{"query":"{ __typename }"}`
	statuses := map[int]int{}
	for range 12 {
		resp, _ := w.with(t, http.MethodPost, query, map[string]string{"X-Forwarded-For": "203.0.113.7"})
		statuses[resp.StatusCode]++
		if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if statuses[200] < 5 || statuses[429] < 5 {
		t.Errorf("got %v", statuses)
	}
	for _, credentials := range []map[string]string{
		{"X-Forwarded-For": "203.0.113.7", "Authorization": "Bearer made-up"},
		{"X-Forwarded-For": "203.0.113.7", "Cookie": "__Host-galaxygate=made-up"},
	} {
		if resp, _ := w.with(t, http.MethodPost, query, credentials); resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("made-up credentials: got %d, want 429", resp.StatusCode)
		}
	}
	if resp, _ := w.with(t, http.MethodPost, query, map[string]string{"X-Forwarded-For": "203.0.113.8"}); resp.StatusCode != http.StatusOK {
		t.Errorf("another address: got %d", resp.StatusCode)
	}
}

func TestASessionKnowsItsBrowser(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"SESSION_IDLE_TIMEOUT": "1h", "SESSION_LIFETIME": "2h"})
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	r := b.query(t, `{ session { userAgent ipAddress createdAt expiresAt } }`)
	if r.at("session", "ipAddress") != "127.0.0.1" || !strings.Contains(fmt.Sprint(r.at("session", "userAgent")), "Go-http-client") {
		t.Errorf("got %+v", r)
	}
	created, err := time.Parse(time.RFC3339, fmt.Sprint(r.at("session", "createdAt")))
	if err != nil {
		t.Fatal(err)
	}
	expires, err := time.Parse(time.RFC3339, fmt.Sprint(r.at("session", "expiresAt")))
	if err != nil || expires.Sub(created).Round(time.Minute) != time.Hour {
		t.Errorf("lives %v, want an hour: %v", expires.Sub(created), err)
	}
	db := openDatabase(t, w.database)
	if actors := column(t, db, "SELECT ip_address FROM audit_events WHERE kind = 'signed_in'"); len(actors) != 1 || actors[0] != "127.0.0.1" {
		t.Errorf("audited from %q", actors)
	}
}

func TestGivingTheConsentBack(t *testing.T) {
	t.Parallel()
	for name, with := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := found(t, sqlite(t), with, nil)
			one, two := w.browser(t), w.browser(t)
			one.signIn(t, w.url+"/auth/login")
			two.signIn(t, w.url+"/auth/login")
			r := one.query(t, `mutation { revokeAuthorization { revokedSessions revokedUpstream } }`)
			if r.at("revokeAuthorization", "revokedSessions") != 2.0 || r.at("revokeAuthorization", "revokedUpstream") != true {
				t.Errorf("got %+v", r)
			}
			if r := two.query(t, `{ viewer { id } }`); r.at("viewer") != nil || one.session() != "" {
				t.Error("a session lives on")
			}
			db := openDatabase(t, w.database)
			if grants := column(t, db, "SELECT id FROM grants"); len(grants) != 0 {
				t.Errorf("%d grants are left", len(grants))
			}
		})
	}
}

func TestMetricsCountRequestsAndRefreshes(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	w.setLife(time.Second)
	b.signIn(t, w.url+"/auth/login")
	w.setLife(time.Hour)
	var body string
	eventually(t, 10*time.Second, func() bool {
		b.query(t, `{ viewer { name } }`)
		body = w.await(t, w.admin+"/metrics", http.StatusOK)
		return strings.Contains(body, `galaxygate_refresh_duration_seconds_count{outcome="refreshed"} 1`)
	}, func() string { return "no refresh is counted" })
	b.query(t, `{ viewer { name } }`) // by a session that is remembered
	body = w.await(t, w.admin+"/metrics", http.StatusOK)
	for _, want := range []string{
		`galaxygate_http_request_duration_seconds_count{route="/graphql",status="2xx"}`,
		`galaxygate_grants{status="active"} 1`,
		`galaxygate_cache_lookups_total{cache="grants",result="miss"}`,
		`galaxygate_cache_lookups_total{cache="sessions",result="hit"}`,
		`galaxygate_refresh_wait_duration_seconds_count`,
		"go_goroutines",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestAConsentWorksAtOnceOnEveryReplica(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	elsewhere := &world{provider: w.provider, gateway: serving(t, w.replica(t, nil))}
	b := w.browser(t)
	// signIn signs in here, and asks on the other replica from then on.
	signIn := func(scope string) {
		b.w, b.token = w, ""
		b.signIn(t, w.url+"/auth/login?scope="+scope)
		b.w, b.token = elsewhere, b.session()
	}
	consented := []string{"profile"}
	w.consent(consented...)
	signIn("")
	for _, step := range []struct{ scope, field, document string }{
		{"email", "email", `{ viewer { id email } }`},
		{"connected_accounts", "connectedAccounts", `{ viewer { id connectedAccounts { totalCount } } }`},
		{"erc_4337", "smartContractWallets", `{ viewer { id smartContractWallets { address } } }`},
	} {
		if code, _ := b.query(t, step.document).code(step.field); code != "INSUFFICIENT_SCOPE" {
			t.Errorf("before the consent to %s: got %q", step.scope, code)
		}
		consented = append(consented, step.scope)
		w.consent(consented...)
		signIn(step.scope)
		if r := b.query(t, step.document); r.at("viewer", step.field) == nil {
			t.Errorf("after the consent to %s: got %+v", step.scope, r)
		}
	}
}
