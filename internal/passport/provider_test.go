package passport_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

const (
	clientID     = "client-1"
	clientSecret = "client-tok3n-secret: +/%"
	subject      = "urn:rollupid:identity/0xa11ce"
)

// clock is the time at which the client of these tests lives.
func clock() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// fakeProvider is a provider whose every answer a test can choose. It listens on
// a real port.
type fakeProvider struct {
	t   *testing.T
	url string
	mux *http.ServeMux
	key signer

	mu       sync.Mutex
	metadata map[string]any // beside the endpoints; nil removes
	keys     []jose.JSONWebKey
	hits     map[string]int
}

func newFakeProvider(t *testing.T) *fakeProvider {
	t.Helper()
	f := &fakeProvider{t: t, mux: http.NewServeMux(), key: newSigner(t, "k1"), metadata: map[string]any{}, hits: map[string]int{}}
	f.keys = []jose.JSONWebKey{f.key.public()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.hits[r.URL.Path]++
		f.mu.Unlock()
		f.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, f.document()) })
	f.mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		writeJSON(w, jose.JSONWebKeySet{Keys: f.keys})
	})
	return f
}

func (f *fakeProvider) document() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := map[string]any{
		"issuer":                                f.url,
		"authorization_endpoint":                f.url + "/authorize",
		"token_endpoint":                        f.url + "/token",
		"userinfo_endpoint":                     f.url + "/userinfo",
		"jwks_uri":                              f.url + "/jwks",
		"id_token_signing_alg_values_supported": []string{"ES256"},
	}
	maps.Copy(d, f.metadata)
	maps.DeleteFunc(d, func(_ string, v any) bool { return v == nil })
	return d
}

// set changes what the discovery document says.
func (f *fakeProvider) set(name string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.metadata[name] = value
}

func (f *fakeProvider) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits[path]
}

// client returns a client that has discovered the provider, and its log.
func (f *fakeProvider) client(change func(*passport.Config)) (*passport.Client, *log) {
	f.t.Helper()
	c, written := f.newClient(change)
	if err := c.Discover(f.t.Context()); err != nil {
		f.t.Fatalf("Discover: %v", err)
	}
	return c, written
}

func (f *fakeProvider) newClient(change func(*passport.Config)) (*passport.Client, *log) {
	written := &log{}
	cfg := passport.Config{
		Issuer:       f.url,
		ClientID:     clientID,
		ClientSecret: secret.New(clientSecret),
		RedirectURL:  "http://localhost:8080/auth/callback",
		RequireNonce: true,
		AssumedLife:  7 * time.Minute,
		Now:          clock,
		Logger:       slog.New(slog.NewTextHandler(written, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	return passport.New(cfg), written
}

// answer makes the token endpoint answer with these members.
func (f *fakeProvider) answer(members map[string]any) {
	f.mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, members) })
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// signer is a key of the provider's.
type signer struct {
	id  string
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id: id, key: key}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: s.id, Algorithm: "ES256", Use: "sig"}
}

func (s signer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	return signWith(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, nil, claims)
}

func signWith(t *testing.T, key jose.SigningKey, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: header}
	s, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// log is a buffer for concurrent writers.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// checkFailure requires err to be a failure of that kind and reason in which,
// as in the log, nothing secret is to be seen: every secret of these tests has
// "tok3n" in it.
func checkFailure(t *testing.T, err error, kind grant.Kind, reason string, written *log) {
	t.Helper()
	var f *grant.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error: got %v, want a failure of kind %s, reason %s", err, kind, reason)
	}
	if f.Kind != kind || f.Reason != reason {
		t.Errorf("failure: got %s %s (%s), want %s %s", f.Kind, f.Reason, f.Message, kind, reason)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", *f), fmt.Sprint(f.Err), written.String()} {
		if strings.Contains(text, "tok3n") {
			t.Errorf("a secret got out: %s", text)
		}
	}
}

func mustRefresh(t *testing.T, c *passport.Client) grant.Tokens {
	t.Helper()
	tokens, err := c.Refresh(context.Background(), secret.New("presented-tok3n"))
	if err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	return tokens
}
