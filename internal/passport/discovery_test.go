package passport_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

func TestEveryCallBeforeDiscovery(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	c, written := f.newClient(nil)
	ctx := t.Context()
	_, authErr := c.AuthCodeURL(ctx, passport.Authorization{})
	_, _, exchangeErr := c.Exchange(ctx, secret.New(presented), secret.Text{}, secret.Text{})
	_, refreshErr := c.Refresh(ctx, secret.New(presented))
	_, revokeErr := c.Revoke(ctx, secret.New(presented), secret.Text{})
	infoErr := c.UserInfo(ctx, secret.New(presented), subject, &struct{}{})
	for _, err := range []error{authErr, exchangeErr, refreshErr, revokeErr, infoErr, c.Ready()} {
		checkFailure(t, err, grant.Later, "not_discovered", written)
	}
}

func TestProviderDownAtStart(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	down := make(chan struct{})
	var attempts int // of one request after the other
	f.metadata["token_endpoint"] = f.url + "/token"
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if attempts++; attempts <= 2 {
			http.Error(w, "tok3n down for maintenance", http.StatusServiceUnavailable)
			if attempts == 1 {
				close(down)
			}
			return
		}
		writeJSON(w, f.document())
	})
	f.mux = mux

	c, written := f.newClient(nil)
	ended := make(chan error, 1)
	go func() { ended <- c.Discover(t.Context()) }()
	<-down
	if err := c.Ready(); err == nil {
		t.Error("Ready while the provider is down: got nil")
	}
	if err := <-ended; err != nil {
		t.Fatalf("Discover: %v", err)
	}
	if err := c.Ready(); err != nil {
		t.Errorf("Ready: got %v, want nil", err)
	}
	if !strings.Contains(written.String(), "reason=http_503") || strings.Contains(written.String(), "tok3n") {
		t.Errorf("log: got %s, want the reason and not the body", written)
	}
}

func TestAProviderIsDiscoveredAgain(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.mux.HandleFunc("/revoke", func(http.ResponseWriter, *http.Request) {})
	c, written := f.newClient(func(cfg *passport.Config) { cfg.Rediscover = time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	revokes := func() bool {
		confirmed, err := c.Revoke(t.Context(), secret.New(presented), secret.Text{})
		return confirmed && err == nil
	}
	await(t, func() bool { return c.Ready() == nil })
	if revokes() {
		t.Fatal("Revoke: confirmed by a provider that has no endpoint")
	}
	f.set("revocation_endpoint", f.url+"/revoke")
	await(t, revokes)
	f.set("issuer", "https://other.example.com") // the document of another
	await(t, func() bool { return strings.Contains(written.String(), "level=WARN") })
	if err := c.Ready(); err != nil || !revokes() {
		t.Errorf("what was known did not stay: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestKeysOutliveAnotherDiscovery(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	c, _ := f.client(nil)
	f.answer(map[string]any{
		"access_token": "a", "token_type": "Bearer", "expires_in": 60,
		"id_token": f.key.sign(t, map[string]any{
			"iss": f.url, "aud": clientID, "sub": subject, "nonce": "n", "iat": clock().Unix(), "exp": clock().Add(time.Hour).Unix(),
		}),
	})
	for range 2 {
		if _, _, err := c.Exchange(t.Context(), secret.New(presented), secret.New("verifier"), secret.New("n")); err != nil {
			t.Fatal(err)
		}
		if err := c.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count("/jwks"); n != 1 {
		t.Errorf("the same keys were read %d times", n)
	}
}

// await waits until the condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-limit:
			t.Fatal("waited for too long")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestDiscoveryRefused(t *testing.T) {
	t.Parallel()
	page := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	tests := []struct {
		name     string
		metadata map[string]any
		answer   http.HandlerFunc
		kind     grant.Kind
		reason   string
	}{
		{name: "another issuer", metadata: map[string]any{"issuer": "https://evil.example"}, kind: grant.OperatorFault, reason: "issuer_mismatch"},
		{name: "no token endpoint", metadata: map[string]any{"token_endpoint": nil}, kind: grant.OperatorFault, reason: "endpoint_missing"},
		{name: "a relative jwks_uri", metadata: map[string]any{"jwks_uri": "/jwks"}, kind: grant.OperatorFault, reason: "endpoint_missing"},
		{name: "no way to authenticate", metadata: map[string]any{
			"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		}, kind: grant.OperatorFault, reason: "client_auth_unsupported"},
		{name: "a list that is none", metadata: map[string]any{"revocation_endpoint": 7}, kind: grant.Later, reason: "discovery_malformed"},
		{name: "HTML", answer: page("<html>tok3n"), kind: grant.Later, reason: "discovery_malformed"},
		{name: "an empty page", answer: page(""), kind: grant.Later, reason: "discovery_malformed"},
		{name: "a page without end", answer: page(strings.Repeat("x", 2<<20)), kind: grant.Later, reason: "discovery_malformed"},
		{name: "a wrong address", answer: http.NotFound, kind: grant.Later, reason: "http_404"},
		{name: "a redirect", answer: http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP, kind: grant.Later, reason: "redirected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.metadata = tt.metadata
			if tt.answer != nil {
				f.mux = http.NewServeMux()
				f.mux.HandleFunc("/", tt.answer)
			}
			c, written := f.newClient(nil)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Discover(ctx) }()
			for strings.Contains(c.Ready().Error(), "not_discovered") {
				select {
				case err := <-ended:
					t.Fatalf("Discover ended: %v", err)
				case <-time.After(time.Millisecond):
				}
			}
			checkFailure(t, c.Ready(), tt.kind, tt.reason, written)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Discover: got %v, want %v", err, context.Canceled)
			}
		})
	}
}

func TestEndpointsOfAnEncryptedIssuerAreEncrypted(t *testing.T) {
	t.Parallel()
	document := map[string]any{
		"issuer":                 "https://passport.example",
		"authorization_endpoint": "https://passport.example/authorize",
		"token_endpoint":         "http://passport.example/token",
		"jwks_uri":               "https://passport.example/jwks",
	}
	f := newFakeProvider(t)
	f.metadata = document
	c, written := f.newClient(func(cfg *passport.Config) {
		cfg.Issuer = "https://passport.example"
		cfg.Transport = toHost{f.url}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Discover(ctx) }()
	for strings.Contains(c.Ready().Error(), "not_discovered") {
		select {
		case err := <-ended:
			t.Fatalf("Discover ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	checkFailure(t, c.Ready(), grant.OperatorFault, "endpoint_insecure", written)
}

// toHost is a transport that sends every request to one plain server.
type toHost struct{ url string }

func (h toHost) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(h.url, "http://")
	return http.DefaultTransport.RoundTrip(r)
}
