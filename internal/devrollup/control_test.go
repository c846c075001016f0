package devrollup

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (r *rollup) control(t *testing.T, method, path, body string) reply {
	t.Helper()
	return do(t, request(t, method, r.url+path, "application/json", body))
}

func TestFaultsStrikeForTheNextCallsOnly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		fault       Fault
		status      int
		contentType string
	}{
		{"500 speaks Rollup's JSON", Fault{Status: 500, Times: 2}, 500, "application/json"},
		{"502 is a proxy's HTML", Fault{Status: 502, Times: 2}, 502, "text/html; charset=utf-8"},
		{"429 may carry Retry-After", Fault{Status: 429, RetryAfter: "7", Times: 2}, 429, "text/plain; charset=utf-8"},
		{"a body of one's own", Fault{Status: 200, Body: "{", ContentType: "text/x", Times: 2}, 200, "text/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.Set(func(s *Switches) { s.Faults[JWKS] = tt.fault })
			for range 2 {
				got := do(t, request(t, http.MethodGet, r.url+"/.well-known/jwks.json", "", ""))
				if got.status != tt.status || got.header.Get("Content-Type") != tt.contentType ||
					got.header.Get("Retry-After") != tt.fault.RetryAfter {
					t.Errorf("got %d %v", got.status, got.header)
				}
			}
			got := do(t, request(t, http.MethodGet, r.url+"/.well-known/jwks.json", "", ""))
			if got.status != 200 || got.body["keys"] == nil {
				t.Errorf("after the fault: got %d", got.status)
			}
			if got := r.Counters()["jwks"]; got != 3 {
				t.Errorf("counter: got %d", got)
			}
		})
	}
}

func TestResetBreaksTheConnection(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.Set(func(s *Switches) { s.Faults[Userinfo] = Fault{Reset: true, Delay: Duration(time.Millisecond)} })
	req := request(t, http.MethodGet, r.url+"/userinfo", "", "")
	if response, err := http.DefaultTransport.RoundTrip(req); err == nil {
		response.Body.Close()
		t.Errorf("got %s", response.Status)
	}
}

