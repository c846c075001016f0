package strictop

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Options say how the provider starts. Every field has a default.
type Options struct {
	ClientID     string        // "galaxygate"
	ClientSecret string        // "a secret: +/% of the client"
	RedirectURIs []string      // none; more by AllowRedirect
	AccessLife   time.Duration // 5 minutes
	RefreshLife  time.Duration // without end; else refresh tokens end, and answers say when
	Leeway       time.Duration // for how long an opaque access token is taken after its end; 0
	Opaque       bool          // access tokens that are no JWT
	User         string        // who is signed in without being asked: "alice"; "nobody" asks

	// Front returns what is to stand before the provider, to watch or disturb
	// its calls; nil: nothing does.
	Front func(provider http.Handler) http.Handler
	// Reached returns the address that clients use for the provider, which
	// listens at the given one: that of a proxy before it. Nil: there is none.
	Reached func(address string) string
}

// Provider is a running OpenID Provider. Its users are alice and bob.
type Provider struct {
	Issuer       string
	ClientID     string
	ClientSecret string

	op     *op.Provider
	memory *memory

	mu      sync.Mutex
	calls   map[string]int
	issued  []string
	user    string
	consent []string // nil: whatever is asked for
	refuse  bool
	away    bool
}

// Start runs a provider on 127.0.0.1 until the test ends.
func Start(t testing.TB, opts Options) *Provider {
	t.Helper()
	if opts.ClientID == "" {
		opts.ClientID = "galaxygate"
	}
	if opts.ClientSecret == "" {
		opts.ClientSecret = "a secret: +/% of the client" // not the same before and after encoding
	}
	if opts.AccessLife == 0 {
		opts.AccessLife = 5 * time.Minute
	}
	if opts.User == "" {
		opts.User = "alice"
	}
	p := &Provider{
		ClientID:     opts.ClientID,
		ClientSecret: opts.ClientSecret,
		memory:       newMemory(opts),
		calls:        map[string]int{},
		user:         opts.User,
	}
	server := httptest.NewUnstartedServer(p)
	if opts.Front != nil {
		server.Config.Handler = opts.Front(p)
	}
	address := server.Listener.Addr().String()
	if opts.Reached != nil {
		address = opts.Reached(address)
	}
	p.Issuer = "http://" + address

	config := &op.Config{
		CodeMethodS256:        true,
		GrantTypeRefreshToken: true,
		SupportedScopes: []string{
			oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess,
			scopeAccounts, scopeWallets,
		},
	}
	_, _ = rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, recorder{p.memory, p.remember}, op.StaticIssuer(p.Issuer), op.WithAllowInsecure(),
		op.WithAccessTokenVerifierOpts(op.WithSupportedAccessTokenSigningAlgorithms(string(jose.ES256))))
	if err != nil {
		t.Fatalf("start strict provider: %v", err)
	}
	p.op = provider
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// AllowRedirect registers another redirect URI of the client.
func (p *Provider) AllowRedirect(uri string) {
	p.memory.update(func(m *memory) { m.redirectURIs = append(m.redirectURIs, uri) })
}

// SetAccessLife sets how long access tokens live that are issued from now on.
func (p *Provider) SetAccessLife(d time.Duration) {
	p.memory.update(func(m *memory) { m.accessLife = d })
}

// SetRefreshLife sets how long refresh tokens live that are issued from now on; 0
// is without end.
func (p *Provider) SetRefreshLife(d time.Duration) {
	p.memory.update(func(m *memory) { m.refreshLife = d })
}

// SetUser chooses who is signed in without being asked; "nobody" shows a page.
func (p *Provider) SetUser(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user = name
}

// SetConsent chooses the scopes that users consent to, beside openid and
// offline_access, which they cannot refuse. None given: whatever is asked for.
func (p *Provider) SetConsent(scopes ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consent = scopes
}

