package strictop

import (
	"context"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authRequest is an authorization request under way: op.AuthRequest.
type authRequest struct {
	oidc.AuthRequest
	id      string
	at      time.Time
	subject string  // empty until somebody has signed in
	family  *family // nil until its code was used
}

func (r *authRequest) GetID() string                      { return r.id }
func (r *authRequest) GetACR() string                     { return "" }
func (r *authRequest) GetAMR() []string                   { return nil }
func (r *authRequest) GetAudience() []string              { return []string{r.ClientID} }
func (r *authRequest) GetAuthTime() time.Time             { return r.at }
func (r *authRequest) GetClientID() string                { return r.ClientID }
func (r *authRequest) GetNonce() string                   { return r.Nonce }
func (r *authRequest) GetResponseMode() oidc.ResponseMode { return r.ResponseMode }
func (r *authRequest) GetScopes() []string                { return r.Scopes }
func (r *authRequest) GetState() string                   { return r.State }
func (r *authRequest) GetSubject() string                 { return r.subject }
func (r *authRequest) Done() bool                         { return r.subject != "" }

func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// refreshRequest is a refresh token presented: op.RefreshTokenRequest.
type refreshRequest struct {
	subject, client string
	scopes          []string
	at              time.Time
}

func (r *refreshRequest) GetAMR() []string                 { return nil }
func (r *refreshRequest) GetAudience() []string            { return []string{r.client} }
func (r *refreshRequest) GetAuthTime() time.Time           { return r.at }
func (r *refreshRequest) GetClientID() string              { return r.client }
func (r *refreshRequest) GetScopes() []string              { return r.scopes }
func (r *refreshRequest) GetSubject() string               { return r.subject }
func (r *refreshRequest) SetCurrentScopes(scopes []string) { r.scopes = scopes }

// recorder is the storage that the provider sees: memory, and the codes noted.
type recorder struct {
	*memory
	remember func(...string)
}

// SaveAuthCode implements op.Storage.
func (r recorder) SaveAuthCode(_ context.Context, id, code string) error {
	r.remember(code)
	r.update(func(m *memory) { m.codes[code] = m.requests[id] })
	return nil
}

// The parts of op.Storage that are asked for by type assertion.
var (
	_ op.CanSetUserinfoFromRequest      = recorder{}
	_ op.CanGetPrivateClaimsFromRequest = recorder{}
)
