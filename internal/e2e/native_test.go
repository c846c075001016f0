package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAnAppGetsASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := found(t, database(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
			d := w.device(t)
			d.signIn(t, w.url+"/auth/login")
			own := d.session()

			code := d.code(t)
			r, err := d.exchange(w.gateway, d.form(code, nil))
			if err != nil || r.status != http.StatusOK || r.Type != "Bearer" || r.Life < 600000 || r.Life > 604800 ||
				r.Scope != "openid profile email connected_accounts" {
				t.Fatalf("got %d, %q, %d s, %q: %v", r.status, r.Type, r.Life, r.Scope, err)
			}
			kind := func(token string) any {
				return answerOf(t, w.gateway, token, `{ session { kind } }`).at("session", "kind")
			}
			if got := kind(r.Token); got != "NATIVE" {
				t.Errorf("the app's session is %v", got)
			}
			if d.session() != own || kind(own) != "BROWSER" {
				t.Error("the browser's session is another, or none")
			}

			resp, body := d.post(t, w.url+"/auth/revoke", "application/x-www-form-urlencoded", "token="+r.Token)
			if resp.StatusCode != http.StatusOK || body != "" {
				t.Errorf("revocation answers %d: %s", resp.StatusCode, body)
			}
			if got := kind(r.Token); got != nil {
				t.Errorf("after revocation the session is %v", got)
			}
			for _, secret := range []string{code, r.Token, canary} {
				if log := w.log.String(); strings.Contains(log, secret) {
					t.Errorf("a secret is in the log: %s", around(log, secret))
				}
			}
		})
	}
}
