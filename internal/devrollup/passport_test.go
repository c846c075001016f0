package devrollup

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

const allScopes = "openid profile email connected_accounts erc_4337"

func TestDiscoveryOmitsWhatRollupOmits(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := do(t, request(t, http.MethodGet, r.url+"/.well-known/openid-configuration", "", ""))
	for _, name := range []string{
		"grant_types_supported", "code_challenge_methods_supported", "revocation_endpoint",
		"introspection_endpoint", "end_session_endpoint",
	} {
		if _, ok := got.body[name]; ok {
			t.Errorf("%s is listed", name)
		}
	}
	if got.str("issuer") != r.url || got.str("jwks_uri") != r.url+"/.well-known/jwks.json" {
		t.Errorf("got %s", got.text)
	}
	if diff := cmp.Diff([]any{"client_secret_post"}, got.body["token_endpoint_auth_methods_supported"]); diff != "" {
		t.Error(diff)
	}
	r.Set(func(s *Switches) { s.Revocation = true })
	got = do(t, request(t, http.MethodGet, r.url+"/.well-known/openid-configuration", "", ""))
	if got.str("revocation_endpoint") != r.url+"/revoke" {
		t.Error("the switch does not list the revocation endpoint")
	}
}

func TestTokenResponseHasNeitherExpiresInNorScope(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, allScopes)
	names := slices.Sorted(maps.Keys(tokens.body))
	if diff := cmp.Diff([]string{"access_token", "id_token", "refresh_token", "token_type"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestTokensAreES256JWTsWithKidAndJku(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, allScopes)

	access, header := r.claimsOf(t, tokens.str("access_token"))
	if header.Algorithm != "ES256" || header.KeyID == "" || header.ExtraHeaders["jku"] != r.url+"/.well-known/jwks.json" {
		t.Errorf("header: got %+v", header)
	}
	if access["scope"] != allScopes || access["sub"] != AliceURN || access["jti"] == nil {
		t.Errorf("access token: got %v", access)
	}
	if life := access["exp"].(float64) - access["iat"].(float64); life != 3600 {
		t.Errorf("access token lives %v s, want an hour", life)
	}
	refresh, _ := r.claimsOf(t, tokens.str("refresh_token"))
	if _, ok := refresh["exp"]; ok {
		t.Error("the refresh token has an exp")
	}
	id, _ := r.claimsOf(t, tokens.str("id_token"))
	if diff := cmp.Diff([]any{"gateway"}, id["aud"]); diff != "" {
		t.Errorf("aud: %s", diff)
	}
	for _, name := range []string{"name", "picture", "email", "connected_accounts", "erc_4337"} {
		if id[name] == nil {
			t.Errorf("ID token: %s is missing", name)
		}
	}
	if _, ok := id["nonce"]; ok {
		t.Error("the nonce is echoed")
	}
	r.Set(func(s *Switches) { s.EchoNonce = true })
	id, _ = r.claimsOf(t, r.signIn(t, &Visitor{Person: "bob"}, "openid").str("id_token"))
	if id["nonce"] != "the-nonce" || id["email"] != nil {
		t.Errorf("ID token of openid alone, nonce on: got %v", id)
	}
}

func TestCodesAre24BytesForOneUseWithin120Seconds(t *testing.T) {
	t.Parallel()
	r := start(t)
	alice := &Visitor{Person: "alice"}
	code := r.visit(t, alice, "openid").Get("code")
	if raw, err := base64.RawURLEncoding.DecodeString(code); err != nil || len(raw) != 24 {
		t.Errorf("code: %d bytes, %v", len(raw), err)
	}
	if got := r.exchange(t, code); got.status != http.StatusOK {
		t.Errorf("first use: got %d", got.status)
	}
	wantRefusal(t, r.exchange(t, code), 401, "UNAUTHORIZED", "expired code")
	code = r.visit(t, alice, "openid").Get("code")
	r.advance(120 * time.Second)
	wantRefusal(t, r.exchange(t, code), 401, "UNAUTHORIZED", "expired code")
	code = r.visit(t, alice, "openid").Get("code")
	if got := r.exchange(t, code, "redirect_uri", "http://localhost/else"); got.status != http.StatusBadRequest {
		t.Errorf("another redirect_uri: got %d", got.status)
	}
	wantRefusal(t, r.exchange(t, code), 401, "UNAUTHORIZED", "expired code") // a wrong use spends it too
}

func TestPKCEIsVerifiedWhereAChallengeWasSent(t *testing.T) {
	t.Parallel()
	r := start(t)
	verifier := oauth2.GenerateVerifier()
	challenge := []string{
		"code_challenge", oauth2.S256ChallengeFromVerifier(verifier), "code_challenge_method", "S256",
	}
	alice := &Visitor{Person: "alice"}
	code := r.visit(t, alice, "openid", challenge...).Get("code")
	wantRefusal(t, r.exchange(t, code, "code_verifier", "wrong"), 400, "BAD_REQUEST", "mismatch code challenge")
	code = r.visit(t, alice, "openid", challenge...).Get("code")
	if got := r.exchange(t, code, "code_verifier", verifier); got.status != http.StatusOK {
		t.Errorf("right verifier: got %d %s", got.status, got.text)
	}
}

func TestClientIsKnownByItsFormAlone(t *testing.T) {
	t.Parallel()
	r := start(t)
	basic := request(t, http.MethodPost, r.url+"/token", "application/x-www-form-urlencoded", "grant_type=refresh_token")
	basic.SetBasicAuth("gateway", "client-secret")
	wantRefusal(t, do(t, basic), 400, "BAD_REQUEST", "invalid client credentials")
	wantRefusal(t, r.exchange(t, "x", "client_secret", "wrong"), 400, "BAD_REQUEST", "invalid client credentials")
	wantRefusal(t, r.exchange(t, "x", "client_id", "other"), 400, "BAD_REQUEST", "mismatch client id")

	r.Set(func(s *Switches) { s.StandardErrors = true })
	if got := r.exchange(t, "x", "client_secret", "wrong"); got.status != 401 || got.str("error") != "invalid_client" {
		t.Errorf("standard form: got %d %s", got.status, got.text)
	}
	if got := r.exchange(t, "x"); got.status != 400 || got.str("error") != "invalid_grant" {
		t.Errorf("standard form: got %d %s", got.status, got.text)
	}
}

func TestRefreshBringsAnAccessTokenAndNothingElse(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, "openid email")
	for range 2 { // the refresh token is not spent
		got := r.refreshWith(t, tokens.str("refresh_token"))
		names := slices.Sorted(maps.Keys(got.body))
		if diff := cmp.Diff([]string{"access_token", "token_type"}, names); diff != "" {
			t.Error(diff)
		}
		if access, _ := r.claimsOf(t, got.str("access_token")); access["scope"] != "openid email" {
			t.Errorf("scope: got %v", access["scope"])
		}
	}
	wantRefusal(t, r.refreshWith(t, "nonsense"), 401, "UNAUTHORIZED", "invalid token")
	r.RevokeRefreshTokens(AliceURN)
	wantRefusal(t, r.refreshWith(t, tokens.str("refresh_token")), 401, "UNAUTHORIZED", "expired token")
}