// SetRefuse makes users say no altogether.
func (p *Provider) SetRefuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// SetAway makes the provider answer 503 to whoever asks, until it is set back.
func (p *Provider) SetAway(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// RotateKey signs with a new key from now on. The older public keys stay
// published.
func (p *Provider) RotateKey() {
	p.memory.update(func(m *memory) { m.keys = append(m.keys, newSigningKey()) })
}

// LogoutToken returns a new logout token for the client, signed as ID tokens are
// (OpenID Connect Back-Channel Logout 1.0, section 2.4). The claims, "sub" or
// "sid" above all, come beside its own or in their place; nil takes one away.
// The "sid" of a user's ID token is the provider's session.
func (p *Provider) LogoutToken(t testing.TB, claims map[string]any) string {
	t.Helper()
	p.memory.mu.Lock()
	key := p.memory.keys[len(p.memory.keys)-1]
	p.memory.mu.Unlock()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key.key, KeyID: key.id}},
		(&jose.SignerOptions{}).WithType("logout+jwt"))
	if err != nil {
		t.Fatalf("sign logout token: %v", err)
	}
	now := time.Now()
	all := map[string]any{
		"iss": p.Issuer, "aud": []string{p.ClientID}, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	token, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		t.Fatalf("sign logout token: %v", err)
	}
	p.remember(token)
	return token
}

// Calls returns how often the token endpoint was called with that grant_type.
func (p *Provider) Calls(grantType string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[grantType]
}

// Reuses returns how often a refresh token or a code was presented that had been
// used before.
func (p *Provider) Reuses() int {
	p.memory.mu.Lock()
	defer p.memory.mu.Unlock()
	return p.memory.reuses
}

// Issued returns every code and token handed out so far.
func (p *Provider) Issued() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.issued...)
}

// Verify checks an access token as a resource server would: signature, issuer
// and expiry, and that it was not revoked. It returns whose it is, what they
// consented to, and which client it was issued to.
func (p *Provider) Verify(ctx context.Context, accessToken string) (subject string, scopes []string, clientID string, err error) {
	id := ""
	if plain, err := p.op.Crypto().Decrypt(accessToken); err == nil {
		id, _, _ = strings.Cut(plain, ":")
	} else {
		ctx = op.ContextWithIssuer(ctx, p.Issuer)
		claims, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, accessToken, p.op.AccessTokenVerifier(ctx))
		if err != nil {
			return "", nil, "", err
		}
		id = claims.JWTID
	}
	token, ok := p.memory.access(id)
	if !ok {
		return "", nil, "", errors.New("access token expired or revoked")
	}
	return token.family.subject, token.scopes, p.ClientID, nil
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	away := p.away
	p.mu.Unlock()
	if away {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/login":
		p.login(w, r)
	case "/oauth/token", "/revoke":
		p.confidential(w, r)
	case "/userinfo":
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, _, _, err := p.Verify(r.Context(), token); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750, section 3.1
			http.Error(w, "invalid token", http.StatusUnauthorized)
			return
		}
		p.op.ServeHTTP(w, r)
	default:
		p.op.ServeHTTP(w, r)
	}
}

// confidential serves the endpoints at which the client must prove itself by
// Basic alone, counts the calls, and remembers the tokens.
func (p *Provider) confidential(w http.ResponseWriter, r *http.Request) {
	grantType := r.PostFormValue("grant_type")
	p.mu.Lock()
	p.calls[grantType]++
	p.mu.Unlock()
	if _, _, basic := r.BasicAuth(); !basic || r.PostForm.Has("client_secret") {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"client_secret_basic is required"}`))
		return
	}

	answer := httptest.NewRecorder()
	p.op.ServeHTTP(answer, r)
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &tokens) // an error has no tokens
	p.remember(tokens.Access, tokens.Refresh, tokens.ID)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(p.withRefreshEnd(answer.Body.Bytes(), tokens.Refresh))
}

// withRefreshEnd adds to an answer when its refresh token ends, in Keycloak's way.
func (p *Provider) withRefreshEnd(answer []byte, refresh string) []byte {
	life, ends := p.memory.refreshLeft(refresh)
	var members map[string]any
	if !ends || json.Unmarshal(answer, &members) != nil {
		return answer
	}
	members["refresh_expires_in"] = int(life.Seconds())
	answer, _ = json.Marshal(members) // as it came: never fails
	return answer
}

func (p *Provider) remember(secrets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range secrets {
		if s != "" {
			p.issued = append(p.issued, s)
		}
	}
}
