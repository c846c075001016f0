package passport_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
	"galaxygate/internal/strictop"
)

const callback = "http://localhost:8080/auth/callback"

func allScopes() []string {
	return []string{"openid", "profile", "email", "connected_accounts", "erc_4337", "offline_access"}
}

// strictClient returns a client of a strict provider.
func strictClient(t *testing.T, opts strictop.Options) (*strictop.Provider, *passport.Client, *log) {
	t.Helper()
	opts.RedirectURIs = []string{callback}
	p := strictop.Start(t, opts)
	written := &log{}
	c := passport.New(passport.Config{
		Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: secret.New(p.ClientSecret), RedirectURL: callback,
		RequireNonce: true,
		Logger:       slog.New(slog.NewTextHandler(written, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err := c.Discover(t.Context()); err != nil {
		t.Fatalf("Discover: %v", err)
	}
	t.Cleanup(func() {
		for _, token := range p.Issued() {
			if strings.Contains(written.String(), token) {
				t.Errorf("the log holds a token: %s", written)
			}
		}
	})
	return p, c, written
}

// attempt is a sign-in under way.
type attempt struct{ state, nonce, verifier secret.Text }

// authorize goes through the provider's pages as a browser does, and returns what
// came back to the callback.
func authorize(t *testing.T, c *passport.Client, scopes []string) (attempt, url.Values) {
	t.Helper()
	a := attempt{secret.Random(), secret.Random(), secret.Random()}
	target, err := c.AuthCodeURL(t.Context(), passport.Authorization{State: a.state, Nonce: a.nonce, Verifier: a.verifier, Scopes: scopes})
	if err != nil {
		t.Fatalf("AuthCodeURL: %v", err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatalf("authorize: %v", err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("authorize: got %s without a redirect to the callback", resp.Status)
	}
	if got := back.Query().Get("state"); got != a.state.Reveal() {
		t.Errorf("state: got %q, want the one sent", got)
	}
	return a, back.Query()
}

func strictSignIn(t *testing.T, c *passport.Client, scopes []string) (passport.Identity, grant.Tokens) {
	t.Helper()
	a, back := authorize(t, c, scopes)
	identity, tokens, err := c.Exchange(t.Context(), secret.New(back.Get("code")), a.verifier, a.nonce)
	if err != nil {
		t.Fatalf("Exchange: %v", err)
	}
	return identity, tokens
}

func TestStrictProvider(t *testing.T) {
	t.Parallel()
	for name, opaque := range map[string]bool{"JWT access tokens": false, "opaque access tokens": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c, _ := strictClient(t, strictop.Options{Opaque: opaque, AccessLife: 10 * time.Minute})
			identity, tokens := strictSignIn(t, c, allScopes())
			if identity.Issuer != p.Issuer || identity.Subject != "alice" || identity.SessionID == "" {
				t.Errorf("identity: got %+v, want alice in a session at %s", identity, p.Issuer)
			}
			if !slices.Equal(tokens.Scopes, allScopes()) {
				t.Errorf("scopes: got %q, want %q", tokens.Scopes, allScopes())
			}
			if life := time.Until(tokens.AccessExpiresAt); life < 9*time.Minute || life > 10*time.Minute {
				t.Errorf("life: got %s, want 10m", life)
			}

			got, scopes, clientID, err := p.Verify(t.Context(), tokens.Access.Reveal())
			if err != nil || got != "alice" || clientID != p.ClientID || !slices.Equal(scopes, allScopes()) {
				t.Errorf("Verify: got %q, %q, %q, %v", got, scopes, clientID, err)
			}
			checkStrictUserInfo(t, c, tokens.Access)

			refreshed, err := c.Refresh(t.Context(), tokens.Refresh)
			if err != nil {
				t.Fatalf("Refresh: %v", err)
			}
			if refreshed.Refresh.IsZero() || refreshed.Refresh.Equal(tokens.Refresh) || refreshed.Access.Equal(tokens.Access) {
				t.Error("refresh: got an old token, want both rotated")
			}
			checkStrictUserInfo(t, c, refreshed.Access)
			if got := p.Calls("refresh_token"); got != 1 {
				t.Errorf("refreshes: got %d, want 1", got)
			}
		})
	}
}

func checkStrictUserInfo(t *testing.T, c *passport.Client, access secret.Text) {
	t.Helper()
	var got struct {
		Name, Picture, Email string
		Accounts             []strictop.Account `json:"connected_accounts"`
		Wallets              []strictop.Wallet  `json:"erc_4337"`
	}
	if err := c.UserInfo(t.Context(), access, "alice", &got); err != nil {
		t.Fatalf("UserInfo: %v", err)
	}
	if got.Name != "Alice" || got.Picture == "" || got.Email != "alice@example.com" || len(got.Accounts) != 2 || len(got.Wallets) != 1 {
		t.Errorf("userinfo: got %+v, want all of Alice", got)
	}
}

func TestStrictReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	p, c, written := strictClient(t, strictop.Options{})
	_, tokens := strictSignIn(t, c, allScopes())
	refreshed, err := c.Refresh(t.Context(), tokens.Refresh)
	if err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	_, err = c.Refresh(t.Context(), tokens.Refresh)
	checkFailure(t, err, grant.SignInAgain, "invalid_grant", written)
	if got := p.Reuses(); got != 1 {
		t.Errorf("reuses: got %d, want 1", got)
	}
	_, err = c.Refresh(t.Context(), refreshed.Refresh)
	checkFailure(t, err, grant.SignInAgain, "invalid_grant", written)
	if err := c.UserInfo(t.Context(), refreshed.Access, "alice", &struct{}{}); err == nil {
		t.Error("userinfo after reuse: got an answer, want the whole family dead")
	}
}

func TestStrictConcurrentPresentationsAreReuse(t *testing.T) {
	t.Parallel()
	p, c, _ := strictClient(t, strictop.Options{})
	_, tokens := strictSignIn(t, c, allScopes())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = c.Refresh(context.Background(), tokens.Refresh) })
	}
	wg.Wait()
	if got := p.Reuses(); got == 0 {
		t.Error("reuses: got 0, want the provider to notice")
	}
}

