package passport_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
)

type profile struct {
	Name     string              `json:"name"`
	Accounts []map[string]string `json:"connected_accounts"`
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	claims := map[string]any{"sub": subject, "name": "Alice", "connected_accounts": []map[string]string{{"type": "github", "identifier": "alice"}}}
	with := func(more map[string]any) map[string]any {
		c := maps.Clone(claims)
		maps.Copy(c, more)
		return c
	}
	tests := []struct {
		name   string
		answer func(f *fakeProvider, w http.ResponseWriter)
	}{
		{name: "JSON", answer: func(_ *fakeProvider, w http.ResponseWriter) { writeJSON(w, claims) }},
		{name: "a signed answer", answer: func(f *fakeProvider, w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/jwt; charset=utf-8")
			_, _ = w.Write([]byte(f.key.sign(t, with(map[string]any{"iss": f.url, "aud": clientID})) + "\n"))
		}},
		{name: "a signed answer without issuer and audience", answer: func(f *fakeProvider, w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/jwt")
			_, _ = w.Write([]byte(f.key.sign(t, claims)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer at-tok3n" {
					t.Errorf("authorization: got %q, want the access token as bearer", got)
				}
				tt.answer(f, w)
			})
			c, written := f.client(nil)
			var got profile
			if err := c.UserInfo(t.Context(), secret.New("at-tok3n"), subject, &got); err != nil {
				t.Fatalf("UserInfo: %v", err)
			}
			want := profile{Name: "Alice", Accounts: []map[string]string{{"type": "github", "identifier": "alice"}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if strings.Contains(written.String(), "tok3n") {
				t.Errorf("a secret got out: %s", written)
			}
		})
	}
}

func TestUserInfoRefused(t *testing.T) {
	t.Parallel()
	body := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	signed := func(sign signer, claims map[string]any) http.HandlerFunc {
		return body(200, "application/jwt", sign.sign(t, claims))
	}
	const asJSON = "application/json"
	tests := []struct {
		name   string
		answer http.HandlerFunc
		kind   grant.Kind
		reason string
		retry  time.Duration
	}{
		{name: "another subject", answer: body(200, asJSON, `{"sub":"urn:rollupid:identity/0xb0b","name":"Bob"}`), kind: grant.SignInAgain, reason: "subject_mismatch"},
		{name: "no subject", answer: body(200, asJSON, `{"name":"Bob"}`), kind: grant.Later, reason: "userinfo_subject"},
		{name: "a withdrawn consent at Rollup", answer: body(401, asJSON, `{"code":"UNAUTHORIZED","message":"Authorized data error. Re-authorization by user required"}`), kind: grant.SignInAgain, reason: "consent_withdrawn"},
		{name: "a withdrawn consent as plain text", answer: body(401, "text/plain", `Authorized data error. Re-authorization by user required`), kind: grant.SignInAgain, reason: "consent_withdrawn"},
		{name: "limits", answer: body(429, asJSON, `{}`), kind: grant.Later, reason: "rate_limited", retry: 7 * time.Second},
		{name: "a refusal that quotes the token", answer: body(403, asJSON, `{"error":"insufficient_scope","error_description":"at-tok3n may not"}`), kind: grant.Later, reason: "http_403", retry: 7 * time.Second},
		{name: "a proxy's page", answer: body(502, "text/html", `<html>at-tok3n`), kind: grant.Later, reason: "http_502", retry: 7 * time.Second},
		{name: "a captive portal", answer: body(200, "text/html", `<html>at-tok3n`), kind: grant.Later, reason: "userinfo_malformed"},
		{name: "nothing", answer: body(200, asJSON, ``), kind: grant.Later, reason: "userinfo_malformed"},
		{name: "a truncated answer", answer: body(200, asJSON, `{"sub":"`+subject+`"`), kind: grant.Later, reason: "userinfo_malformed"},
		{name: "a name that is a list", answer: body(200, asJSON, `{"sub":"`+subject+`","name":["at-tok3n"]}`), kind: grant.Later, reason: "userinfo_malformed"},
		{name: "an answer without end", answer: body(200, asJSON, `{"sub":"`+strings.Repeat("x", 2<<20)), kind: grant.Later, reason: "reply_too_large"},
		{name: "signed by somebody else", answer: signed(newSigner(t, "k1"), map[string]any{"sub": subject}), kind: grant.Later, reason: "userinfo_signature"},
		{name: "signed for somebody else", answer: nil, kind: grant.Later, reason: "userinfo_audience"},
		{name: "unsigned as a JWT", answer: body(200, "application/jwt", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."), kind: grant.Later, reason: "userinfo_algorithm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			if tt.answer == nil {
				tt.answer = signed(f.key, map[string]any{"sub": subject, "aud": "another"})
			}
			f.mux.HandleFunc("/userinfo", tt.answer)
			c, written := f.client(nil)
			got := profile{Name: "untouched"}
			err := c.UserInfo(t.Context(), secret.New("at-tok3n"), subject, &got)
			checkFailure(t, err, tt.kind, tt.reason, written)
			if got := grant.AsFailure(err).RetryAfter; got != tt.retry {
				t.Errorf("retry after: got %s, want %s", got, tt.retry)
			}
			if errors.Is(err, grant.ErrTokenRejected) {
				t.Error("error: says that the token was rejected")
			}
			if got.Name == "Bob" {
				t.Error("claims of another subject were handed out")
			}
		})
	}
}

func TestUserInfoRejectsTheToken(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, `{"code":"UNAUTHORIZED","message":"at-tok3n expired"}`, http.StatusUnauthorized)
	})
	c, written := f.client(nil)
	err := c.UserInfo(t.Context(), secret.New("at-tok3n"), subject, &profile{})
	if !errors.Is(err, grant.ErrTokenRejected) {
		t.Errorf("error: got %v, want it to wrap %v", err, grant.ErrTokenRejected)
	}
	if text := fmt.Sprintf("%+v", err) + written.String(); strings.Contains(text, "tok3n expired") || strings.Contains(text, "at-tok3n") {
		t.Errorf("a secret got out: %s", text)
	}
}

