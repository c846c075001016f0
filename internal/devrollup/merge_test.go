package devrollup

import (
	"net/http"
	"testing"
)

// subjectOf is the "sub" in a token of Passport's.
func (r *rollup) subjectOf(t *testing.T, token string) string {
	t.Helper()
	claims, _ := r.claimsOf(t, token)
	subject, _ := claims["sub"].(string)
	return subject
}

func TestAMergedIdentityForwards(t *testing.T) {
	t.Parallel()
	r := start(t)
	visitor := &Visitor{Person: "alice"}
	before := r.signIn(t, visitor, "openid profile email connected_accounts")
	if got := r.control(t, http.MethodPost, "/dev/merge", `{"older":"alice","into":"bob"}`); got.status != http.StatusNoContent {
		t.Fatalf("merge: got %d", got.status)
	}
	info := r.userinfo(t, before.str("access_token"))
	if info.body["sub"] != BobURN || info.body["name"] != "Bob Example" {
		t.Errorf("userinfo with the older token: got %d %v", info.status, info.body)
	}
	refreshed := r.refreshWith(t, before.str("refresh_token"))
	if got := r.subjectOf(t, refreshed.str("access_token")); got != BobURN {
		t.Errorf("refreshed access token: got %s", got)
	}
	again := r.signIn(t, visitor, "openid profile") // the same browser, signed in at Passport as Alice
	if got := r.subjectOf(t, again.str("id_token")); got != BobURN {
		t.Errorf("ID token: got %s", got)
	}
	anew := r.signIn(t, &Visitor{Person: "alice"}, "openid profile")
	if got := r.subjectOf(t, anew.str("id_token")); got != BobURN {
		t.Errorf("ID token of another browser: got %s", got)
	}
	for _, body := range []string{`{"older":"alice","into":"bob"}`, `{"older":"carol","into":"bob"}`, `{"older":"bob"}`} {
		if got := r.control(t, http.MethodPost, "/dev/merge", body); got.status != http.StatusNotFound {
			t.Errorf("merge %s: got %d", body, got.status)
		}
	}
}
