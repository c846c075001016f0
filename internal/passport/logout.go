package passport

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"

	"galaxygate/internal/secret"
)

const (
	// logoutEvent is the member of "events" that makes a JWT a logout token.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutLife is how long after it was issued a logout token is taken at most,
	// whatever end it names itself, and so how long each must be remembered.
	logoutLife = time.Hour
)

// Logout is what a logout token says: at that issuer the subject has signed out,
// of one of the provider's sessions or of all of them.
type Logout struct {
	Issuer    string
	Subject   string // empty: whoever's session it is
	SessionID string // the provider's session, "sid"; empty: all of the subject's
	TokenID   string // "jti"; whether it was used before is the caller's to know
	ExpiresAt time.Time
}

// VerifyLogout returns what a logout token says once it has verified it (OpenID
// Connect Back-Channel Logout 1.0, section 2.6). Its error is a *grant.Failure:
// of kind SignInAgain, with a reason that begins with "logout_token_", where the
// token is refused; of another kind where it could not be verified now.
func (c *Client) VerifyLogout(ctx context.Context, token secret.Text) (Logout, error) {
	p, err := c.discovered()
	if err != nil {
		return Logout{}, err
	}
	raw := token.Reveal()
	var header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
	}
	decodeJWT(raw, 0, &header)
	if header.Algorithm == "" { // also a JWS in another serialization than a JWT's
		return Logout{}, signInAgain("logout_token_malformed")
	}
	if !slices.Contains([]string{"", "jwt", "logout+jwt"}, strings.ToLower(header.Type)) {
		return Logout{}, signInAgain("logout_token_type")
	}
	verified, err := c.verifySignature(ctx, p, raw, p.algorithms, "logout_token")
	if err != nil {
		return Logout{}, err
	}
	var claims logoutClaims
	if err := verified.Claims(&claims); err != nil {
		return Logout{}, signInAgain("logout_token_malformed")
	}
	if reason := c.whyNoLogout(verified, claims); reason != "" {
		return Logout{}, signInAgain(reason)
	}
	return Logout{
		Issuer:    verified.Issuer,
		Subject:   verified.Subject,
		SessionID: claims.SessionID,
		TokenID:   claims.TokenID,
		ExpiresAt: earlier(verified.Expiry, verified.IssuedAt.Add(logoutLife)).Add(clockSkew),
	}, nil
}

// logoutClaims are those of a logout token that go-oidc does not read (section
// 2.4).
type logoutClaims struct {
	SessionID string                     `json:"sid"`
	TokenID   string                     `json:"jti"`
	Events    map[string]json.RawMessage `json:"events"`
	Nonce     json.RawMessage            `json:"nonce"`
}

// whyNoLogout returns why the claims are not those of a logout token for this
// client that is valid now, or "". What tells it from an ID token is the event,
// which no ID token has, and the nonce, which must not be there at all.
func (c *Client) whyNoLogout(token *oidc.IDToken, claims logoutClaims) string {
	now := c.cfg.Now()
	switch {
	case claims.Nonce != nil:
		return "logout_token_nonce"
	case !bytes.HasPrefix(claims.Events[logoutEvent], []byte("{")):
		return "logout_token_event"
	case token.Issuer != c.cfg.Issuer:
		return "logout_token_issuer"
	case !slices.Contains(token.Audience, c.cfg.ClientID):
		return "logout_token_audience"
	case token.IssuedAt.Unix() <= 0, token.IssuedAt.After(now.Add(clockSkew)), now.After(token.IssuedAt.Add(logoutLife + clockSkew)):
		return "logout_token_issued_at"
	case !token.Expiry.After(token.IssuedAt), !now.Before(token.Expiry.Add(clockSkew)):
		return "logout_token_expired"
	case claims.TokenID == "":
		return "logout_token_id"
	case token.Subject == "" && claims.SessionID == "", strings.ContainsFunc(token.Subject+claims.SessionID, unicode.IsControl):
		return "logout_token_subject"
	}
	return ""
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
