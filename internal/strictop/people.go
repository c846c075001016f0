package strictop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// User is someone who can sign in.
type User struct {
	Subject, Name, Picture, Email string
	Accounts                      []Account
	Wallets                       []Wallet
}

// Account is a connected account, as userinfo tells it.
type Account struct {
	Type       string `json:"type"`
	Identifier string `json:"identifier"`
}

// Wallet is a smart-contract wallet, as userinfo tells it.
type Wallet struct {
	Nickname string `json:"nickname"`
	Address  string `json:"address"`
}

// users are everyone there is.
func users() []User {
	return []User{
		{
			Subject: "alice", Name: "Alice", Email: "alice@example.com", Picture: "https://example.com/alice.png",
			Accounts: []Account{{"eth", "0xa11ce0000000000000000000000000000000a11c"}, {"github", "alice"}},
			Wallets:  []Wallet{{"savings", "0x4337a11ce0000000000000000000000000004337"}},
		},
		{
			Subject: "bob", Name: "Bob", Email: "bob@example.com", Picture: "https://example.com/bob.png",
			Accounts: []Account{{"email", "bob@example.com"}},
		},
	}
}

func findUser(subject string) (User, bool) {
	all := users()
	i := slices.IndexFunc(all, func(u User) bool { return u.Subject == subject })
	if i < 0 {
		return User{}, false
	}
	return all[i], true
}

// SetUserinfoFromToken implements op.Storage.
func (m *memory) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, subject, _ string) error {
	token, ok := m.access(tokenID)
	if !ok {
		return errors.New("access token expired or revoked")
	}
	user, ok := findUser(subject)
	if !ok {
		return errors.New("no such user")
	}
	info.Subject = user.Subject
	for _, scope := range token.scopes {
		switch scope {
		case oidc.ScopeProfile:
			info.Name, info.Picture = user.Name, user.Picture
		case oidc.ScopeEmail:
			info.Email, info.EmailVerified = user.Email, true
		case scopeAccounts:
			info.AppendClaims(scopeAccounts, user.Accounts)
		case scopeWallets:
			info.AppendClaims(scopeWallets, user.Wallets)
		}
	}
	return nil
}

// SetUserinfoFromScopes implements op.Storage.
func (m *memory) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest fills the ID token: who, and in which session.
func (m *memory) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	info.Subject = r.GetSubject()
	if request, ok := r.(*authRequest); ok {
		info.AppendClaims("sid", request.id)
	}
	return nil
}

// GetPrivateClaimsFromRequest puts the consented scopes into a JWT access token
// (RFC 9068, section 2.2.3).
func (m *memory) GetPrivateClaimsFromRequest(_ context.Context, r op.TokenRequest, _ []string) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(r.GetScopes(), " ")}, nil
}

// GetClientByClientID implements op.Storage.
func (m *memory) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id != m.client.id {
		return nil, oidc.ErrInvalidClient().WithDescription("no such client")
	}
	c := m.client
	c.redirectURIs = slices.Clone(m.redirectURIs)
	return c, nil
}

// AuthorizeClientIDSecret implements op.Storage.
func (m *memory) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != m.client.id || secret != m.client.secret {
		return errors.New("wrong client secret")
	}
	return nil
}

// client is the one client: confidential, by client_secret_basic.
type client struct {
	id, secret   string
	opaque       bool
	redirectURIs []string
}

func (c client) GetID() string                       { return c.id }
func (c client) RedirectURIs() []string              { return c.redirectURIs }
func (c client) PostLogoutRedirectURIs() []string    { return nil }
func (c client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) LoginURL(id string) string            { return "/login?id=" + id }
func (c client) IDTokenLifetime() time.Duration       { return time.Hour }
func (c client) DevMode() bool                        { return false }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c client) ClockSkew() time.Duration             { return 0 }

func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

func (c client) AccessTokenType() op.AccessTokenType {
	if c.opaque {
		return op.AccessTokenTypeBearer
	}
	return op.AccessTokenTypeJWT
}

func (c client) IsScopeAllowed(scope string) bool {
	return scope == scopeAccounts || scope == scopeWallets
}

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
