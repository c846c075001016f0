package passport

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"

	"galaxygate/internal/secret"
)

// clockSkew is by how much the provider's clock may differ from ours.
const clockSkew = time.Minute

// verify checks an ID token that came with an access token (OpenID Connect Core
// 1.0, section 3.1.3.7) and returns whom it names.
func (c *Client) verify(ctx context.Context, p *provider, raw, access string, nonce secret.Text) (Identity, error) {
	if raw == "" {
		return Identity{}, operatorFault("id_token_missing", "the provider sent no ID token: is it an OpenID Provider?")
	}
	token, err := c.verifySignature(ctx, p, raw, p.algorithms, "id_token")
	if err != nil {
		return Identity{}, err
	}
	var claims struct {
		AuthorizedParty string `json:"azp"`
		SessionID       string `json:"sid"`
	}
	if err := token.Claims(&claims); err != nil {
		return Identity{}, signInAgain("id_token_malformed")
	}

	now := c.cfg.Now()
	switch {
	case token.Issuer != c.cfg.Issuer:
		return Identity{}, signInAgain("id_token_issuer")
	case !slices.Contains(token.Audience, c.cfg.ClientID):
		return Identity{}, signInAgain("id_token_audience")
	case !c.authorized(claims.AuthorizedParty, token.Audience):
		return Identity{}, signInAgain("id_token_azp")
	case !now.Before(token.Expiry.Add(clockSkew)):
		return Identity{}, signInAgain("id_token_expired")
	case token.Nonce == "" && c.cfg.RequireNonce, token.Nonce != "" && !secret.New(token.Nonce).Equal(nonce):
		return Identity{}, signInAgain("id_token_nonce")
	case token.AccessTokenHash != "" && token.VerifyAccessToken(access) != nil:
		return Identity{}, signInAgain("id_token_at_hash")
	case token.Subject == "" || strings.ContainsFunc(token.Subject, unicode.IsControl):
		return Identity{}, signInAgain("id_token_subject")
	}
	return Identity{Issuer: token.Issuer, Subject: token.Subject, SessionID: claims.SessionID}, nil
}

// authorized reports whether a token for that audience was issued to this client:
// to it alone, or with it as the authorized party.
func (c *Client) authorized(party string, audience []string) bool {
	if party != "" {
		return party == c.cfg.ClientID
	}
	return len(audience) == 1
}

// verifySignature returns the claims of a JWT that one of the provider's keys has
// signed, under one of the algorithms that discovery allows. The keys come from
// the provider's jwks_uri alone; a token's own "jku" or "jwk" is not looked at.
// The claims are the caller's to check. Reasons begin with the name given.
func (c *Client) verifySignature(ctx context.Context, p *provider, raw string, algorithms []string, name string) (*oidc.IDToken, error) {
	var header struct {
		Algorithm string `json:"alg"`
	}
	decodeJWT(raw, 0, &header)
	if header.Algorithm != "" && !slices.Contains(algorithms, header.Algorithm) {
		return nil, signInAgain(name + "_algorithm")
	}
	keys := &witness{KeySet: p.keys}
	// go-oidc's own checks of the claims are replaced by ours, which say in a word
	// what was wrong.
	token, err := oidc.NewVerifier(c.cfg.Issuer, keys, &oidc.Config{
		SupportedSigningAlgs: algorithms,
		SkipIssuerCheck:      true, SkipClientIDCheck: true, SkipExpiryCheck: true,
	}).Verify(ctx, raw)
	switch {
	case err == nil:
		return token, nil
	case keys.err == nil:
		return nil, signInAgain(name + "_malformed")
	case errors.Unwrap(keys.err) == nil:
		return nil, signInAgain(name + "_signature")
	}
	// The key set wraps nothing but what kept it from fetching keys, and that says
	// nothing about the token.
	f := *documentFailure(keys.err, "keys_malformed") // others may wait for the same fetch, and share the failure
	f.Message = "the provider's signing keys could not be read"
	return nil, &f
}

// witness is a key set that remembers the error of a verification, because the
// verifier keeps only its text.
type witness struct {
	oidc.KeySet
	err error
}

// VerifySignature implements oidc.KeySet.
func (w *witness) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := w.KeySet.VerifySignature(ctx, jwt)
	w.err = err
	return payload, err
}