func TestHangHoldsACallUntilItIsLetGo(t *testing.T) {
	t.Parallel()
	r := start(t)
	refresh := r.signIn(t, &Visitor{Person: "alice"}, "openid").str("refresh_token")
	r.Set(func(s *Switches) { s.Faults[Token] = Fault{Hang: true} })
	done := make(chan reply)
	go func() { done <- r.refreshWith(t, refresh) }()
	for r.Counters()["token:refresh_token"] == 0 {
		select {
		case got := <-done:
			t.Fatalf("the call does not hang: %d", got.status)
		case <-time.After(time.Millisecond):
		}
	}
	r.Set(func(s *Switches) { delete(s.Faults, Token) })
	if got := <-done; got.status != http.StatusOK {
		t.Errorf("let go: got %d %s", got.status, got.text)
	}

	r.Set(func(s *Switches) { s.Faults[Userinfo] = Fault{Hang: true, Times: 1} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req := request(t, http.MethodGet, r.url+"/userinfo", "", "").WithContext(ctx)
	if response, err := http.DefaultTransport.RoundTrip(req); err == nil {
		response.Body.Close()
		t.Errorf("got %s", response.Status)
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestALateFaultSpendsTheTokenAndLosesTheAnswer(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.Set(func(s *Switches) { s.RotateRefreshTokens = true })
	refresh := r.signIn(t, &Visitor{Person: "alice"}, "openid").str("refresh_token")
	r.Set(func(s *Switches) { s.Faults[Token] = Fault{Late: true, Status: 502, Times: 1} })
	if got := r.refreshWith(t, refresh); got.status != 502 {
		t.Errorf("got %d", got.status)
	}
	wantRefusal(t, r.refreshWith(t, refresh), 401, "UNAUTHORIZED", "expired token")
}

func TestCountersAndIssuedOverHTTP(t *testing.T) {
	t.Parallel()
	r := start(t)
	alice := &Visitor{Person: "alice"}
	code := r.visit(t, alice, "openid").Get("code")
	tokens := r.exchange(t, code)
	refreshed := r.refreshWith(t, tokens.str("refresh_token"))
	got := r.control(t, http.MethodGet, "/dev/counters", "")
	want := map[string]any{
		"authorize": 2., "authorize:post": 2., "token:authorization_code": 1., "token:refresh_token": 1.,
	}
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Error(diff)
	}
	var issued []string
	if err := json.Unmarshal([]byte(r.control(t, http.MethodGet, "/dev/issued", "").text), &issued); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{
		code, tokens.str("access_token"), tokens.str("refresh_token"),
		tokens.str("id_token"), refreshed.str("access_token"),
	} {
		if !slices.Contains(issued, value) {
			t.Error("an issued secret is not on record")
		}
	}
	r.control(t, http.MethodDelete, "/dev/counters", "")
	if got := r.Counters(); len(got) != 0 {
		t.Errorf("after the reset: got %v", got)
	}
}

func TestSwitchesOverHTTP(t *testing.T) {
	t.Parallel()
	r := start(t)
	refused := []string{
		`{"accessTokenLive": "1s"}`, `{"accessTokenLife": "soon"}`, `{"forgery": "name"}`, `{"unauthorizedForm": "x"}`,
		`{"faults": {"tokens": {"status": 500}}}`, `{"faults": {"token": {"state": 500}}}`,
		`{"faults": {"token": {"status": 99}}}`, `{"refusedMutations": ["rename"]}`, `{"failingFields": ["x"]}`,
		`{"rotateRefreshTokens": true} {}`, `[]`,
	}
	for _, body := range refused {
		if got := r.control(t, http.MethodPost, "/dev/switches", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d", body, got.status)
		}
	}
	r.control(t, http.MethodPost, "/dev/switches", `{"accessTokenLife": "30s", "faults": {"galaxy": {"status": 502}}}`)
	r.control(t, http.MethodPost, "/dev/switches", `{"rotateRefreshTokens": true, "faults": {"token": {"hang": true}}}`)
	r.control(t, http.MethodPost, "/dev/switches", `{"faults": {"token": {}}}`)
	want := Switches{
		AccessTokenLife: Duration(30 * time.Second), RotateRefreshTokens: true,
		Faults: map[Endpoint]Fault{GalaxyAPI: {Status: 502}},
	}
	if diff := cmp.Diff(want, r.Switches()); diff != "" {
		t.Error(diff)
	}
	r.control(t, http.MethodDelete, "/dev/switches", "")
	if diff := cmp.Diff(Switches{Faults: map[Endpoint]Fault{}}, r.Switches()); diff != "" {
		t.Error(diff)
	}
}

func TestExpireOverHTTP(t *testing.T) {
	t.Parallel()
	r := start(t)
	alice := &Visitor{Person: "alice"}
	tokens := r.signIn(t, alice, "openid email")
	bobs := r.signIn(t, &Visitor{Person: "bob"}, "openid")
	expire := func(body string, want int) {
		t.Helper()
		if got := r.control(t, http.MethodPost, "/dev/expire", body); got.status != want {
			t.Errorf("%s: got %d %s, want %d", body, got.status, got.text, want)
		}
	}
	expire(`{"person": "carol", "accessTokens": true}`, 404)
	expire(`{"account": "alice@example.com"}`, 404)
	expire(`{"everything": true}`, 400)
	expire(`{"person": "alice", "account": "alice@example.com"}`, 204)
	wantRefusal(t, r.userinfo(t, tokens.str("access_token")), 401, "UNAUTHORIZED",
		"Authorized data error. Re-authorization by user required")
	expire(`{"person": "alice", "accessTokens": true, "refreshTokens": true, "consent": true}`, 204)
	wantRefusal(t, r.userinfo(t, tokens.str("access_token")), 401, "UNAUTHORIZED", "expired token")
	wantRefusal(t, r.refreshWith(t, tokens.str("refresh_token")), 401, "UNAUTHORIZED", "expired token")
	if got := r.userinfo(t, bobs.str("access_token")); got.status != http.StatusOK {
		t.Errorf("Bob's token: got %d", got.status)
	}
	before := alice.Pages
	r.visit(t, alice, "openid")
	if alice.Pages != before+1 {
		t.Error("consent is not asked for anew")
	}
}

func TestControlIsForThisMachineAlone(t *testing.T) {
	t.Parallel()
	r := start(t)
	tests := []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"a loopback peer", func(*http.Request) {}, 200},
		{"another machine", func(q *http.Request) { q.RemoteAddr = "192.0.2.1:5000" }, 403},
		{"a name that was rebound to loopback", func(q *http.Request) { q.Host = "evil.example" }, 403},
		{"a form of a web page", func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }, 415},
		{"a script of a web page", func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") }, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:9/dev/switches", strings.NewReader(`{}`))
			q.RemoteAddr = "127.0.0.1:5000"
			q.Header.Set("Content-Type", "application/json")
			tt.change(q)
			w := httptest.NewRecorder()
			r.Handler().ServeHTTP(w, q)
			if w.Code != tt.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.want)
			}
		})
	}
	page := do(t, request(t, http.MethodGet, r.url+"/dev/", "", ""))
	if page.status != 200 || !strings.Contains(page.text, AliceURN) || !strings.Contains(page.text, "accessTokenLife") {
		t.Errorf("page: got %d", page.status)
	}
}
