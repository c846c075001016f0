package strictop_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/strictop"
)

const (
	callback  = "http://localhost:8080/auth/callback"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func start(t *testing.T, opts strictop.Options) *strictop.Provider {
	t.Helper()
	p := strictop.Start(t, opts)
	p.AllowRedirect(callback)
	return p
}

// authorize drives the provider's pages and returns the last answer, which may
// be the redirect to the callback.
func authorize(t *testing.T, p *strictop.Provider, more url.Values) *http.Response {
	t.Helper()
	query := url.Values{
		"client_id": {p.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"s"},
		"scope": {"openid profile offline_access"}, "prompt": {"consent"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for name, values := range more {
		query[name] = values
	}
	browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := browser.Get(p.Issuer + "/authorize?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func codeOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("authorize: got %s, want a redirect to the callback", resp.Status)
	}
	return back.Query().Get("code")
}

// redeem posts to the token endpoint, with Basic or with the secret in the form.
func redeem(t *testing.T, p *strictop.Provider, basic bool, form url.Values) map[string]any {
	t.Helper()
	if !basic {
		form.Set("client_id", p.ClientID)
		form.Set("client_secret", p.ClientSecret)
	}
	req, err := http.NewRequest(http.MethodPost, p.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret))
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestCodeAndRefresh(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{})
	code := codeOf(t, authorize(t, p, nil))
	first := redeem(t, p, true, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
	refresh, _ := first["refresh_token"].(string)
	second := redeem(t, p, true, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})

	handedOut := []any{code}
	for _, answer := range []map[string]any{first, second} {
		handedOut = append(handedOut, answer["access_token"], answer["refresh_token"], answer["id_token"])
	}
	for _, token := range handedOut {
		if s, _ := token.(string); s == "" || !slices.Contains(p.Issued(), s) {
			t.Errorf("issued: got %q not among them", s)
		}
	}
	if a, r := p.Calls("authorization_code"), p.Calls("refresh_token"); a != 1 || r != 1 {
		t.Errorf("calls: got %d exchanges and %d refreshes, want one of each", a, r)
	}
	third := redeem(t, p, true, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	if third["error"] != "invalid_grant" || p.Reuses() != 1 {
		t.Errorf("reuse: got %v and %d, want invalid_grant and 1", third["error"], p.Reuses())
	}
	if _, _, _, err := p.Verify(t.Context(), second["access_token"].(string)); err == nil {
		t.Error("access token: still good after reuse")
	}
}

func TestARefreshTokenThatEnds(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{RefreshLife: time.Hour})
	code := codeOf(t, authorize(t, p, nil))
	first := redeem(t, p, true, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
	if first["refresh_expires_in"] != 3600.0 || first["id_token"] == nil {
		t.Errorf("answer: got %v, want an hour, and the rest as it was", first["refresh_expires_in"])
	}
	p.SetRefreshLife(time.Nanosecond)
	refresh, _ := first["refresh_token"].(string)
	second := redeem(t, p, true, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	refresh, _ = second["refresh_token"].(string)
	third := redeem(t, p, true, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	if refresh == "" || third["error"] != "invalid_grant" || p.Reuses() != 0 {
		t.Errorf("after its end: got %v, %d reuses", third["error"], p.Reuses())
	}
}

func TestOnlyBasicIsTaken(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{})
	got := redeem(t, p, false, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r"}})
	if got["error"] != "invalid_client" {
		t.Errorf("client_secret_post: got %v, want invalid_client", got["error"])
	}
}

func TestPKCEIsRequired(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{})
	for name, change := range map[string]url.Values{
		"no challenge": {"code_challenge": nil},
		"plain":        {"code_challenge_method": {"plain"}},
	} {
		back, err := authorize(t, p, change).Location()
		if err != nil || back.Query().Get("error") != "invalid_request" {
			t.Errorf("%s: got %v, %v, want invalid_request", name, back, err)
		}
	}
}

func TestOfflineAccessNeedsThePrompt(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{})
	code := codeOf(t, authorize(t, p, url.Values{"prompt": nil}))
	got := redeem(t, p, true, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
	if got["access_token"] == nil || got["refresh_token"] != nil {
		t.Errorf("tokens: got access %v, refresh %v, want no refresh token", got["access_token"] != nil, got["refresh_token"] != nil)
	}
}

func TestNobodyIsAsked(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{User: "nobody"})
	page, err := io.ReadAll(authorize(t, p, nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Alice", "user=bob"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("page: got %s, want it to hold %q", page, want)
		}
	}
	p.SetUser("bob")
	if codeOf(t, authorize(t, p, nil)) == "" {
		t.Error("code: got none, want bob signed in")
	}
}

func TestAnUnknownRedirectGetsNothing(t *testing.T) {
	t.Parallel()
	p := start(t, strictop.Options{})
	resp := authorize(t, p, url.Values{"redirect_uri": {"https://evil.example/"}})
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status: got %s, want 400", resp.Status)
	}
}
