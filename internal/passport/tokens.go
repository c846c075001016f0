package passport

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"galaxygate/internal/grant"
	"galaxygate/internal/scope"
	"galaxygate/internal/secret"
)

// Refresh presents the refresh token once (RFC 6749, section 6). It returns
// whatever tokens came. An ID token beside them is not verified, for nothing may
// come between the new tokens and their storing; but whom it names is told. A
// zero Refresh means that none came and the old one stays in use. Its error is a
// *grant.Failure.
func (c *Client) Refresh(ctx context.Context, refresh secret.Text) (grant.Tokens, error) {
	p, err := c.discovered()
	if err != nil {
		f := *grant.AsFailure(err)
		f.Unsent = true
		return grant.Tokens{}, &f
	}
	began := c.cfg.Now()
	ctx = c.tokenContext(ctx, refresh)
	tok, err := c.oauth(p).TokenSource(ctx, &oauth2.Token{RefreshToken: refresh.Reveal()}).Token()
	if err != nil {
		err = asFailure(err)
	}
	c.logCall(ctx, "refresh", began, err)
	if err != nil {
		return grant.Tokens{}, err
	}
	tokens := c.tokens(tok, refresh)
	tokens.Subject = subjectOf(extra(tok, "id_token"))
	return tokens, nil
}

// Names returns the subject that a JWT access token names, empty where it is no
// JWT or names none. Providers may call the user otherwise in an ID token.
func Names(access secret.Text) string { return subjectOf(access.Reveal()) }

// subjectOf returns a JWT's "sub", unverified: it came from the token endpoint
// itself (OpenID Connect Core 1.0, section 3.1.3.7).
func subjectOf(token string) string {
	var claims struct {
		Subject json.RawMessage `json:"sub"`
	}
	decodeJWT(token, 1, &claims)
	return members{"sub": claims.Subject}.text("sub")
}

// oauth returns x/oauth2's view of the provider, for one call.
func (c *Client) oauth(p *provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     c.cfg.ClientID,
		ClientSecret: c.cfg.ClientSecret.Reveal(),
		RedirectURL:  c.cfg.RedirectURL,
		Endpoint:     p.endpoint,
	}
}

// tokenContext returns a context under which x/oauth2 uses the client's rules
// and reading of replies. The sent secrets are masked in what the reply says.
func (c *Client) tokenContext(ctx context.Context, sent ...secret.Text) context.Context {
	transport := tokenReplies{base: c.through("token"), sent: append(sent, c.cfg.ClientSecret), now: c.cfg.Now}
	return context.WithValue(ctx, oauth2.HTTPClient, c.client(transport))
}

// tokenReplies is a transport for the token endpoint. x/oauth2 gets to see a
// success in canonical form or a *grant.Failure, because its own reading loses
// tokens over a strange expires_in, takes 0 for ever, and puts whole bodies in
// its errors.
type tokenReplies struct {
	base http.RoundTripper
	sent []secret.Text
	now  func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (t tokenReplies) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	r := readReply(resp, t.sent, t.now())
	if f := r.failure(); f != nil {
		return nil, f
	}
	return r.canonical(), nil
}

// tokens returns what the canonical reply to the presented refresh token, zero
// for a code, holds, completed from the tokens themselves where the reply is
// silent, as Rollup's always is.
func (c *Client) tokens(tok *oauth2.Token, presented secret.Text) grant.Tokens {
	t := grant.Tokens{
		Access:  secret.New(tok.AccessToken),
		Refresh: secret.New(extra(tok, "refresh_token")), // tok.RefreshToken would be the old one where none came
		Scopes:  scopes(extra(tok, "scope")),
	}
	var claims accessClaims
	decodeJWT(tok.AccessToken, 1, &claims)
	if t.Scopes == nil {
		t.Scopes = scopes(members{"scope": claims.Scope}.words("scope"))
	}

	now := c.cfg.Now()
	switch expires := time.Unix(seconds(claims.Expires), 0); {
	case tok.ExpiresIn > 0:
		t.AccessExpiresAt = now.Add(time.Duration(tok.ExpiresIn) * time.Second)
	case expires.After(now):
		t.AccessExpiresAt = expires
	default:
		// Unknown, or already past by our clock: a short life rather than none, for
		// a token that is born expired would be refreshed without end.
		t.AccessExpiresAt = now.Add(c.cfg.AssumedLife)
	}
	t.RefreshExpiresAt = c.refreshEnd(tok, t.Refresh, presented)
	return t
}

// refreshEnd is when the refresh token in use after the reply ends: as the reply
// says, or the token that came with it. Where both are silent a new token has
// the assumed life, and of one that is kept the reply says nothing: zero.
func (c *Client) refreshEnd(tok *oauth2.Token, came, presented secret.Text) time.Time {
	now := c.cfg.Now()
	if life, _ := tok.Extra("refresh_expires_in").(float64); life > 0 {
		return now.Add(time.Duration(min(life, 1<<31)) * time.Second)
	}
	var claims struct {
		Expires json.RawMessage `json:"exp"`
	}
	decodeJWT(came.Reveal(), 1, &claims)
	if expires := time.Unix(seconds(claims.Expires), 0); expires.After(now) {
		return expires
	}
	if isNew := !came.IsZero() && !came.Equal(presented); isNew && c.cfg.RefreshLife > 0 {
		return now.Add(c.cfg.RefreshLife)
	}
	return time.Time{}
}

// accessClaims are what the client reads of an access token. The token is opaque
// to it by right (RFC 9068, section 6), so they are hints, taken unverified and
// trusted for nothing but when to refresh and what to ask for; and Names, for
// nothing but to be suspicious.
type accessClaims struct {
	Expires json.RawMessage `json:"exp"`
	Scope   json.RawMessage `json:"scope"`
}

// decodeJWT decodes one part of a JWT, unverified, into v, which stays as it was
// where token is none.
func decodeJWT(token string, part int, v any) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[part], "="))
	if err == nil {
		_ = json.Unmarshal(raw, v)
	}
}

func extra(tok *oauth2.Token, name string) string {
	s, _ := tok.Extra(name).(string)
	return s
}

// scopes splits a list of scopes and drops what is none (RFC 6749, section 3.3):
// a strange one must not keep the tokens beside it from being stored. An empty
// list is nil: the reply was silent.
func scopes(list string) []string {
	var all []string
	for _, one := range strings.Fields(list) {
		if scope.Valid(one) {
			all = append(all, one)
		}
	}
	return all
}
