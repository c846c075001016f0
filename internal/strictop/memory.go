package strictop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The scopes of Rollup's that are not OpenID Connect's.
const (
	scopeAccounts = "connected_accounts"
	scopeWallets  = "erc_4337"
)

// family is everything that came out of one authorization. It dies as a whole.
type family struct {
	subject string
	dead    bool
}

type accessToken struct {
	family  *family
	scopes  []string
	expires time.Time
}

type refreshToken struct {
	family *family
	scopes []string
	authAt time.Time
	ends   time.Time // zero: never
	used   bool
}

// memory is the provider's storage: op.Storage and the optional parts of it.
type memory struct {
	op.Storage // nil: the flows that this provider does not have

	mu           sync.Mutex
	client       client
	redirectURIs []string
	accessLife   time.Duration
	refreshLife  time.Duration
	leeway       time.Duration
	keys         []signingKey // the last one signs
	requests     map[string]*authRequest
	codes        map[string]*authRequest
	accesses     map[string]*accessToken
	refreshes    map[string]*refreshToken
	reuses       int
}

func newMemory(opts Options) *memory {
	return &memory{
		client:       client{id: opts.ClientID, secret: opts.ClientSecret, opaque: opts.Opaque},
		redirectURIs: opts.RedirectURIs,
		accessLife:   opts.AccessLife,
		refreshLife:  opts.RefreshLife,
		leeway:       opts.Leeway,
		keys:         []signingKey{newSigningKey()},
		requests:     map[string]*authRequest{},
		codes:        map[string]*authRequest{},
		accesses:     map[string]*accessToken{},
		refreshes:    map[string]*refreshToken{},
	}
}

func (m *memory) update(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memory) request(id string) (*authRequest, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.requests[id]
	return r, ok
}

// access returns the access token of that ID, if it is still good.
func (m *memory) access(id string) (accessToken, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.accesses[id]
	if !ok || t.family.dead || !time.Now().Before(t.expires.Add(m.leeway)) {
		return accessToken{}, false
	}
	return *t, true
}

// Health implements op.Storage.
func (m *memory) Health(context.Context) error { return nil }

// CreateAuthRequest implements op.Storage. It insists on PKCE with S256.
func (m *memory) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	if slices.Contains(r.Scopes, oidc.ScopeOfflineAccess) && !slices.Contains(r.Prompt, oidc.PromptConsent) {
		// OpenID Connect Core 1.0, section 11: it is ignored without the prompt.
		r.Scopes = slices.DeleteFunc(r.Scopes, func(s string) bool { return s == oidc.ScopeOfflineAccess })
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	request := &authRequest{AuthRequest: *r, id: rand.Text(), at: time.Now()}
	m.requests[request.id] = request
	return request, nil
}

// AuthRequestByID implements op.Storage.
func (m *memory) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	request, ok := m.request(id)
	if !ok {
		return nil, errors.New("no such authorization request")
	}
	return request, nil
}

// AuthRequestByCode implements op.Storage. A code that comes again ends what its
// first use brought (RFC 6749, section 4.1.2).
func (m *memory) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	request, ok := m.codes[code]
	if !ok {
		return nil, errors.New("no such code")
	}
	if request.family != nil {
		request.family.dead = true
		m.reuses++
		return nil, errors.New("code used before")
	}
	return request, nil
}

// DeleteAuthRequest implements op.Storage.
func (m *memory) DeleteAuthRequest(_ context.Context, id string) error {
	m.update(func(m *memory) { delete(m.requests, id) })
	return nil
}

// CreateAccessToken implements op.Storage.
func (m *memory) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.familyOf(r, "")
	if err != nil {
		return "", time.Time{}, err
	}
	id, expires := m.newAccess(f, r.GetScopes())
	return id, expires, nil
}

