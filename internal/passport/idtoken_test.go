package passport_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

const nonce = "nonce-tok3n-1"

// goodClaims are those of an ID token that passes.
func goodClaims(f *fakeProvider) map[string]any {
	return map[string]any{
		"iss": f.url, "sub": subject, "aud": []string{clientID}, "nonce": nonce, "sid": "session-1",
		"iat": clock().Unix(), "exp": clock().Add(time.Hour).Unix(),
	}
}

func signIn(t *testing.T, f *fakeProvider, idToken string, change func(*passport.Config)) (passport.Identity, *log, error) {
	t.Helper()
	f.answer(map[string]any{"access_token": "at-tok3n", "refresh_token": "rt-tok3n", "id_token": idToken})
	c, written := f.client(change)
	identity, tokens, err := c.Exchange(t.Context(), secret.New("code-tok3n"), secret.New("verifier-tok3n"), secret.New(nonce))
	if (err == nil) != (tokens.Access.Reveal() == "at-tok3n") {
		t.Errorf("tokens: got access %v with error %v", tokens.Access, err)
	}
	return identity, written, err
}

func TestIDTokenAccepted(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("at-tok3n"))
	tests := []struct {
		name   string
		change func(claims map[string]any)
		config func(*passport.Config)
	}{
		{name: "as Rollup sends it, the audience an array", change: func(map[string]any) {}},
		{name: "the audience a string", change: func(c map[string]any) { c["aud"] = clientID }},
		{name: "several audiences and this client the authorized party", change: func(c map[string]any) {
			c["aud"] = []string{"another", clientID}
			c["azp"] = clientID
		}},
		{name: "expired by less than the clocks may differ", change: func(c map[string]any) { c["exp"] = clock().Add(-30 * time.Second).Unix() }},
		{name: "a right at_hash", change: func(c map[string]any) {
			c["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:16])
		}},
		{
			name:   "no nonce, where the provider is known not to echo it",
			change: func(c map[string]any) { delete(c, "nonce") },
			config: func(cfg *passport.Config) { cfg.RequireNonce = false },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			claims := goodClaims(f)
			tt.change(claims)
			got, _, err := signIn(t, f, f.key.sign(t, claims), tt.config)
			if err != nil {
				t.Fatalf("Exchange: %v", err)
			}
			if want := (passport.Identity{Issuer: f.url, Subject: subject, SessionID: "session-1"}); got != want {
				t.Errorf("identity: got %+v, want %+v", got, want)
			}
		})
	}
}

func TestIDTokenClaimsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(claims map[string]any)
		config func(*passport.Config)
		want   string
	}{
		{name: "another issuer", change: func(c map[string]any) { c["iss"] = "https://evil.example" }, want: "id_token_issuer"},
		{name: "the issuer with a slash", change: func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }, want: "id_token_issuer"},
		{name: "another audience", change: func(c map[string]any) { c["aud"] = "another" }, want: "id_token_audience"},
		{name: "no audience", change: func(c map[string]any) { delete(c, "aud") }, want: "id_token_audience"},
		{name: "another authorized party", change: func(c map[string]any) { c["azp"] = "another" }, want: "id_token_azp"},
		{name: "several audiences and no authorized party", change: func(c map[string]any) {
			c["aud"] = []string{clientID, "another"}
		}, want: "id_token_azp"},
		{name: "expired", change: func(c map[string]any) { c["exp"] = clock().Add(-2 * time.Minute).Unix() }, want: "id_token_expired"},
		{name: "no expiry", change: func(c map[string]any) { delete(c, "exp") }, want: "id_token_expired"},
		{name: "another nonce", change: func(c map[string]any) { c["nonce"] = "another" }, want: "id_token_nonce"},
		{name: "no nonce", change: func(c map[string]any) { delete(c, "nonce") }, want: "id_token_nonce"},
		{
			name:   "another nonce is refused also where none is required",
			change: func(c map[string]any) { c["nonce"] = "another" },
			config: func(cfg *passport.Config) { cfg.RequireNonce = false },
			want:   "id_token_nonce",
		},
		{name: "the hash of another access token", change: func(c map[string]any) { c["at_hash"] = "AAAA" }, want: "id_token_at_hash"},
		{name: "no subject", change: func(c map[string]any) { delete(c, "sub") }, want: "id_token_subject"},
		{name: "a subject that is a number", change: func(c map[string]any) { c["sub"] = 7 }, want: "id_token_malformed"},
		{name: "an authorized party that is a number", change: func(c map[string]any) { c["azp"] = 7 }, want: "id_token_malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			claims := goodClaims(f)
			tt.change(claims)
			_, written, err := signIn(t, f, f.key.sign(t, claims), tt.config)
			checkFailure(t, err, grant.SignInAgain, tt.want, written)
		})
	}
}