func TestRotationKillsTheFamilyOnReuse(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.Set(func(s *Switches) { s.RotateRefreshTokens = true })
	first := r.signIn(t, &Visitor{Person: "alice"}, "openid").str("refresh_token")
	second := r.refreshWith(t, first).str("refresh_token")
	if second == "" || second == first {
		t.Fatal("no new refresh token")
	}
	wantRefusal(t, r.refreshWith(t, first), 401, "UNAUTHORIZED", "expired token")
	wantRefusal(t, r.refreshWith(t, second), 401, "UNAUTHORIZED", "expired token")
}

func TestTheOldestRefreshTokensAreDropped(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.Set(func(s *Switches) { s.KeptRefreshTokens = 2 })
	alice := &Visitor{Person: "alice"}
	var issued []string
	for range 3 {
		issued = append(issued, r.signIn(t, alice, "openid").str("refresh_token"))
	}
	for i, want := range []int{401, 200, 200} {
		if got := r.refreshWith(t, issued[i]); got.status != want {
			t.Errorf("refresh token %d: got %d, want %d", i+1, got.status, want)
		}
	}
}

func TestUserinfoShowsTheScopesAndThePickedAccounts(t *testing.T) {
	t.Parallel()
	r := start(t)
	person, err := r.Directory().Person("alice")
	if err != nil {
		t.Fatal(err)
	}
	picked := person.Accounts[3]
	alice := &Visitor{Person: "alice", Scopes: []string{"profile", "connected_accounts"}, Accounts: []string{picked.URN}}
	tokens := r.signIn(t, alice, allScopes)
	if access, _ := r.claimsOf(t, tokens.str("access_token")); access["scope"] != "openid profile connected_accounts" {
		t.Errorf("scope: got %v", access["scope"])
	}
	got := r.userinfo(t, tokens.str("access_token"))
	want := map[string]any{
		"sub": AliceURN, "name": "Alice Example", "picture": r.url + "/images/alice.svg",
		"connected_accounts": []any{map[string]any{"type": "farcaster", "identifier": "alice.cast"}},
	}
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Error(diff)
	}
	if image := do(t, request(t, http.MethodGet, r.url+"/images/alice.svg", "", "")); image.status != 200 {
		t.Errorf("picture: got %d", image.status)
	}

	if err := r.Directory().RemoveAccount(AliceURN, picked.URN); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, r.userinfo(t, tokens.str("access_token")), 401, "UNAUTHORIZED",
		"Authorized data error. Re-authorization by user required")
	again := r.signIn(t, &Visitor{Person: "alice"}, allScopes) // the user consents again
	if got := r.userinfo(t, again.str("access_token")); got.status != http.StatusOK {
		t.Errorf("after a new consent: got %d %s", got.status, got.text)
	}
}

