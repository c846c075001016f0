package passport_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are those of a logout token that passes.
func logoutClaims(f *fakeProvider) map[string]any {
	return map[string]any{
		"iss": f.url, "sub": subject, "sid": "session-1", "aud": []string{clientID}, "jti": "logout-tok3n-1",
		"iat": clock().Unix(), "exp": clock().Add(2 * time.Minute).Unix(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
}

// signLogout signs the claims under a header with that "typ"; empty, none.
func (f *fakeProvider) signLogout(typ string, claims map[string]any) string {
	f.t.Helper()
	var header map[jose.HeaderKey]any
	if typ != "" {
		header = map[jose.HeaderKey]any{jose.HeaderType: typ}
	}
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: f.key.key, KeyID: f.key.id}}
	return signWith(f.t, key, header, claims)
}

func TestLogoutTokenAccepted(t *testing.T) {
	t.Parallel()
	soon := clock().Add(2*time.Minute + time.Minute) // and the skew
	tests := []struct {
		name   string
		typ    string
		change func(claims map[string]any)
		want   passport.Logout
	}{
		{
			name: "sub and sid", typ: "logout+jwt", change: func(map[string]any) {},
			want: passport.Logout{Subject: subject, SessionID: "session-1", ExpiresAt: soon},
		},
		{
			name: "sub alone", typ: "logout+jwt", change: func(c map[string]any) { delete(c, "sid") },
			want: passport.Logout{Subject: subject, ExpiresAt: soon},
		},
		{
			name: "sid alone", typ: "logout+jwt", change: func(c map[string]any) { delete(c, "sub") },
			want: passport.Logout{SessionID: "session-1", ExpiresAt: soon},
		},
		{
			name: "no type, as older providers send it", change: func(map[string]any) {},
			want: passport.Logout{Subject: subject, SessionID: "session-1", ExpiresAt: soon},
		},
		{
			name: "the type JWT, in any case", typ: "jwt", change: func(map[string]any) {},
			want: passport.Logout{Subject: subject, SessionID: "session-1", ExpiresAt: soon},
		},
		{
			name: "one audience of several, an event with more in it", typ: "logout+jwt", change: func(c map[string]any) {
				c["aud"] = []string{"another", clientID}
				c["events"] = map[string]any{"https://example.com/other": 1, logoutEvent: map[string]any{"x": 1}}
			},
			want: passport.Logout{Subject: subject, SessionID: "session-1", ExpiresAt: soon},
		},
		{
			name: "an end far off is cut to an hour after it was issued", typ: "logout+jwt", change: func(c map[string]any) {
				c["exp"] = clock().AddDate(10, 0, 0).Unix()
			},
			want: passport.Logout{Subject: subject, SessionID: "session-1", ExpiresAt: clock().Add(time.Hour + time.Minute)},
		},
		{
			name: "clocks that differ by less than a minute", typ: "logout+jwt", change: func(c map[string]any) {
				c["iat"], c["exp"] = clock().Add(30*time.Second).Unix(), clock().Add(50*time.Second).Unix()
			},
			want: passport.Logout{Subject: subject, SessionID: "session-1", ExpiresAt: clock().Add(110 * time.Second)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			claims := logoutClaims(f)
			tt.change(claims)
			c, written := f.client(nil)
			got, err := c.VerifyLogout(t.Context(), secret.New(f.signLogout(tt.typ, claims)))
			if err != nil {
				t.Fatalf("VerifyLogout: %v", err)
			}
			tt.want.Issuer, tt.want.TokenID = f.url, "logout-tok3n-1"
			got.ExpiresAt = got.ExpiresAt.UTC()
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if strings.Contains(written.String(), "tok3n") {
				t.Errorf("a secret got out: %s", written)
			}
		})
	}
}

func TestLogoutTokenClaimsRefused(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	without := func(names ...string) func(map[string]any) {
		return func(c map[string]any) {
			for _, name := range names {
				delete(c, name)
			}
		}
	}
	ago := func(d time.Duration) int64 { return clock().Add(-d).Unix() }
	tests := []struct {
		name   string
		change func(claims map[string]any)
		want   string
	}{
		{"another issuer", set("iss", "https://evil.example"), "logout_token_issuer"},
		{"no issuer", without("iss"), "logout_token_issuer"},
		{"another audience", set("aud", "another"), "logout_token_audience"},
		{"no audience", without("aud"), "logout_token_audience"},
		{"no time of issue", without("iat"), "logout_token_issued_at"},
		{"a time of issue of 0", set("iat", 0), "logout_token_issued_at"},
		{"issued in the future", set("iat", ago(-2*time.Minute)), "logout_token_issued_at"},
		{"issued more than an hour ago, however long it says it lives", set("iat", ago(62*time.Minute)), "logout_token_issued_at"},
		{"a time of issue that is text", set("iat", "yesterday"), "logout_token_malformed"},
		{"no expiry", without("exp"), "logout_token_expired"},
		{"expired", func(c map[string]any) { c["iat"], c["exp"] = ago(5*time.Minute), ago(2*time.Minute) }, "logout_token_expired"},
		{"expired before it was issued", set("exp", ago(10*time.Second)), "logout_token_expired"},
		{"an expiry beyond reckoning", set("exp", 1e300), "logout_token_expired"},
		{"no ID", without("jti"), "logout_token_id"},
		{"an empty ID", set("jti", ""), "logout_token_id"},
		{"an ID that is a number", set("jti", 7), "logout_token_malformed"},
		{"no events, as in an ID token", without("events"), "logout_token_event"},
		{"another event", set("events", map[string]any{"https://example.com/other": map[string]any{}}), "logout_token_event"},
		{"an event that is no object", set("events", map[string]any{logoutEvent: true}), "logout_token_event"},
		{"an event that is null", set("events", map[string]any{logoutEvent: nil}), "logout_token_event"},
		{"events that are a list", set("events", []string{logoutEvent}), "logout_token_malformed"},
		{"a nonce", set("nonce", "n"), "logout_token_nonce"},
		{"a nonce that is null", set("nonce", nil), "logout_token_nonce"},
		{"neither sub nor sid", without("sub", "sid"), "logout_token_subject"},
		{"both empty", func(c map[string]any) { c["sub"], c["sid"] = "", "" }, "logout_token_subject"},
		{"a sub that is a number", set("sub", 7), "logout_token_malformed"},
		{"a sid that is a number", set("sid", 7), "logout_token_malformed"},
		{"a sub that no user can have", set("sub", "a\x00b"), "logout_token_subject"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			claims := logoutClaims(f)
			tt.change(claims)
			c, written := f.client(nil)
			_, err := c.VerifyLogout(t.Context(), secret.New(f.signLogout("logout+jwt", claims)))
			checkFailure(t, err, grant.SignInAgain, tt.want, written)
		})
	}
}

func TestWhatIsNoLogoutTokenIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, f *fakeProvider) string
		want string
	}{
		{"an ID token", func(t *testing.T, f *fakeProvider) string { return f.key.sign(t, goodClaims(f)) }, "logout_token_nonce"},
		{"an ID token without nonce, as Rollup's", func(t *testing.T, f *fakeProvider) string {
			claims := goodClaims(f)
			delete(claims, "nonce")
			claims["jti"] = "id"
			return f.key.sign(t, claims)
		}, "logout_token_event"},
		{"an access token by its type", func(_ *testing.T, f *fakeProvider) string { return f.signLogout("at+jwt", logoutClaims(f)) }, "logout_token_type"},
		{"another's key under the provider's key ID", func(t *testing.T, f *fakeProvider) string {
			return newSigner(t, f.key.id).sign(t, logoutClaims(f))
		}, "logout_token_signature"},
		{"an unknown key ID", func(t *testing.T, f *fakeProvider) string { return newSigner(t, "k9").sign(t, logoutClaims(f)) }, "logout_token_signature"},
		{"claims changed after signing", func(t *testing.T, f *fakeProvider) string {
			claims := logoutClaims(f)
			good := strings.Split(f.key.sign(t, claims), ".")
			claims["sub"] = "bob"
			return good[0] + "." + strings.Split(f.key.sign(t, claims), ".")[1] + "." + good[2]
		}, "logout_token_signature"},
		{"no algorithm at all", func(t *testing.T, f *fakeProvider) string {
			parts := strings.Split(f.key.sign(t, logoutClaims(f)), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
		}, "logout_token_algorithm"},
		{"the client secret as key", func(t *testing.T, f *fakeProvider) string {
			key := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat(clientSecret, 2))}
			return signWith(t, key, nil, logoutClaims(f))
		}, "logout_token_algorithm"},
		{"a key that the token brings along", func(t *testing.T, f *fakeProvider) string {
			evil := newSigner(t, "evil")
			return signWith(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: evil.key, KeyID: "evil"}},
				map[jose.HeaderKey]any{"jku": f.url + "/evil-jwks", "jwk": evil.public()}, logoutClaims(f))
		}, "logout_token_signature"},
		{"another serialization, which hides its type", func(t *testing.T, f *fakeProvider) string {
			parts := strings.Split(f.signLogout("at+jwt", logoutClaims(f)), ".")
			return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
		}, "logout_token_malformed"},
		{"no JWT", func(*testing.T, *fakeProvider) string { return "nonsense-tok3n" }, "logout_token_malformed"},
		{"nothing", func(*testing.T, *fakeProvider) string { return "" }, "logout_token_malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			c, written := f.client(nil)
			_, err := c.VerifyLogout(t.Context(), secret.New(tt.make(t, f)))
			checkFailure(t, err, grant.SignInAgain, tt.want, written)
		})
	}
}

func TestALogoutTokenThatCannotBeVerifiedNowIsNotRefused(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.metadata["jwks_uri"] = f.url + "/keys"
	f.mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	token := secret.New(f.signLogout("logout+jwt", logoutClaims(f)))

	undiscovered, written := f.newClient(nil)
	_, err := undiscovered.VerifyLogout(t.Context(), token)
	checkFailure(t, err, grant.Later, "not_discovered", written)

	c, written := f.client(nil)
	_, err = c.VerifyLogout(t.Context(), token)
	checkFailure(t, err, grant.Later, "http_503", written)
}

// Anyone may send tokens that no key verifies: the provider must not suffer.
func TestForgedLogoutTokensDoNotFloodTheProvider(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	c, written := f.client(nil)
	forged := secret.New(newSigner(t, "k9").sign(t, logoutClaims(f)))
	var err error
	for range 100 {
		_, err = c.VerifyLogout(t.Context(), forged)
	}
	checkFailure(t, err, grant.Later, "keys_limited", written)
	if n := f.count("/jwks"); n > 10 {
		t.Errorf("the keys were read %d times", n)
	}
	if _, err := c.VerifyLogout(t.Context(), secret.New(f.signLogout("logout+jwt", logoutClaims(f)))); err != nil {
		t.Errorf("a good token among the forged ones: %v", err)
	}
}
