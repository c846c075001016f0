package login_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// notify sends a form, as the provider does: without any cookie.
func (d *desk) notify(form string) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "https://gate.example.com"+login.BackChannelLogout, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	d.http.ServeHTTP(recorder, r)
	return recorder.Result()
}

// user is the ID of the user whose session the browser has.
func (d *desk) user(t *testing.T) string {
	t.Helper()
	s, err := d.Sessions.Store.Session(t.Context(), secret.New(d.cookies["__Host-galaxygate"].Value).Hash(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.UserID
}

// away is a store of sessions that has just gone away.
type away struct{ session.Ender }

func (away) End(context.Context, string, string, session.EndReason, time.Time) (session.Session, error) {
	return session.Session{}, errors.New("away")
}

func (away) EndByProvider(context.Context, session.Logout, time.Time) (int, error) {
	return 0, errors.New("away")
}

func TestAVerifiedLogoutTokenEndsTheSessions(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	user := d.user(t)
	d.provider.logout = passport.Logout{
		Issuer: "https://id.example.com", Subject: "alice", TokenID: "1", ExpiresAt: time.Now().Add(time.Hour),
	}
	resp := d.notify("logout_token=t")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, %v", resp.StatusCode, resp.Header)
	}
	sessions, err := d.Sessions.List(t.Context(), user)
	if err != nil || len(sessions) != 0 {
		t.Errorf("live sessions: %v, %v", sessions, err)
	}
	d.signIn(t, "")
	wantRefusal(t, d.notify("logout_token=t"), http.StatusBadRequest, "invalid_request")
	if sessions, err = d.Sessions.List(t.Context(), user); err != nil || len(sessions) != 1 {
		t.Errorf("after a replay: %v, %v", sessions, err)
	}
}

func TestALogoutThatIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	refused := &grant.Failure{Kind: grant.SignInAgain, Reason: "logout_token_event"}
	tests := []struct {
		name, form string
		err        error
		status     int
		code       string
		retry      string
	}{
		{"a token that is refused", "logout_token=t0p", refused, 400, "invalid_request", ""},
		{"no token", "", nil, 400, "invalid_request", ""},
		{"two tokens", "logout_token=t0p&logout_token=t0p", nil, 400, "invalid_request", ""},
		{"no form", "%zz", nil, 400, "invalid_request", ""},
		{"a form without end", "logout_token=" + strings.Repeat("t0p", 10_000), nil, 400, "invalid_request", ""},
		{"keys that cannot be read", "logout_token=t0p", &grant.Failure{Kind: grant.Later, Reason: "http_503"}, 503, "temporarily_unavailable", "5"},
		{"a provider that says when", "logout_token=t0p", &grant.Failure{Kind: grant.Later, RetryAfter: time.Minute}, 503, "temporarily_unavailable", "60"},
		{"a provider that is not what it says", "logout_token=t0p", &grant.Failure{Kind: grant.OperatorFault}, 503, "temporarily_unavailable", "5"},
		{"something unknown", "logout_token=t0p", errors.New("unknown"), 503, "temporarily_unavailable", "5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			d.signIn(t, "")
			d.provider.logout = passport.Logout{Issuer: "https://id.example.com", Subject: "alice", TokenID: "1"}
			d.provider.logoutErr = tt.err
			resp := d.notify(tt.form)
			wantRefusal(t, resp, tt.status, tt.code)
			if got := resp.Header.Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After: got %q, want %q", got, tt.retry)
			}
			if sessions, err := d.Sessions.List(t.Context(), d.user(t)); err != nil || len(sessions) != 1 {
				t.Errorf("live sessions: %v, %v", sessions, err)
			}
		})
	}
}

func TestATokenInTheQueryIsNone(t *testing.T) {
	t.Parallel()
	d := open(t)
	r := httptest.NewRequest(http.MethodPost, "https://gate.example.com"+login.BackChannelLogout+"?"+url.Values{"logout_token": {"t0p"}}.Encode(), nil)
	recorder := httptest.NewRecorder()
	d.http.ServeHTTP(recorder, r)
	wantRefusal(t, recorder.Result(), http.StatusBadRequest, "invalid_request")
}

// A database that is away must not swallow a logout: the provider may send the
// same token again.
func TestALogoutWithoutADatabaseCanBeSentAgain(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.signIn(t, "")
	d.provider.logout = passport.Logout{
		Issuer: "https://id.example.com", Subject: "alice", TokenID: "1", ExpiresAt: time.Now().Add(time.Hour),
	}
	real := d.Sessions.Ender
	d.Sessions.Ender = away{real}
	wantRefusal(t, d.notify("logout_token=t"), http.StatusServiceUnavailable, "temporarily_unavailable")
	d.Sessions.Ender = real
	if resp := d.notify("logout_token=t"); resp.StatusCode != http.StatusOK {
		t.Errorf("the second time: got %d", resp.StatusCode)
	}
}

func wantRefusal(t *testing.T, resp *http.Response, status int, code string) {
	t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatalf("decode: %v", err)
	}
	if resp.StatusCode != status || body.Error != code || body.Description == "" || strings.Contains(body.Description, "t0p") {
		t.Errorf("got %d %+v, want %d %s", resp.StatusCode, body, status, code)
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("header: %v", resp.Header)
	}
}