func TestNoUserInfoEndpoint(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.metadata["userinfo_endpoint"] = nil
	c, written := f.client(nil)
	err := c.UserInfo(t.Context(), secret.New("at-tok3n"), subject, &profile{})
	checkFailure(t, err, grant.OperatorFault, "endpoint_missing", written)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		body   string
	}
	ok := answer{status: 200}
	unsupported := answer{400, `{"error":"unsupported_token_type"}`}
	tests := []struct {
		name            string
		refresh, access answer
		kind            grant.Kind
		reason          string
		want            bool
		metadata        map[string]any
		calls           int
	}{
		{name: "both", refresh: ok, access: ok, want: true, calls: 2},
		{name: "a provider that revokes no access tokens", refresh: ok, access: unsupported, want: true, calls: 2},
		{name: "a provider that revokes neither", refresh: unsupported, access: unsupported, want: false, calls: 2},
		{name: "a provider that lists no endpoint, as Rollup", metadata: map[string]any{"revocation_endpoint": nil}, want: false},
		{name: "a provider that takes none of our methods", metadata: map[string]any{
			"revocation_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		}, want: false},
		{name: "the access token is tried even so", refresh: answer{503, "tok3n"}, access: ok, kind: grant.Later, reason: "http_503", calls: 2},
		{name: "wrong credentials", refresh: answer{401, `{"error":"invalid_client"}`}, access: ok, kind: grant.OperatorFault, reason: "invalid_client", calls: 2},
		{name: "a token that is invalid already", refresh: answer{400, `{"error":"invalid_grant","error_description":"rt-tok3n"}`}, access: answer{401, `{"error":"invalid_token"}`}, want: true, calls: 2},
		{name: "a provider in trouble is not believed", refresh: answer{500, `{"error":"invalid_grant"}`}, access: ok, kind: grant.Later, reason: "http_500", calls: 2},
		{name: "a refusal is no verdict on the grant", refresh: answer{401, `{"code":"UNAUTHORIZED"}`}, access: ok, kind: grant.Later, reason: "unauthorized", calls: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			f.metadata["revocation_endpoint"] = f.url + "/revoke"
			maps.Copy(f.metadata, tt.metadata)
			f.mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
				a := tt.refresh
				if r.PostFormValue("token_type_hint") == "access_token" {
					a = tt.access
				}
				if want := map[string]string{"refresh_token": "rt-tok3n", "access_token": "at-tok3n"}[r.PostFormValue("token_type_hint")]; r.PostFormValue("token") != want {
					t.Errorf("token: got %q, want %q", r.PostFormValue("token"), want)
				}
				w.WriteHeader(a.status)
				_, _ = w.Write([]byte(a.body))
			})
			c, written := f.client(nil)
			got, err := c.Revoke(t.Context(), secret.New("at-tok3n"), secret.New("rt-tok3n"))
			if tt.reason == "" && err != nil {
				t.Fatalf("Revoke: %v", err)
			}
			if tt.reason != "" {
				checkFailure(t, err, tt.kind, tt.reason, written)
			}
			if got != tt.want {
				t.Errorf("confirmed: got %v, want %v", got, tt.want)
			}
			if got := f.count("/revoke"); got != tt.calls {
				t.Errorf("requests: got %d, want %d", got, tt.calls)
			}
		})
	}
}

func TestRevokeAuthenticatesAsAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	f := newFakeProvider(t)
	f.metadata["revocation_endpoint"] = f.url + "/revoke"
	f.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	f.mux.HandleFunc("/revoke", func(_ http.ResponseWriter, r *http.Request) {
		if _, _, basic := r.BasicAuth(); basic || r.PostFormValue("client_secret") != clientSecret {
			t.Errorf("client: got basic %v, want client_secret_post", basic)
		}
	})
	c, _ := f.client(func(cfg *passport.Config) { cfg.Timeout = time.Second })
	if got, err := c.Revoke(t.Context(), secret.Text{}, secret.New("rt-tok3n")); !got || err != nil {
		t.Errorf("Revoke: got %v, %v, want true", got, err)
	}
	if got := f.count("/revoke"); got != 1 {
		t.Errorf("requests: got %d, want 1: a missing token is not sent", got)
	}
}