// CreateAccessAndRefreshTokens implements op.Storage. It rotates: the presented
// token is used up in the same breath.
func (m *memory) CreateAccessAndRefreshTokens(_ context.Context, r op.TokenRequest, presented string) (string, string, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.familyOf(r, presented)
	if err != nil {
		return "", "", time.Time{}, err
	}
	authAt, scopes := time.Now(), r.GetScopes()
	if old := m.refreshes[presented]; old != nil {
		old.used = true
		authAt, scopes = old.authAt, old.scopes
	}
	id, expires := m.newAccess(f, r.GetScopes())
	refresh := rand.Text() + rand.Text()
	m.refreshes[refresh] = &refreshToken{family: f, scopes: scopes, authAt: authAt}
	if m.refreshLife > 0 {
		m.refreshes[refresh].ends = time.Now().Add(m.refreshLife)
	}
	return id, refresh, expires, nil
}

// familyOf returns the family to which new tokens belong.
func (m *memory) familyOf(r op.TokenRequest, presented string) (*family, error) {
	if presented != "" {
		t, err := m.usable(presented)
		if err != nil {
			return nil, err
		}
		return t.family, nil
	}
	request, ok := r.(*authRequest)
	if !ok || request.family != nil {
		return nil, oidc.ErrInvalidGrant().WithDescription("code used before")
	}
	request.family = &family{subject: request.subject}
	return request.family, nil
}

func (m *memory) newAccess(f *family, scopes []string) (string, time.Time) {
	id, expires := rand.Text(), time.Now().Add(m.accessLife)
	m.accesses[id] = &accessToken{family: f, scopes: slices.Clone(scopes), expires: expires}
	return id, expires
}

// usable returns a refresh token that may be presented. One that was used ends
// its whole family (RFC 9700, section 4.14.2).
func (m *memory) usable(token string) (*refreshToken, error) {
	t, ok := m.refreshes[token]
	switch {
	case !ok:
		return nil, oidc.ErrInvalidGrant().WithDescription("unknown refresh token")
	case t.used:
		t.family.dead = true
		m.reuses++
		return nil, oidc.ErrInvalidGrant().WithDescription("refresh token used before")
	case !t.ends.IsZero() && !time.Now().Before(t.ends):
		return nil, oidc.ErrInvalidGrant().WithDescription("refresh token expired")
	case t.family.dead:
		return nil, oidc.ErrInvalidGrant().WithDescription("refresh token revoked")
	}
	return t, nil
}

// refreshLeft returns how long the refresh token lives, and whether it ends.
func (m *memory) refreshLeft(token string) (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.refreshes[token]
	if !ok || t.ends.IsZero() {
		return 0, false
	}
	return time.Until(t.ends).Round(time.Second), true
}

// TokenRequestByRefreshToken implements op.Storage.
func (m *memory) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.usable(token)
	if err != nil {
		return nil, err
	}
	return &refreshRequest{subject: t.family.subject, client: m.client.id, scopes: slices.Clone(t.scopes), at: t.authAt}, nil
}

// GetRefreshTokenInfo implements op.Storage.
func (m *memory) GetRefreshTokenInfo(_ context.Context, _, token string) (string, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.refreshes[token]
	if !ok {
		return "", "", op.ErrInvalidRefreshToken
	}
	return t.family.subject, token, nil
}

// RevokeToken implements op.Storage. An access token ends alone, a refresh token
// with its family.
func (m *memory) RevokeToken(_ context.Context, tokenOrID, _, _ string) *oidc.Error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accesses, tokenOrID)
	if t, ok := m.refreshes[tokenOrID]; ok {
		t.family.dead = true
	}
	return nil
}

// SigningKey implements op.Storage.
func (m *memory) SigningKey(context.Context) (op.SigningKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[len(m.keys)-1], nil
}

// SignatureAlgorithms implements op.Storage.
func (m *memory) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// KeySet implements op.Storage.
func (m *memory) KeySet(context.Context) ([]op.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []op.Key
	for _, k := range m.keys {
		keys = append(keys, publicKey{k})
	}
	return keys, nil
}

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func newSigningKey() signingKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // there is no randomness to be had
	}
	return signingKey{id: rand.Text(), key: key}
}

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k signingKey) Key() any                                    { return k.key }
func (k signingKey) ID() string                                  { return k.id }

type publicKey struct{ signing signingKey }

func (k publicKey) ID() string                         { return k.signing.id }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.signing.key.PublicKey }
