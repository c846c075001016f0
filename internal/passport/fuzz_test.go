package passport

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

const fuzzIssuer = "https://passport.example"

// fuzzed is a client that has discovered its provider, whose tokens sign signs.
func fuzzed(f *testing.F) (c *Client, now time.Time, sign func(payload []byte) string) {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		f.Fatal(err)
	}
	now = time.Unix(1_800_000_000, 0)
	c = New(Config{Issuer: fuzzIssuer, ClientID: "client", Now: func() time.Time { return now }, RefreshLife: time.Hour})
	c.settle(&provider{
		keys: &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key.Public()}}, algorithms: []string{"ES256"},
	}, nil)
	return c, now, func(payload []byte) string {
		signed, err := signer.Sign(payload)
		if err != nil {
			f.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			f.Fatal(err)
		}
		return token
	}
}

// FuzzTokens holds the verification of logout tokens, and what is read of tokens
// that are not verified, against what is true of any.
func FuzzTokens(f *testing.F) {
	const times = `"iat":1800000000,"exp":1800000060`
	const event = `"events":{"http://schemas.openid.net/event/backchannel-logout":{}}`
	for _, payload := range []string{
		`{"iss":"https://passport.example","aud":"client","sub":"alice","jti":"1",` + times + `,` + event + `}`,
		`{"iss":"https://passport.example","aud":["a","client"],"sid":"1","jti":"1",` + times + `,` + event + `}`,
		`{"iss":"https://passport.example","aud":"client","sub":"alice","jti":"1","nonce":null,` + times + `,` + event + `}`,
		`{"iss":"https://passport.example","aud":"client","sub":"alice","jti":"1","iat":-1,"exp":1e300,` + event + `}`,
		`{"sub":"alice","exp":"1800000060","scope":["a","b"]}`, `{"sub":7,"exp":null}`, `[]`, ``, `{"SUB":"alice","sub":"bob"}`,
	} {
		f.Add([]byte(payload), "eyJhbGciOiJub25lIn0.e30.")
		f.Add([]byte(payload), "..")
	}
	c, now, sign := fuzzed(f)
	f.Fuzz(func(t *testing.T, payload []byte, raw string) {
		if logout, err := c.VerifyLogout(context.Background(), secret.New(raw)); err == nil {
			t.Fatalf("nobody signed %q, and it is taken: %+v", raw, logout)
		}
		token := sign(payload)
		logout, err := c.VerifyLogout(context.Background(), secret.New(token))
		if err != nil {
			if f := (*grant.Failure)(nil); !errors.As(err, &f) || f.Kind != grant.SignInAgain || !strings.HasPrefix(f.Reason, "logout_token_") {
				t.Errorf("%q: got %v", payload, err)
			}
		} else {
			wantLogout(t, payload, logout, now)
		}
		for _, text := range []string{token, raw} {
			subject := Names(secret.New(text))
			if subject != "" && strings.Count(text, ".") != 2 {
				t.Errorf("%q names %q", text, subject)
			}
			tokens := c.tokens((&oauth2.Token{AccessToken: text}).WithExtra(map[string]any{"refresh_token": text}), secret.New("old"))
			if !tokens.AccessExpiresAt.After(now) || !tokens.RefreshExpiresAt.IsZero() && !tokens.RefreshExpiresAt.After(now) {
				t.Errorf("%q is over when it is new: %v, %v", payload, tokens.AccessExpiresAt, tokens.RefreshExpiresAt)
			}
			for _, scope := range tokens.Scopes {
				if scope == "" || strings.ContainsAny(scope, " \"\\") {
					t.Errorf("%q: got the scope %q", payload, scope)
				}
			}
		}
	})
}

