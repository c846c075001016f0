package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
)

// signInAs signs the person in, who comes with a browser of their own to Rollup.
func (b *browser) signInAs(t *testing.T, person string) {
	t.Helper()
	resp, body := b.get(t, b.w.url+"/auth/login")
	visitor := &devrollup.Visitor{Person: person}
	back, err := visitor.Visit(t.Context(), resp.Header.Get("Location"))
	if err != nil {
		t.Fatalf("visit: %v: %s", err, body)
	}
	if resp, body = b.get(t, back.String()); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the callback answers %d: %s", resp.StatusCode, body)
	}
}

// wantMerged wants the browser to have a session of Alice's that shows her to be
// asked to sign in again, and nothing of Bob's.
func wantMerged(t *testing.T, b *browser, fields ...string) {
	t.Helper()
	b.seen.Reset()
	for _, field := range fields {
		r := b.query(t, `{ viewer { id `+field+` } }`)
		name, _, _ := strings.Cut(field, " ")
		code, extensions := r.code(name)
		if code != "REAUTHENTICATION_REQUIRED" || extensions["reason"] != "subject_mismatch" || extensions["loginUrl"] == nil {
			t.Errorf("%s: got %+v", name, r)
		}
		if r.at("viewer", "id") != devrollup.AliceURN {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	r := b.query(t, `{ viewer { authorization { status statusReason } } }`).at("viewer", "authorization")
	if got := fmt.Sprint(r); got != "map[status:REAUTHENTICATION_REQUIRED statusReason:subject_mismatch]" {
		t.Errorf("authorization: got %s", got)
	}
	if strings.Contains(b.seen.String(), "Bob") || strings.Contains(b.seen.String(), devrollup.BobURN) {
		t.Errorf("Alice's session shows something of Bob's: %s", &b.seen)
	}
}

func TestMergedIdentities(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	one, two, bobs := w.browser(t), w.browser(t), w.browser(t)
	one.signInAs(t, "alice")
	two.signInAs(t, "alice")
	bobs.signInAs(t, "bob")
	old := one.session()
	if r := one.query(t, `{ viewer { name } }`); r.at("viewer", "name") != "Alice Example" {
		t.Fatalf("before: got %+v", r)
	}
	if err := w.rollup.Merge(devrollup.Merging{Older: "alice", Into: "bob"}); err != nil {
		t.Fatal(err)
	}

	// Userinfo speaks of Bob; from then on Galaxy is not asked with this token
	// either.
	wantMerged(t, one, "name")
	asked := w.rollup.Counters()["galaxy"]
	wantMerged(t, two, "name", "email", "authorizedApps { title }", "appData")
	if n := w.rollup.Counters()["galaxy"]; n != asked {
		t.Errorf("Galaxy was asked %d times with the token of a merged identity", n-asked)
	}
	r := one.query(t, `{ viewer { authorization { activity(first: 1) { nodes { kind reason } } } } }`)
	if entry := fmt.Sprint(r.at("viewer", "authorization", "activity", "nodes", 0)); entry != "map[kind:REFRESH_FAILED reason:subject_mismatch]" {
		t.Errorf("activity: got %s", entry)
	}

	// Signed in again, the user is the other one, who had a grant already.
	one.signInAs(t, "alice")
	r = one.query(t, `{ viewer { id name sessions { totalCount } authorization { status } } }`)
	if r.at("viewer", "id") != devrollup.BobURN || r.at("viewer", "name") != "Bob Example" || r.at("viewer", "sessions", "totalCount") != 2.0 {
		t.Errorf("signed in again: got %+v", r)
	}
	if r = bobs.query(t, `{ viewer { name } }`); r.at("viewer", "name") != "Bob Example" {
		t.Errorf("Bob's own session: got %+v", r)
	}
	wantMerged(t, two, "name")
	stale := w.browser(t)
	stale.bearer(old)
	if r := stale.query(t, `{ viewer { id } }`); r.at("viewer") != nil {
		t.Error("the browser's session as Alice lives on")
	}
	db := openDatabase(t, w.database)
	statuses := column(t, db, "SELECT status FROM grants")
	slices.Sort(statuses)
	if !slices.Equal(statuses, []string{"active", "reauthentication_required"}) {
		t.Errorf("grants: %q", statuses)
	}
}

// A refresh tells of the merge too, where userinfo is not asked.
func TestMergedIdentitiesAreSeenInTheRefreshedToken(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	w.setLife(time.Second)
	b.signInAs(t, "alice")
	signedIn := time.Now()
	if err := w.rollup.Merge(devrollup.Merging{Older: "alice", Into: "bob"}); err != nil {
		t.Fatal(err)
	}
	w.setLife(time.Hour)
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })
	wantMerged(t, b, "authorizedApps { title }", "appData", "name")
	if n := w.refreshes(); n != 1 {
		t.Errorf("the refresh token was presented %d times", n)
	}
}

func TestAnotherUserInTheSameBrowser(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	shared, phone := w.browser(t), w.browser(t)
	shared.signInAs(t, "alice")
	phone.signInAs(t, "alice")
	alices := fmt.Sprint(shared.query(t, `{ session { id } }`).at("session", "id"))
	old := shared.session()
	shared.signInAs(t, "bob")

	shared.seen.Reset()
	r := shared.query(t, `{ viewer { id name email sessions { totalCount } authorization {
		activity { nodes { kind sessionId actorSessionId } } } } }`)
	if r.at("viewer", "id") != devrollup.BobURN || r.at("viewer", "name") != "Bob Example" || r.at("viewer", "sessions", "totalCount") != 1.0 {
		t.Errorf("got %+v", r)
	}
	if seen := shared.seen.String(); strings.Contains(seen, "lice") || strings.Contains(seen, alices) || strings.Contains(seen, devrollup.AliceURN) {
		t.Errorf("Bob sees something of Alice's: %s", seen)
	}
	stale := w.browser(t)
	stale.bearer(old)
	if r := stale.query(t, `{ viewer { id } }`); r.at("viewer") != nil {
		t.Error("Alice's session in that browser lives on")
	}
	if r := phone.query(t, `{ viewer { name sessions { totalCount } } }`); r.at("viewer", "name") != "Alice Example" || r.at("viewer", "sessions", "totalCount") != 1.0 {
		t.Errorf("Alice's phone: got %+v", r)
	}
}
