package passport

import (
	"context"
	"errors"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// Authorization is one request to sign in. State, Nonce and Verifier are random
// and never used again.
type Authorization struct {
	State    secret.Text // RFC 6749, section 10.12
	Nonce    secret.Text // OpenID Connect Core 1.0, section 3.1.2.1
	Verifier secret.Text // RFC 7636, section 4.1
	Scopes   []string    // "openid" is added where it is missing
	Consent  bool        // ask the user even where nothing new is asked for
}

// Identity is whom the provider has vouched for.
type Identity struct {
	Issuer    string
	Subject   string // for Rollup the identity URN
	SessionID string // the provider's session, "sid"; empty where it names none
}

// AuthCodeURL returns the address to send the browser to: the authorization
// endpoint with PKCE S256 and a nonce, and prompt=consent where consent is to be
// asked for, as it must be for offline_access (OpenID Connect Core 1.0, section 11).
func (c *Client) AuthCodeURL(_ context.Context, a Authorization) (string, error) {
	p, err := c.discovered()
	if err != nil {
		return "", err
	}
	if a.State.IsZero() || a.Nonce.IsZero() || a.Verifier.IsZero() {
		return "", errors.New("authorization request without state, nonce or verifier")
	}
	oauth := c.oauth(p)
	oauth.Scopes = a.Scopes
	if !slices.Contains(oauth.Scopes, oidc.ScopeOpenID) {
		oauth.Scopes = append([]string{oidc.ScopeOpenID}, oauth.Scopes...)
	}
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(a.Verifier.Reveal()),
		oidc.Nonce(a.Nonce.Reveal()),
	}
	if a.Consent || slices.Contains(oauth.Scopes, oidc.ScopeOfflineAccess) {
		options = append(options, oauth2.SetAuthURLParam("prompt", "consent"))
	}
	return oauth.AuthCodeURL(a.State.Reveal(), options...), nil
}

// Exchange spends the code (RFC 6749, section 4.1.3), verifies the ID token, and
// returns who has signed in and the tokens. The nonce is the one that was sent.
// Scopes are nil where neither the reply nor the access token names them: they
// are those asked for. Its error is a *grant.Failure; the reason of one about the
// ID token begins with "id_token_", and the tokens that came beside it are
// revoked where the provider can.
func (c *Client) Exchange(ctx context.Context, code, verifier, nonce secret.Text) (Identity, grant.Tokens, error) {
	p, err := c.discovered()
	if err != nil {
		return Identity{}, grant.Tokens{}, err
	}
	began := c.cfg.Now()
	identity, tokens, err := c.exchange(ctx, p, code, verifier, nonce)
	if err != nil {
		err = asFailure(err)
	}
	c.logCall(ctx, "exchange", began, err)
	return identity, tokens, err
}

func (c *Client) exchange(ctx context.Context, p *provider, code, verifier, nonce secret.Text) (Identity, grant.Tokens, error) {
	ctx = c.tokenContext(ctx, code, verifier, nonce)
	tok, err := c.oauth(p).Exchange(ctx, code.Reveal(), oauth2.VerifierOption(verifier.Reveal()))
	if err != nil {
		return Identity{}, grant.Tokens{}, asFailure(err)
	}
	identity, err := c.verify(ctx, p, extra(tok, "id_token"), tok.AccessToken, nonce)
	tokens := c.tokens(tok, secret.Text{})
	if err != nil {
		// They belong to nobody who could use them.
		if _, failed := c.Revoke(ctx, tokens.Access, tokens.Refresh); failed != nil {
			c.cfg.Logger.WarnContext(ctx, "tokens beside a refused ID token not revoked", "reason", asFailure(failed).Reason)
		}
		return Identity{}, grant.Tokens{}, err
	}
	return identity, tokens, nil
}
