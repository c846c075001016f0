package passport

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// Revoke takes the tokens back at the provider, the refresh token first (RFC
// 7009, section 2.1), and reports whether the provider confirmed it for all that
// it can revoke. It returns false and nil where the provider lists no revocation
// endpoint, or revokes neither kind of token. A zero token is left out. Its error
// is a *grant.Failure, the first that occurred; the other token is tried even so.
func (c *Client) Revoke(ctx context.Context, access, refresh secret.Text) (bool, error) {
	p, err := c.discovered()
	if err != nil {
		return false, err
	}
	if p.revocationURL == "" || p.revocationMethod == "" {
		return false, nil
	}
	confirmed := false
	var first error
	for _, t := range []struct {
		hint  string
		token secret.Text
	}{{"refresh_token", refresh}, {"access_token", access}} {
		if t.token.IsZero() {
			continue
		}
		began := c.cfg.Now()
		revoked, err := c.revoke(ctx, p, t.token, t.hint)
		c.logCall(ctx, "revoke", began, err)
		confirmed = confirmed || revoked
		if first == nil {
			first = err
		}
	}
	return confirmed && first == nil, first
}

// revoke returns false and nil where the provider does not revoke such tokens.
func (c *Client) revoke(ctx context.Context, p *provider, token secret.Text, hint string) (bool, error) {
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	if p.revocationMethod == clientSecretPost {
		form.Set("client_id", c.cfg.ClientID)
		form.Set("client_secret", c.cfg.ClientSecret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.revocationURL, strings.NewReader(form.Encode()))
	if err != nil {
		return false, operatorFault("endpoint_missing", "the revocation_endpoint is not usable")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.revocationMethod == clientSecretBasic {
		// RFC 6749, section 2.3.1: both are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(c.cfg.ClientID), url.QueryEscape(c.cfg.ClientSecret.Reveal()))
	}
	resp, err := c.client(c.through("revoke")).Do(req)
	if err != nil {
		return false, asFailure(err)
	}
	if resp.StatusCode/100 == 2 {
		// Drained, so that the connection can be used again.
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return true, nil
	}
	r := readReply(resp, []secret.Text{token, c.cfg.ClientSecret}, c.cfg.Now())
	switch code := r.members.text("error"); {
	case code == "unsupported_token_type":
		return false, nil
	case resp.StatusCode/100 == 4 && (code == "invalid_token" || code == "invalid_grant"):
		// RFC 7009, section 2.2, wants 200 for a token that is invalid: what the
		// call is for is achieved already.
		return true, nil
	}
	return false, r.revocationFailure()
}

// revocationFailure is failure without a verdict on the grant: a token that
// cannot be revoked is no reason to sign in again.
func (r reply) revocationFailure() *grant.Failure {
	f := r.failure()
	if f.Kind == grant.SignInAgain {
		f.Kind = grant.Later
	}
	return f
}
