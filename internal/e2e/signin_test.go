package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"galaxygate/internal/devrollup"
)

// TestSignInsThatMustNotSucceed wants of each: no session, an audit row, and a
// page with a way on, or the way back to where the browser came from.
func TestSignInsThatMustNotSucceed(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "https://app.example.com/*"})
	login := w.url + "/auth/login"
	withReturn := login + "?return_to=" + url.QueryEscape("https://app.example.com/home?tab=1")

	forged := func(forgery devrollup.Forgery) func(*testing.T, *browser) *url.URL {
		return func(t *testing.T, b *browser) *url.URL {
			t.Helper()
			w.rollup.Set(func(s *devrollup.Switches) { s.Forgery = forgery })
			return b.callback(t, login)
		}
	}
	changed := func(name, value string) func(*testing.T, *browser) *url.URL {
		return func(t *testing.T, b *browser) *url.URL {
			t.Helper()
			at := b.callback(t, login)
			query := at.Query()
			query.Set(name, value)
			at.RawQuery = query.Encode()
			return at
		}
	}
	tests := []struct {
		name   string
		begin  func(*testing.T, *browser) *url.URL // returns the callback to open
		status int
		reason string // in the audit log
		error  string // for return_to
	}{
		{"a tampered state", changed("state", "tampered"), 400, "state", ""},
		{"no state", changed("state", ""), 400, "state", ""},
		{"a replayed callback", func(t *testing.T, b *browser) *url.URL {
			other := w.browser(t)
			at := other.callback(t, login)
			other.get(t, at.String())
			b.client.Jar = other.client.Jar
			dropSession(t, b)
			return at
		}, 400, "state", ""},
		{"another browser's state", func(t *testing.T, b *browser) *url.URL {
			b.callback(t, login)
			return w.browser(t).callback(t, login)
		}, 400, "state", ""},
		{"a code used twice", func(t *testing.T, b *browser) *url.URL {
			other := w.browser(t)
			used := other.callback(t, login)
			other.get(t, used.String())
			return changed("code", used.Query().Get("code"))(t, b)
		}, 502, "", ""},
		{"no code", changed("code", ""), 502, "code_missing", ""},
		{"an answer of another issuer", changed("iss", "https://evil.example.com"), 502, "issuer", ""},
		{"an ID token of another issuer", forged(devrollup.ForgedIssuer), 502, "id_token_issuer", ""},
		{"an ID token for another audience", forged(devrollup.ForgedAudience), 502, "id_token_audience", ""},
		{"an ID token with a wrong signature", forged(devrollup.ForgedSignature), 502, "id_token_signature", ""},
		{"an ID token that has expired", forged(devrollup.ForgedExpiry), 502, "id_token_expired", ""},
		{"an ID token with a wrong nonce", forged(devrollup.ForgedNonce), 502, "id_token_nonce", ""},
		{"userinfo about someone else", forged(devrollup.ForgedUserinfoSubject), 502, "userinfo_subject", ""},
		{"a user who says no", func(t *testing.T, b *browser) *url.URL { return deny(t, b, login) }, 403, "access_denied", ""},
		{"a user who says no, from an app", func(t *testing.T, b *browser) *url.URL { return deny(t, b, withReturn) }, 303, "access_denied", "access_denied"},
		{"a token endpoint that is away", func(t *testing.T, b *browser) *url.URL {
			w.rollup.Set(func(s *devrollup.Switches) {
				s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: {Status: 502}}
			})
			return b.callback(t, login)
		}, 503, "http_502", ""},
		{"a token endpoint that is away, from an app", func(t *testing.T, b *browser) *url.URL {
			w.rollup.Set(func(s *devrollup.Switches) {
				s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: {Status: 500}}
			})
			return b.callback(t, withReturn)
		}, 303, "http_500", "temporarily_unavailable"},
	}
	db := openDatabase(t, w.database)
	for _, tt := range tests { // one after the other: they turn the same switches
		t.Run(tt.name, func(t *testing.T) {
			defer w.rollup.Set(func(s *devrollup.Switches) { *s = devrollup.Switches{} })
			failed := func() []string {
				return column(t, db, "SELECT reason FROM audit_events WHERE kind = 'sign_in_failed'")
			}
			before := len(failed())
			b := w.browser(t)
			resp, body := b.get(t, tt.begin(t, b).String())
			if resp.StatusCode != tt.status || b.session() != "" {
				t.Errorf("got status %d, session %q, want %d\n%s", resp.StatusCode, b.session(), tt.status, body)
			}
			if tt.error == "" && !strings.Contains(body, `href="/auth/login"`) {
				t.Errorf("the page has no way on: %s", body)
			}
			if at, _ := resp.Location(); tt.error != "" && (at == nil || at.Host != "app.example.com" ||
				at.Query().Get("error") != tt.error || at.Query().Get("error_description") == "" || at.Query().Get("tab") != "1") {
				t.Errorf("sent back to %v", at)
			}
			after := failed()
			if len(after) != before+1 || tt.reason != "" && !slices.Contains(after, tt.reason) {
				t.Errorf("audit log: %q, want one more, with reason %s", after, tt.reason)
			}
			if strings.Contains(body, "tampered") || strings.Contains(body, "evil") {
				t.Errorf("the page repeats what was sent: %s", body)
			}
		})
	}
}