// wantLogout reads the claims once more, as a specification's reader would.
func wantLogout(t *testing.T, payload []byte, logout Logout, now time.Time) {
	t.Helper()
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatalf("%q is taken: %v", payload, err)
	}
	for name := range claims { // encoding/json, which reads them, matches names in any case
		if name != strings.ToLower(name) {
			return
		}
	}
	audiences, _ := claims["aud"].([]any)
	if one, ok := claims["aud"].(string); ok {
		audiences = append(audiences, one)
	}
	events, _ := claims["events"].(map[string]any)
	_, isObject := events[logoutEvent].(map[string]any)
	_, hasNonce := claims["nonce"]
	switch {
	case claims["iss"] != fuzzIssuer, !slices.Contains(audiences, any("client")), !isObject, hasNonce,
		claims["jti"] == nil, logout.TokenID == "", logout.Subject == "" && logout.SessionID == "",
		strings.ContainsFunc(logout.Subject+logout.SessionID, unicode.IsControl):
		t.Errorf("%q is taken: %+v", payload, logout)
	case !logout.ExpiresAt.After(now), logout.ExpiresAt.After(now.Add(2 * logoutLife)):
		t.Errorf("%q is remembered until %v", payload, logout.ExpiresAt)
	}
}

// FuzzReply holds what a token endpoint may answer against what is true of any
// answer: tokens are never lost, never quoted, and never valid for ever.
func FuzzReply(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "replies", "*.http"))
	if err != nil || len(files) < 10 {
		f.Fatalf("got %d files, %v", len(files), err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := strings.Cut(string(content), "\n\n")
		f.Add(200, "application/json", []byte(body))
		f.Add(400, "application/x-www-form-urlencoded", []byte(body))
	}
	f.Add(200, "text/plain", []byte("access_token=a&expires_in=1&scope=a+b"))
	f.Add(503, "", []byte(`{"error":"invalid_grant","error_description":"canary-of-a-secret"}`))
	const sent = "canary-of-a-secret"
	c, now, _ := fuzzed(f)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		resp := &http.Response{
			StatusCode: 200 + (status%400+400)%400, Header: http.Header{"Content-Type": {contentType}},
			Body: io.NopCloser(strings.NewReader(string(body))),
		}
		r := readReply(resp, []secret.Text{secret.New(sent)}, now)
		if failed := r.failure(); failed != nil {
			wantFailure(t, failed, resp.StatusCode, sent, r)
			return
		}
		if resp.StatusCode/100 != 2 || r.members.text("access_token") == "" {
			t.Fatalf("%d %q is a success", resp.StatusCode, body)
		}
		var canonical struct {
			Access  string  `json:"access_token"`
			Expires float64 `json:"expires_in"`
		}
		if err := json.NewDecoder(r.canonical().Body).Decode(&canonical); err != nil || canonical.Access != r.members.text("access_token") {
			t.Errorf("%q: got %+v, %v", body, canonical, err)
		}
		life := min(int64(canonical.Expires), math.MaxInt32) // as x/oauth2 reads it
		tokens := c.tokens(&oauth2.Token{AccessToken: canonical.Access, ExpiresIn: life}, secret.Text{})
		if !tokens.AccessExpiresAt.After(now) || canonical.Expires < 0 {
			t.Errorf("%q: got a life of %v, until %v", body, canonical.Expires, tokens.AccessExpiresAt)
		}
	})
}

func wantFailure(t *testing.T, failed *grant.Failure, status int, sent string, r reply) {
	t.Helper()
	if (status == http.StatusTooManyRequests || status >= 500) && failed.Kind != grant.Later {
		t.Errorf("%d ends a grant: %v", status, failed)
	}
	if status < 300 && r.members.text("access_token") != "" && r.broken == "" {
		t.Errorf("%d with an access token: %v", status, failed)
	}
	if strings.Contains(failed.Message, sent) || strings.ContainsFunc(failed.Message, unicode.IsControl) || utf8.RuneCountInString(failed.Message) > 301 {
		t.Errorf("the message is %q", failed.Message)
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if token := r.members.text(name); len(token) > 8 && strings.Contains(failed.Message, token) {
			t.Errorf("the message quotes the %s: %q", name, failed.Message)
		}
	}
	if failed.RetryAfter < 0 || failed.Reason == "" {
		t.Errorf("got %+v", failed)
	}
}