func TestIDTokenSignatureRefused(t *testing.T) {
	t.Parallel()
	evil := newSigner(t, "k1")
	tests := []struct {
		name string
		sign func(t *testing.T, f *fakeProvider) string
		want string
	}{
		{name: "another's key under the provider's key ID", want: "id_token_signature", sign: func(t *testing.T, f *fakeProvider) string {
			return evil.sign(t, goodClaims(f))
		}},
		{name: "an unknown key ID", want: "id_token_signature", sign: func(t *testing.T, f *fakeProvider) string {
			return newSigner(t, "k9").sign(t, goodClaims(f))
		}},
		{name: "claims changed after signing", want: "id_token_signature", sign: func(t *testing.T, f *fakeProvider) string {
			good := strings.Split(f.key.sign(t, goodClaims(f)), ".")
			claims := goodClaims(f)
			claims["sub"] = "urn:rollupid:identity/0xbob"
			changed := strings.Split(f.key.sign(t, claims), ".")
			return good[0] + "." + changed[1] + "." + good[2]
		}},
		{name: "no algorithm at all", want: "id_token_algorithm", sign: func(t *testing.T, f *fakeProvider) string {
			parts := strings.Split(f.key.sign(t, goodClaims(f)), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
		}},
		{name: "the client secret as key", want: "id_token_algorithm", sign: func(t *testing.T, f *fakeProvider) string {
			key := []byte(strings.Repeat(clientSecret, 2))
			return signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: key}, nil, goodClaims(f))
		}},
		{name: "an algorithm that discovery does not list", want: "id_token_algorithm", sign: func(t *testing.T, f *fakeProvider) string {
			parts := strings.Split(f.key.sign(t, goodClaims(f)), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + parts[1] + "." + parts[2]
		}},
		{name: "no JWT", want: "id_token_malformed", sign: func(*testing.T, *fakeProvider) string { return "nonsense-tok3n" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			_, written, err := signIn(t, f, tt.sign(t, f), nil)
			checkFailure(t, err, grant.SignInAgain, tt.want, written)
		})
	}
}

func TestIDTokenAlgorithmsFromDiscoveryAreNeverSymmetric(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.metadata["id_token_signing_alg_values_supported"] = []string{"HS256", "none", "ES256"}
	key := []byte(strings.Repeat(clientSecret, 2))
	_, written, err := signIn(t, f, signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: key}, nil, goodClaims(f)), nil)
	checkFailure(t, err, grant.SignInAgain, "id_token_algorithm", written)
}

func TestIDTokenJKUIsNeverTrusted(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	evil := newSigner(t, "evil")
	f.mux.HandleFunc("/evil-jwks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{evil.public()}})
	})
	idToken := signWith(t,
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: evil.key, KeyID: "evil"}},
		map[jose.HeaderKey]any{"jku": f.url + "/evil-jwks", "jwk": evil.public()}, goodClaims(f))
	_, written, err := signIn(t, f, idToken, nil)
	checkFailure(t, err, grant.SignInAgain, "id_token_signature", written)
	if got := f.count("/evil-jwks"); got != 0 {
		t.Errorf("requests to the token's jku: got %d, want 0", got)
	}
}

func TestKeysAwayIsNotTheUsersFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		keys http.HandlerFunc
		kind grant.Kind
		want string
	}{
		{name: "keys answer 503", want: "http_503", keys: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "busy tok3n", http.StatusServiceUnavailable)
		}},
		{name: "keys are HTML", want: "keys_malformed", keys: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>tok3n"))
		}},
		{name: "keys are too large", want: "keys_malformed", keys: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", 2<<20)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.metadata["jwks_uri"] = f.url + "/keys"
			f.mux.HandleFunc("/keys", tt.keys)
			_, written, err := signIn(t, f, f.key.sign(t, goodClaims(f)), nil)
			checkFailure(t, err, grant.Later, tt.want, written)
		})
	}
}

func TestCallerLeavesWhileKeysAreFetched(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.metadata["jwks_uri"] = f.url + "/keys"
	f.mux.HandleFunc("/keys", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	f.answer(map[string]any{"access_token": "at-tok3n", "id_token": f.key.sign(t, goodClaims(f))})
	c, written := f.client(func(cfg *passport.Config) { cfg.Timeout = time.Second })
	_, _, err := c.Exchange(ctx, secret.New("code-tok3n"), secret.New("verifier-tok3n"), secret.New(nonce))
	checkFailure(t, err, grant.Later, "canceled", written)
}
