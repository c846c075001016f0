package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// sendLogout posts the logout token as the provider's server does.
func (w *world) sendLogout(t *testing.T, token string) (status int, body string) {
	t.Helper()
	resp, body := w.browser(t).post(t, w.url+"/auth/backchannel-logout", "application/x-www-form-urlencoded",
		url.Values{"logout_token": {token}}.Encode())
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control: %q", resp.Header.Get("Cache-Control"))
	}
	return resp.StatusCode, body
}

// at is the world as it is seen from another replica.
func (w *world) at(g *gateway) *world {
	other := *w
	other.gateway = g
	return &other
}

// member is a browser that has signed in, seen from every replica.
type member struct {
	id, sid string // of its session here, and of the provider's
	seen    []*browser
}

// join signs the user in at the first of the replicas.
func join(t *testing.T, user string, replicas ...*world) member {
	t.Helper()
	w := replicas[0]
	w.strict.SetUser(user)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	m := member{id: fmt.Sprint(b.query(t, `{ session { id } }`).at("session", "id"))}
	sids := column(t, openDatabase(t, w.database), "SELECT provider_session_id FROM sessions WHERE id = '"+m.id+"'")
	if len(sids) != 1 || sids[0] == "" {
		t.Fatalf("the provider's session is not known: %q", sids)
	}
	m.sid = sids[0]
	for _, replica := range replicas {
		app := replica.browser(t)
		app.bearer(b.session())
		m.seen = append(m.seen, app)
	}
	return m
}

// check wants the session to be live, or not, on every replica.
func (m member) check(t *testing.T, who string, live bool) {
	t.Helper()
	for i, b := range m.seen {
		if got := b.query(t, `{ viewer { id } }`).at("viewer") != nil; got != live {
			t.Errorf("%s on replica %d: live %v, want %v", who, i+1, got, live)
		}
	}
}

func TestTheProviderSignsUsersOut(t *testing.T) {
	t.Parallel()
	one := found(t, postgres(t), strict, map[string]string{"RATE_LIMIT": "100"})
	two := one.at(serving(t, one.replica(t, nil)))
	alice1, alice2, alice3 := join(t, "alice", one, two), join(t, "alice", two, one), join(t, "alice", one, two)
	bob := join(t, "bob", one, two)
	for _, m := range []member{alice1, alice2, alice3, bob} {
		m.check(t, "before", true)
	}

	bySession := one.strict.LogoutToken(t, map[string]any{"sid": alice1.sid})
	if status, body := two.sendLogout(t, bySession); status != http.StatusOK {
		t.Fatalf("by session: got %d %s", status, body)
	}
	alice1.check(t, "Alice's first, by session", false)
	alice2.check(t, "Alice's second, by session", true)
	if status, body := one.sendLogout(t, bySession); status != http.StatusBadRequest || !strings.Contains(body, "used before") {
		t.Errorf("replayed on the other replica: got %d %s", status, body)
	}

	for name, claims := range map[string]map[string]any{
		"without an event":   {"sub": "alice", "events": nil},
		"for another client": {"sub": "alice", "aud": "another"},
		"Bob with Alice's":   {"sub": "bob", "sid": alice2.sid},
	} {
		want := http.StatusBadRequest
		if name == "Bob with Alice's" {
			want = http.StatusOK // it names nobody's session
		}
		if status, body := one.sendLogout(t, one.strict.LogoutToken(t, claims)); status != want {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
	alice2.check(t, "Alice's second, after tokens that name no session of hers", true)

	one.strict.RotateKey()
	if status, body := one.sendLogout(t, one.strict.LogoutToken(t, map[string]any{"sub": "alice"})); status != http.StatusOK {
		t.Fatalf("by subject, with a new key: got %d %s", status, body)
	}
	alice2.check(t, "Alice's second, by subject", false)
	alice3.check(t, "Alice's third, by subject", false)
	bob.check(t, "Bob's", true)
	reasons := column(t, openDatabase(t, one.database), "SELECT reason FROM audit_events WHERE kind = 'session_ended'")
	if len(reasons) != 3 || reasons[0] != "provider_logout" {
		t.Errorf("audit log: %q", reasons)
	}
	for _, w := range []*world{one, two} {
		if strings.Contains(w.log.String(), bySession) {
			t.Error("the log holds a logout token")
		}
	}
}

// A provider that signs everybody out sends everything from one address, and
// some of it twice.
func TestManyLogoutsAtOnceAreAllCarriedOut(t *testing.T) {
	t.Parallel()
	one := found(t, postgres(t), strict, map[string]string{"RATE_LIMIT": "60"})
	two := one.at(serving(t, one.replica(t, nil)))
	bob := join(t, "bob", one, two)
	alice := join(t, "alice", one, two)
	same := one.strict.LogoutToken(t, map[string]any{"sub": "alice"})

	const senders = 100
	statuses := make([]int, senders)
	var all sync.WaitGroup
	for i := range senders {
		token := same
		if i >= 20 {
			token = one.strict.LogoutToken(t, map[string]any{"sub": fmt.Sprintf("user-%d", i)})
		}
		w := []*world{one, two}[i%2]
		all.Go(func() { statuses[i], _ = w.sendLogout(t, token) })
	}
	all.Wait()
	carried := 0
	for i, status := range statuses {
		switch {
		case i < 20 && status == http.StatusOK:
			carried++
		case i < 20 && status != http.StatusBadRequest, i >= 20 && status != http.StatusOK:
			t.Errorf("logout %d: got %d", i, status)
		}
	}
	if carried != 1 {
		t.Errorf("the same token was carried out %d times", carried)
	}
	alice.check(t, "Alice's", false)
	bob.check(t, "Bob's", true)
}

func TestLogoutTokensThatCannotBeVerifiedNowMayComeAgain(t *testing.T) {
	t.Parallel()
	w := settle(t, postgres(t), strict, nil)
	w.env = append(w.env, "ROLLUP_ISSUER=http://"+freeAddress(t)) // where nobody listens yet
	w.run(t)
	w.await(t, w.admin+"/healthz", http.StatusOK)
	status, body := w.sendLogout(t, w.strict.LogoutToken(t, map[string]any{"sub": "alice"}))
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "temporarily_unavailable") {
		t.Errorf("got %d %s", status, body)
	}
	if resp, _ := w.browser(t).get(t, w.url+"/auth/backchannel-logout"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("by GET: got %d", resp.StatusCode)
	}
}