// dropSession leaves the browser its sign-in cookie alone.
func dropSession(t *testing.T, b *browser) {
	t.Helper()
	at, err := url.Parse(b.w.url)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: "galaxygate", MaxAge: -1}})
}

func deny(t *testing.T, b *browser, loginURL string) *url.URL {
	t.Helper()
	resp, _ := b.get(t, loginURL)
	visitor := &devrollup.Visitor{Person: "bob", Deny: true}
	at, err := visitor.Visit(t.Context(), resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWhereSignInMayReturnTo(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "https://app.example.com/in,com.example.app:/in"})
	for _, tt := range []struct{ query, want string }{
		{"", w.url + "/"},
		{"?return_to=/x?y=1", w.url + "/x?y=1"},
		{"?return_to=https%3A%2F%2Fapp.example.com%2Fin", "https://app.example.com/in"},
		{"?return_to=com.example.app%3A%2Fin", "com.example.app:/in"},
		{"?return_to=https%3A%2F%2Fapp.example.com%2Fout", ""},
		{"?return_to=//evil.example.com", ""},
		{"?return_to=/a&return_to=/b", ""},
		{"?scope=%22", ""},
	} {
		t.Run(tt.query, func(t *testing.T) {
			b := w.browser(t)
			if tt.want != "" {
				if at := b.signIn(t, w.url+"/auth/login"+tt.query); at != tt.want {
					t.Errorf("sign-in ends at %s, want %s", at, tt.want)
				}
				return
			}
			resp, body := b.get(t, w.url+"/auth/login"+tt.query)
			if resp.StatusCode != http.StatusBadRequest || strings.Contains(body, "evil") {
				t.Errorf("got %d, want 400: %s", resp.StatusCode, body)
			}
		})
	}
}

func TestLogoutReturnsWhereTheFormSays(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "https://app.example.com/*"})
	for _, tt := range []struct {
		query, form string
		status      int
		location    string
	}{
		{"", "", 204, ""},
		{"", "return_to=/bye", 303, w.url + "/bye"},
		{"?return_to=%2Fbye", "", 303, w.url + "/bye"},
		{"", "return_to=https%3A%2F%2Fapp.example.com%2Fbye", 303, "https://app.example.com/bye"},
		{"", "return_to=https%3A%2F%2Fevil.example.com%2F", 400, ""},
		{"?return_to=/a", "return_to=/b", 400, ""},
	} {
		b := w.browser(t)
		b.signIn(t, w.url+"/auth/login")
		resp, _ := b.post(t, w.url+"/auth/logout"+tt.query, "application/x-www-form-urlencoded", tt.form)
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location {
			t.Errorf("%s %s: got %d to %q", tt.query, tt.form, resp.StatusCode, resp.Header.Get("Location"))
		}
		if ended := b.session() == ""; ended != (tt.status != 400) {
			t.Errorf("%s %s: session ended %v", tt.query, tt.form, ended)
		}
	}
}

// TestTwoTabsSignInAtOnce begins two sign-ins in one browser and ends both.
func TestTwoTabsSignInAtOnce(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	first := b.callback(t, w.url+"/auth/login")
	second := b.callback(t, w.url+"/auth/login")
	for _, at := range []*url.URL{second, first} {
		if resp, body := b.get(t, at.String()); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("got %d: %s", resp.StatusCode, body)
		}
	}
	r := b.query(t, `{ viewer { sessions { totalCount } } }`)
	if r.at("viewer", "sessions", "totalCount") != 1.0 {
		t.Errorf("the browser's first session did not end: %+v", r)
	}
	db := openDatabase(t, w.database)
	if grants := column(t, db, "SELECT id FROM grants"); len(grants) != 1 {
		t.Errorf("two sign-ins left %d grants", len(grants))
	}
}