func TestUserinfoRefusesWhatIsNoLiveAccessToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, "openid")
	for _, name := range []string{"refresh_token", "id_token", "none"} {
		wantRefusal(t, r.userinfo(t, tokens.str(name)), 401, "UNAUTHORIZED", "expired token")
	}
	r.advance(time.Hour + time.Second)
	wantRefusal(t, r.userinfo(t, tokens.str("access_token")), 401, "UNAUTHORIZED", "expired token")
	fresh := r.refreshWith(t, tokens.str("refresh_token")).str("access_token")
	if got := r.userinfo(t, fresh); got.status != http.StatusOK {
		t.Errorf("fresh token: got %d", got.status)
	}
	r.ExpireAccessTokens(AliceURN)
	r.Set(func(s *Switches) { s.StandardErrors = true })
	got := r.userinfo(t, fresh)
	if got.status != 401 || got.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("standard form: got %d %v", got.status, got.header)
	}
}

func TestConsentIsAskedForNewScopesAlone(t *testing.T) {
	t.Parallel()
	r := start(t)
	alice := &Visitor{Person: "alice"}
	pages := func(scope string, want int, more ...string) {
		t.Helper()
		before := alice.Pages
		r.visit(t, alice, scope, more...)
		if got := alice.Pages - before; got != want {
			t.Errorf("%q %v: got %d pages, want %d", scope, more, got, want)
		}
	}
	pages("openid profile", 2) // sign-in and consent
	pages("openid profile", 0)
	_, page, err := alice.send(t.Context(), r.authorizeURL("openid profile email"), nil)
	if err != nil || strings.Contains(page, `name="scope" value="profile"`) || !strings.Contains(page, `value="email"`) {
		t.Errorf("the union asks for more than what is new: %v", err)
	}
	pages("openid profile email", 1)
	pages("openid profile email", 0)
	pages("openid profile", 1, "prompt", "consent")
	pages("openid profile", 0, "prompt", "none")
	if got := r.visit(t, alice, "openid erc_4337", "prompt", "none").Get("error"); got != "consent_required" {
		t.Errorf("prompt=none: got error %q", got)
	}
}

