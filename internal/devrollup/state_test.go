package devrollup

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestTokensSurviveARestart(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.Set(func(s *Switches) { s.RotateRefreshTokens = true })
	dead := r.signIn(t, &Visitor{Person: "bob"}, "openid").str("refresh_token")
	r.RevokeRefreshTokens(BobURN)
	used := r.signIn(t, &Visitor{Person: "alice"}, "openid email").str("refresh_token")
	latest := r.refreshWith(t, used)

	var kept bytes.Buffer
	if err := r.Save(&kept); err != nil {
		t.Fatal(err)
	}
	next, err := New(r.config)
	if err != nil {
		t.Fatal(err)
	}
	next.Set(func(s *Switches) { s.RotateRefreshTokens = true })
	if err := next.Load(&kept); err != nil {
		t.Fatal(err)
	}
	refresh := func(token string) int {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"gateway"}, "client_secret": {"client-secret"},
		}
		req := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		recorder := httptest.NewRecorder()
		next.Handler().ServeHTTP(recorder, req)
		return recorder.Code
	}

	req := httptest.NewRequest(http.MethodGet, "/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+latest.str("access_token"))
	recorder := httptest.NewRecorder()
	next.Handler().ServeHTTP(recorder, req)
	if !strings.Contains(recorder.Body.String(), "alice@example.com") {
		t.Errorf("userinfo: got %d %s", recorder.Code, recorder.Body)
	}
	if got := refresh(latest.str("refresh_token")); got != http.StatusOK {
		t.Errorf("the latest refresh token: got %d", got)
	}
	if got := refresh(dead); got != http.StatusUnauthorized {
		t.Errorf("a revoked refresh token: got %d", got)
	}
	if got := refresh(used); got != http.StatusUnauthorized {
		t.Errorf("a used refresh token: got %d", got)
	}
	if got := refresh(latest.str("refresh_token")); got != http.StatusUnauthorized {
		t.Errorf("its family, after the reuse: got %d", got)
	}
}

func TestWhatIsNoStateIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}", `{"Key":"AAAA"}`, "nonsense"} {
		if err := start(t).Load(strings.NewReader(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