func TestStrictRevoke(t *testing.T) {
	t.Parallel()
	p, c, written := strictClient(t, strictop.Options{})
	_, tokens := strictSignIn(t, c, allScopes())
	confirmed, err := c.Revoke(t.Context(), tokens.Access, tokens.Refresh)
	if !confirmed || err != nil {
		t.Fatalf("Revoke: got %v, %v, want true", confirmed, err)
	}
	_, err = c.Refresh(t.Context(), tokens.Refresh)
	checkFailure(t, err, grant.SignInAgain, "invalid_grant", written)
	if _, _, _, err := p.Verify(t.Context(), tokens.Access.Reveal()); err == nil {
		t.Error("access token: still good after revocation")
	}
}

func TestStrictKeyRotation(t *testing.T) {
	t.Parallel()
	p, c, _ := strictClient(t, strictop.Options{})
	_, before := strictSignIn(t, c, allScopes())
	p.RotateKey()
	_, after := strictSignIn(t, c, allScopes())
	for _, tokens := range []grant.Tokens{before, after} {
		if _, _, _, err := p.Verify(t.Context(), tokens.Access.Reveal()); err != nil {
			t.Errorf("Verify: %v", err)
		}
	}
}

func TestStrictConsent(t *testing.T) {
	t.Parallel()
	p, c, _ := strictClient(t, strictop.Options{User: "bob"})
	p.SetConsent("profile")
	identity, tokens := strictSignIn(t, c, allScopes())
	if want := []string{"openid", "profile", "offline_access"}; identity.Subject != "bob" || !slices.Equal(tokens.Scopes, want) {
		t.Errorf("consent: got %s %q, want bob %q", identity.Subject, tokens.Scopes, want)
	}
	p.SetRefuse(true)
	_, back := authorize(t, c, allScopes())
	if diff := cmp.Diff("access_denied", back.Get("error")); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestStrictWithoutOfflineAccessThereIsNoRefreshToken(t *testing.T) {
	t.Parallel()
	_, c, _ := strictClient(t, strictop.Options{})
	_, tokens := strictSignIn(t, c, []string{"openid", "profile"})
	if !tokens.Refresh.IsZero() {
		t.Error("refresh token: got one, want none")
	}
}

func TestStrictRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(a *attempt, code *secret.Text)
		kind   grant.Kind
		reason string
	}{
		{name: "a wrong verifier", change: func(a *attempt, _ *secret.Text) { a.verifier = secret.Random() }, kind: grant.SignInAgain, reason: "invalid_grant"},
		{name: "a wrong nonce", change: func(a *attempt, _ *secret.Text) { a.nonce = secret.Random() }, kind: grant.SignInAgain, reason: "id_token_nonce"},
		{name: "a wrong code", change: func(_ *attempt, code *secret.Text) { *code = secret.Random() }, kind: grant.SignInAgain, reason: "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, c, written := strictClient(t, strictop.Options{})
			a, back := authorize(t, c, allScopes())
			code := secret.New(back.Get("code"))
			tt.change(&a, &code)
			_, _, err := c.Exchange(t.Context(), code, a.verifier, a.nonce)
			checkFailure(t, err, tt.kind, tt.reason, written)
		})
	}
}

func TestStrictCodeUsedTwice(t *testing.T) {
	t.Parallel()
	p, c, written := strictClient(t, strictop.Options{})
	a, back := authorize(t, c, allScopes())
	code := secret.New(back.Get("code"))
	_, tokens, err := c.Exchange(t.Context(), code, a.verifier, a.nonce)
	if err != nil {
		t.Fatalf("Exchange: %v", err)
	}
	_, _, err = c.Exchange(t.Context(), code, a.verifier, a.nonce)
	checkFailure(t, err, grant.SignInAgain, "invalid_grant", written)
	if _, _, _, err := p.Verify(t.Context(), tokens.Access.Reveal()); err == nil {
		t.Error("access token: still good after its code came again")
	}
}

func TestStrictWrongClientSecretIsTheOperators(t *testing.T) {
	t.Parallel()
	p := strictop.Start(t, strictop.Options{RedirectURIs: []string{callback}})
	written := &log{}
	c := passport.New(passport.Config{
		Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: secret.New("wrong"), RedirectURL: callback,
		Logger: slog.New(slog.NewTextHandler(written, nil)),
	})
	if err := c.Discover(t.Context()); err != nil {
		t.Fatalf("Discover: %v", err)
	}
	_, err := c.Refresh(t.Context(), secret.New(presented))
	checkFailure(t, err, grant.OperatorFault, "invalid_client", written)
}

func TestStrictExpiredAccessTokenIsRejected(t *testing.T) {
	t.Parallel()
	for name, opaque := range map[string]bool{"JWT": false, "opaque": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c, _ := strictClient(t, strictop.Options{Opaque: opaque})
			p.SetAccessLife(-time.Minute)
			_, tokens := strictSignIn(t, c, allScopes())
			if _, _, _, err := p.Verify(t.Context(), tokens.Access.Reveal()); err == nil {
				t.Error("Verify: got no error for an expired token")
			}
			err := c.UserInfo(t.Context(), tokens.Access, "alice", &struct{}{})
			if want := "userinfo: " + grant.ErrTokenRejected.Error(); err == nil || err.Error() != want {
				t.Errorf("userinfo: got %v, want %s", err, want)
			}
		})
	}
}