func TestPeopleSayNoAndChangeTheirMind(t *testing.T) {
	t.Parallel()
	r := start(t)
	v := &Visitor{Person: "alice", Deny: true}
	if got := r.visit(t, v, "openid").Get("error"); got != "access_denied" {
		t.Errorf("got error %q", got)
	}
	location, _, err := v.send(t.Context(), r.authorizeURL("openid"), url.Values{"decision": {"switch"}})
	if err != nil || location.Path != "/authorize" {
		t.Fatalf("switch: got %v, %v", location, err)
	}
	v.Person, v.Deny = "bob", false
	if access, _ := r.claimsOf(t, r.signIn(t, v, "openid").str("access_token")); access["sub"] != BobURN {
		t.Errorf("another person: got %v", access["sub"])
	}
	stale := url.Values{"decision": {"allow"}, "person": {"alice"}}
	location, _, err = v.send(t.Context(), r.authorizeURL("openid email"), stale)
	if err != nil || location.Path != "/authorize" {
		t.Errorf("a form shown to Alice decides for Bob: %v, %v", location, err)
	}
}

func TestAuthorizeNeverRedirectsToStrangers(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, change := range [][]string{
		{"redirect_uri", "https://elsewhere.example/cb"}, {"redirect_uri", redirectURI + "/"}, {"client_id", "other"},
	} {
		got := do(t, request(t, http.MethodGet, r.authorizeURL("openid", change...), "", ""))
		if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
			t.Errorf("%v: got %d", change, got.status)
		}
	}
	page := do(t, request(t, http.MethodGet, r.authorizeURL("openid"), "", ""))
	if !strings.HasPrefix(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("policy: got %q", page.header.Get("Content-Security-Policy"))
	}
	crossSite := request(t, http.MethodPost, r.authorizeURL("openid"), "application/x-www-form-urlencoded", "person=alice")
	crossSite.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := do(t, crossSite); got.status != http.StatusForbidden {
		t.Errorf("a form from another site: got %d", got.status)
	}
}

func TestRevocationTakesTheFamilyAndItsAccessTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, "openid")
	form := url.Values{
		"token": {tokens.str("refresh_token")}, "client_id": {"gateway"}, "client_secret": {"client-secret"},
	}
	if got := r.post(t, "/revoke", form); got.status != http.StatusNotFound {
		t.Errorf("switched off: got %d", got.status)
	}
	r.Set(func(s *Switches) { s.Revocation = true })
	for range 2 {
		if got := r.post(t, "/revoke", form); got.status != http.StatusOK {
			t.Errorf("got %d", got.status)
		}
	}
	wantRefusal(t, r.refreshWith(t, tokens.str("refresh_token")), 401, "UNAUTHORIZED", "expired token")
	wantRefusal(t, r.userinfo(t, tokens.str("access_token")), 401, "UNAUTHORIZED", "expired token")
}

func TestForgeries(t *testing.T) {
	t.Parallel()
	r := start(t)
	alice := &Visitor{Person: "alice"}
	forged := func(f Forgery) map[string]any {
		r.Set(func(s *Switches) { s.Forgery = f })
		claims, _ := r.claimsOf(t, r.signIn(t, alice, "openid").str("id_token"))
		return claims
	}
	if got := forged(ForgedIssuer)["iss"]; got == r.url {
		t.Errorf("issuer: got %v", got)
	}
	if diff := cmp.Diff([]any{"gateway"}, forged(ForgedAudience)["aud"]); diff == "" {
		t.Error("audience is right")
	}
	if got := forged(ForgedNonce)["nonce"]; got == nil || got == "the-nonce" {
		t.Errorf("nonce: got %v", got)
	}
	if got := forged(ForgedExpiry)["exp"].(float64); got >= float64(r.Server.now().Unix()) {
		t.Errorf("expiry: got %v", got)
	}
	r.Set(func(s *Switches) { s.Forgery = ForgedSignature })
	if _, err := r.parse(r.signIn(t, alice, "openid").str("id_token")); err == nil {
		t.Error("signature is right")
	}
	r.Set(func(s *Switches) { s.Forgery = ForgedUserinfoSubject })
	if got := r.userinfo(t, r.signIn(t, alice, "openid").str("access_token")).str("sub"); got == AliceURN {
		t.Error("userinfo's subject is right")
	}
}
