package grant_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

// answer is what the provider's token endpoint says.
type answer struct {
	status     int
	body       map[string]any
	retryAfter string
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

// provider is a token endpoint whose answers a test decides on, behind a real
// client and real HTTP.
type provider struct {
	client *passport.Client

	mu         sync.Mutex
	answer     func(n int) answer
	revocation func(n int) answer
	presented  []string
	revoked    []string
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{answer: func(n int) answer { return tokens(fmt.Sprintf("access-%d", n), "", time.Hour) }}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": server.URL, "authorization_endpoint": server.URL + "/authorize",
			"token_endpoint": server.URL + "/token", "revocation_endpoint": server.URL + "/revoke",
			"userinfo_endpoint": server.URL + "/userinfo", "jwks_uri": server.URL + "/jwks",
			"id_token_signing_alg_values_supported": []string{"ES256"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.presented = append(p.presented, r.FormValue("refresh_token"))
		n, reply := len(p.presented), p.answer
		p.mu.Unlock()
		reply(n).write(w)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.revoked = append(p.revoked, r.FormValue("token"))
		n, reply := len(p.revoked), p.revocation
		p.mu.Unlock()
		if reply == nil {
			return
		}
		reply(n).write(w)
	})
	p.client = passport.New(passport.Config{
		Issuer: server.URL, ClientID: "client", ClientSecret: secret.New("client-secret"),
		RedirectURL: "http://127.0.0.1/auth/callback",
	})
	if err := p.client.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// answers sets what the nth presentation gets, from 1.
func (p *provider) answers(f func(n int) answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// revokes sets what the nth revocation of a token gets, from 1.
func (p *provider) revokes(f func(n int) answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revocation = f
}

func (p *provider) presentations() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.presented)
}

func (p *provider) revocations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.revoked...)
}

func tokens(access, refresh string, life time.Duration) answer {
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(life.Seconds()), "scope": "openid email"}
	if refresh != "" {
		body["refresh_token"] = refresh
	}
	return answer{status: http.StatusOK, body: body}
}

func refused(status int, code string) answer {
	return answer{status: status, body: map[string]any{"error": code}}
}
