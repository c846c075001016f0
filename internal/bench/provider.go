package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// userInfoPath is the userinfo endpoint's, which the stub itself serves.
const userInfoPath = "/userinfo"

// subject is who signs in the n-th time: everyone but once.
func subject(n int64) string { return fmt.Sprintf("urn:rollupid:identity/0x%02d", n) }

// tokenLife is longer than any measurement: none meets a refresh.
const tokenLife = 24 * time.Hour

// provider is an OpenID Provider that asks nobody anything.
type provider struct {
	issuer   string
	key      ed25519.PrivateKey
	accounts []map[string]string
	nonces   sync.Map // by code
	signIns  atomic.Int64
	userInfo sync.Map // by access token, as it is sent
}

func newProvider(issuer string) (*provider, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	accounts := make([]map[string]string, 8)
	for i := range accounts {
		accounts[i] = map[string]string{"type": "eth", "identifier": address(i + 1)}
	}
	return &provider{issuer: issuer, key: key, accounts: accounts}, nil
}

func (p *provider) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
			"jwks_uri": p.issuer + "/keys", "userinfo_endpoint": p.issuer + userInfoPath,
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"EdDSA"}, "token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		public, _ := p.key.Public().(ed25519.PublicKey)
		writeJSON(w, map[string]any{"keys": []any{map[string]string{
			"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "1", "x": encode(public),
		}}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
}

// authorize sends the browser straight back with a code.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	code := rand.Text()
	p.nonces.Store(code, asked.Get("nonce"))
	answer := url.Values{"code": {code}, "state": {asked.Get("state")}}
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+answer.Encode(), http.StatusSeeOther)
}

// token gives tokens for a code.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	nonce, ok := p.nonces.LoadAndDelete(r.PostFormValue("code"))
	if !ok {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	now, user, access := time.Now(), subject(p.signIns.Add(1)), rand.Text()
	info, err := json.Marshal(map[string]any{
		"sub": user, "name": "Alice", "picture": image(1), "email": "alice@example.com", "connected_accounts": p.accounts,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.userInfo.Store("Bearer "+access, info)
	id, err := p.sign(map[string]any{
		"iss": p.issuer, "sub": user, "aud": r.PostFormValue("client_id"), "nonce": nonce,
		"iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{
		"access_token": access, "refresh_token": rand.Text(), "id_token": id, "token_type": "Bearer",
		"expires_in": int(tokenLife.Seconds()), "scope": "openid profile email connected_accounts",
	})
}

// sign returns the claims as a JWT.
func (p *provider) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signed := encode([]byte(`{"alg":"EdDSA","kid":"1"}`)) + "." + encode(payload)
	return signed + "." + encode(ed25519.Sign(p.key, []byte(signed))), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
