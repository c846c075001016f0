package passport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// consentWithdrawn is how Rollup says that a consented item is gone.
const consentWithdrawn = "re-authorization by user required"

// UserInfo asks the userinfo endpoint as the access token's user (OpenID Connect
// Core 1.0, section 5.3) and decodes the answer into claims. An answer whose
// "sub" is not subject is refused (section 5.3.2) and claims is left alone; a
// signed one is verified.
//
// The error wraps grant.ErrTokenRejected where the provider refuses the access
// token. Any other is a *grant.Failure: kind SignInAgain with reason
// "consent_withdrawn" where the user must consent again, or grant.ReasonSubject
// where the answer is about someone else. That wraps grant.ErrSubjectMismatch,
// as does an answer about nobody, "userinfo_subject", which is Later.
func (c *Client) UserInfo(ctx context.Context, access secret.Text, subject string, claims any) error {
	p, err := c.discovered()
	if err != nil {
		return err
	}
	began := c.cfg.Now()
	err = c.userInfo(ctx, p, access, subject, claims)
	c.logCall(ctx, "userinfo", began, err)
	return err
}

func (c *Client) userInfo(ctx context.Context, p *provider, access secret.Text, subject string, claims any) error {
	if p.userInfoURL == "" {
		return operatorFault("endpoint_missing", "the provider has no userinfo_endpoint")
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.userInfoURL, nil)
	if err != nil {
		return operatorFault("endpoint_missing", "the userinfo_endpoint is not usable")
	}
	req.Header.Set("Authorization", "Bearer "+access.Reveal())
	req.Header.Set("Accept", "application/json, application/jwt")
	resp, err := c.through("userinfo").RoundTrip(req) // what an http.Client adds is not wanted here, redirects least of all
	if err != nil {
		return asFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return c.rejected(resp, body)
	case resp.StatusCode != http.StatusOK:
		f := statusFailure(resp, c.cfg.Now())
		m, _ := parse(body, resp.Header.Get("Content-Type"))
		f.Message = secret.Scrub(reply{members: m}.words(), access)
		return f
	case err != nil:
		return asFailure(err)
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "application/jwt" {
		if body, err = c.signedUserInfo(ctx, p, string(body)); err != nil {
			return err
		}
	}
	return decodeUserInfo(body, subject, claims)
}

// rejected tells what a 401 means.
func (c *Client) rejected(resp *http.Response, body []byte) error {
	if strings.Contains(strings.ToLower(string(body)), consentWithdrawn) {
		f := signInAgain("consent_withdrawn")
		f.Status = resp.StatusCode
		f.Message = "Re-authorization by user required"
		return f
	}
	return fmt.Errorf("userinfo: %w", grant.ErrTokenRejected)
}

// signedUserInfo verifies an answer that is a JWT and returns its claims.
// Section 5.3.2 wants "iss" and "aud" in it; where they are, they must be right.
func (c *Client) signedUserInfo(ctx context.Context, p *provider, raw string) ([]byte, error) {
	token, err := c.verifySignature(ctx, p, strings.TrimSpace(raw), p.userInfoAlgorithms, "userinfo")
	if err != nil {
		f := asFailure(err)
		f.Kind = grant.Later // the access token is not to blame
		return nil, f
	}
	if token.Issuer != "" && token.Issuer != c.cfg.Issuer {
		return nil, later("userinfo_issuer")
	}
	if len(token.Audience) > 0 && !slices.Contains(token.Audience, c.cfg.ClientID) {
		return nil, later("userinfo_audience")
	}
	var payload json.RawMessage
	if err := token.Claims(&payload); err != nil {
		return nil, later("userinfo_malformed")
	}
	return payload, nil
}

func decodeUserInfo(body []byte, subject string, claims any) error {
	var named struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(body, &named); err != nil {
		return later("userinfo_malformed")
	}
	if named.Subject != subject {
		f := signInAgain(grant.ReasonSubject)
		if named.Subject == "" { // any JSON object is that: it must not cost users their grants
			f = later("userinfo_subject")
		}
		f.Err = grant.ErrSubjectMismatch
		return f
	}
	if err := json.Unmarshal(body, claims); err != nil {
		return later("userinfo_malformed")
	}
	return nil
}
