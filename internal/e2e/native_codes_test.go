package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"
)

// TestAnAppsCode attacks authorization codes at two replicas. Nothing that was secret
// is in their logs or in the database afterwards.
func TestAnAppsCode(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, map[string]string{
		"ALLOWED_REDIRECTS": "http://127.0.0.1/callback,com.example.app:/callback", "NATIVE_CLIENT_IDS": "native,other",
	})
	c := &codes{world: w, two: serving(t, w.replica(t, nil)), alice: w.browser(t)}
	c.alice.signIn(t, w.url+"/auth/login")

	t.Run("is good for 60 seconds", c.lasts)
	t.Run("comes again", c.comesAgain)
	t.Run("comes often at once", c.comesAtOnce)
	t.Run("comes with what is not its own", c.comesWrongly)
	t.Run("is void when its session has ended", c.isVoid)
	t.Run("is no bearer token, and a token is no code", c.isNoToken)
	t.Run("of Alice's is of no use to Bob", c.isMixedUp)

	metrics := c.await(t, c.admin+"/metrics", http.StatusOK) + c.await(t, c.two.admin+"/metrics", http.StatusOK)
	c.stop(t)
	c.two.stop(t)
	places := map[string]string{"log": c.log.String() + c.two.log.String(), "metrics": metrics, "database": dump(t, c.database)}
	for place, text := range places {
		for _, secret := range append(c.secrets(), canary) {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in the %s: %s", place, around(text, secret))
			}
		}
	}
	if n := len(c.secrets()); n < 30 || len(places["log"]) < 10_000 || len(places["database"]) < 2000 {
		t.Errorf("looked for %d secrets in little", n)
	}
}

// codes are those of Alice's devices at two replicas.
type codes struct {
	*world
	two     *gateway
	alice   *browser // signed in
	devices []*device
}

// device is another one of hers.
func (c *codes) device(t *testing.T) *device {
	t.Helper()
	d := c.world.device(t)
	c.devices = append(c.devices, d)
	return d
}

func (c *codes) secrets() (all []string) {
	for _, d := range c.devices {
		all = append(all, d.secrets...)
	}
	return all
}

// noneLeft wants no app to have a session of Alice's.
func (c *codes) noneLeft(t *testing.T) {
	t.Helper()
	for _, g := range []*gateway{c.gateway, c.two} {
		if left := nativeSessions(t, g, c.alice.session()); len(left) > 0 {
			t.Errorf("%d sessions of apps are left", len(left))
		}
	}
}

func (c *codes) lasts(t *testing.T) {
	d, db := c.device(t), openDatabase(t, c.database)
	const unspent = " WHERE id IN (SELECT session_id FROM authorization_codes WHERE spent_at IS NULL)"
	code := d.code(t)
	lives := column(t, db, "SELECT expires_at > clock_timestamp() AND expires_at <= clock_timestamp() + interval '60 s' FROM sessions"+unspent)
	if fmt.Sprint(lives) != "[true]" {
		t.Errorf("the code lives for 60 s at most: %v", lives)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE sessions SET expires_at = clock_timestamp() - interval '1 ms'"+unspent); err != nil {
		t.Fatal(err)
	}
	d.refused(t, c.gateway, d.form(code, nil), "invalid_grant")
	d.refused(t, c.two, d.form(code, nil), "invalid_grant")
	c.noneLeft(t)
}

func (c *codes) comesAgain(t *testing.T) {
	one, two := c.gateway, c.two
	for _, at := range [][]*gateway{{one, one}, {one, two}, {two, one}, {two, two, one}} {
		d := c.device(t)
		code := d.code(t)
		session := d.redeem(t, at[0], code)
		wantLive(t, session, true, one, two)
		for _, again := range at[1:] {
			d.refused(t, again, d.form(code, nil), "invalid_grant")
			wantLive(t, session, false, one, two)
		}
		c.noneLeft(t)
	}
	why := column(t, openDatabase(t, c.database), "SELECT DISTINCT reason FROM audit_events WHERE kind = 'session_ended'")
	if fmt.Sprint(why) != "[code_replayed]" {
		t.Errorf("audit log: %v", why)
	}
}

func (c *codes) comesAtOnce(t *testing.T) {
	for range 3 {
		d := c.device(t)
		code := d.code(t)
		const times = 50
		replies, failures := make([]reply, times), make([]error, times)
		var all sync.WaitGroup
		for i := range times {
			all.Go(func() { replies[i], failures[i] = d.exchange([]*gateway{c.gateway, c.two}[i%2], d.form(code, nil)) })
		}
		all.Wait()
		good := 0
		for i, r := range replies {
			switch {
			case r.status == http.StatusOK && r.Token != "":
				good++
				wantLive(t, r.Token, false, c.gateway, c.two)
			case failures[i] != nil || r.status != http.StatusBadRequest || r.Error != "invalid_grant":
				t.Errorf("got %d, %q, %v", r.status, r.Error, failures[i])
			}
		}
		if good > 1 {
			t.Errorf("the code was good %d times", good)
		}
		c.noneLeft(t)
	}
}

// comesWrongly spends a code by a use that is wrong: the right one comes too late.
func (c *codes) comesWrongly(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changed url.Values
		want    string
	}{
		{"another verifier", url.Values{"code_verifier": {oauth2.GenerateVerifier()}}, "invalid_grant"},
		{"the challenge as verifier", nil, "invalid_grant"}, // which is the device's own
		{"no verifier", url.Values{"code_verifier": nil}, "invalid_request"},
		{"an empty verifier", url.Values{"code_verifier": {""}}, "invalid_request"},
		{"a short verifier", url.Values{"code_verifier": {"short"}}, "invalid_grant"},
		{"another client", url.Values{"client_id": {"other"}}, "invalid_grant"},
		{"an unknown client", url.Values{"client_id": {"evil"}}, "invalid_client"},
		{"another port", url.Values{"redirect_uri": {"http://127.0.0.1:49153/callback"}}, "invalid_grant"},
		{"another redirect", url.Values{"redirect_uri": {"com.example.app:/callback"}}, "invalid_grant"},
		{"no redirect", url.Values{"redirect_uri": nil}, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := c.device(t)
			code := d.code(t)
			if tt.name == "the challenge as verifier" {
				tt.changed = url.Values{"code_verifier": {oauth2.S256ChallengeFromVerifier(d.verifier)}}
			}
			r, err := d.exchange(c.gateway, d.form(code, tt.changed))
			status := map[bool]int{true: http.StatusUnauthorized, false: http.StatusBadRequest}[tt.want == "invalid_client"]
			if err != nil || r.status != status || r.Token != "" || r.Error != tt.want {
				t.Errorf("got %d, %q, %v; want %s", r.status, r.Error, err, tt.want)
			}
			c.noneLeft(t)
			d.refused(t, c.two, d.form(code, nil), "invalid_grant")
		})
	}
}

func (c *codes) isVoid(t *testing.T) {
	for _, mutation := range []string{
		`mutation { revokeOtherSessions { revokedCount } }`,
		`mutation { revokeSession(input: {sessionId: %q}) { session { id } } }`,
		`mutation { revokeAuthorization { revokedSessions } }`,
	} {
		d := c.device(t)
		code := d.code(t)
		if strings.Contains(mutation, "%q") {
			sessions := nativeSessions(t, c.gateway, c.alice.session())
			if len(sessions) != 1 {
				t.Fatalf("%d sessions of apps", len(sessions))
			}
			mutation = fmt.Sprintf(mutation, sessions[0])
		}
		if r := answerOf(t, c.two, c.alice.session(), mutation); len(r.Errors) > 0 {
			t.Fatalf("%s: %+v", mutation, r.Errors)
		}
		d.refused(t, c.gateway, d.form(code, nil), "invalid_grant")
		d.refused(t, c.two, d.form(code, nil), "invalid_grant")
	}
	c.alice.signIn(t, c.url+"/auth/login") // the last one ended her own, too
	c.noneLeft(t)
}

func (c *codes) isNoToken(t *testing.T) {
	d := c.device(t)
	code := d.code(t)
	wantLive(t, code, false, c.gateway, c.two)
	session := d.redeem(t, c.gateway, code)
	wantLive(t, code, false, c.gateway, c.two)
	for _, no := range []string{session, c.alice.session(), c.issued()[0], "", canary, strings.Repeat("A", 43)} {
		r, err := d.exchange(c.two, d.form(no, nil))
		if err != nil || r.status != http.StatusBadRequest || r.Token != "" {
			t.Errorf("got %d, %q, %v", r.status, r.Error, err)
		}
	}
	wantLive(t, session, true, c.gateway, c.two)
	wantLive(t, c.alice.session(), true, c.gateway, c.two)
	if resp, err := http.PostForm(c.two.url+"/auth/revoke", url.Values{"token": {session}, "client_id": {"native"}}); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("revocation: %v, %v", resp, err)
	}
	wantLive(t, session, false, c.gateway, c.two)
	c.noneLeft(t)
}

// isMixedUp brings what is Alice's to Bob's browser and app (RFC 9700, sections 4.5
// and 4.7).
func (c *codes) isMixedUp(t *testing.T) {
	alice, bob := c.device(t), c.device(t)
	callback := alice.callback(t, c.url+"/auth/authorize?"+alice.request(nil).Encode())
	if resp, body := bob.get(t, callback.String()); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
		t.Errorf("Alice's callback in Bob's browser: %d %s", resp.StatusCode, body)
	}
	bobs := bob.callback(t, c.url+"/auth/authorize?"+bob.request(nil).Encode())
	query := bobs.Query()
	query.Set("code", callback.Query().Get("code"))
	bobs.RawQuery = query.Encode()
	if got := bob.returns(t, bobs); got.Get("error") == "" || got.Has("code") {
		t.Errorf("Alice's code of the provider with Bob's state: %v", got)
	}
	code := alice.code(t)
	bob.refused(t, c.gateway, bob.form(code, nil), "invalid_grant")
	alice.refused(t, c.gateway, alice.form(code, nil), "invalid_grant")
	c.noneLeft(t)
}

// TestTheProviderVoidsAnAppsCode signs the user out at the provider before the app
// has used its code.
func TestTheProviderVoidsAnAppsCode(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), strict, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	d := w.device(t)
	code := d.code(t)
	if status, body := w.sendLogout(t, w.strict.LogoutToken(t, map[string]any{"sub": "alice"})); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	d.refused(t, w.gateway, d.form(code, nil), "invalid_grant")
	session := d.redeem(t, w.gateway, d.code(t))
	if status, body := w.sendLogout(t, w.strict.LogoutToken(t, map[string]any{"sub": "alice"})); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	wantLive(t, session, false, w.gateway)
}

// TestAKilledGatewayNeverMakesTwoSessionsOfACode kills one of two replicas between an
// app's callback and its exchange, and in the middle of many.
func TestAKilledGatewayNeverMakesTwoSessionsOfACode(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	two := w.replica(t, nil)
	serving(t, two)
	alice := w.browser(t)
	alice.signIn(t, w.url+"/auth/login")

	d := w.device(t)
	code := d.code(t)
	w.kill(t)
	session := d.redeem(t, two, code)
	serving(t, w.gateway)
	wantLive(t, session, true, w.gateway, two)
	d.refused(t, w.gateway, d.form(code, nil), "invalid_grant")
	wantLive(t, session, false, w.gateway, two)

	for range 2 {
		d = w.device(t)
		code = d.code(t)
		sessions := amid(t, d, code, w, two)
		if len(sessions) > 1 {
			t.Errorf("one code was good for %d sessions", len(sessions))
		}
		serving(t, w.gateway)
		if left := nativeSessions(t, two, alice.session()); len(left) > 1 {
			t.Errorf("%d sessions of one code are live", len(left))
		}
		d.refused(t, w.gateway, d.form(code, nil), "invalid_grant")
		for _, session := range sessions {
			wantLive(t, session, false, w.gateway, two)
		}
		if left := nativeSessions(t, two, alice.session()); len(left) > 0 {
			t.Errorf("%d sessions of a code that came again are live", len(left))
		}
	}
}

// amid kills the world's gateway when the first of many exchanges has been answered,
// and returns the sessions that were given out.
func amid(t *testing.T, d *device, code string, w *world, two *gateway) (sessions []string) {
	t.Helper()
	const times = 20
	one, answered := w.url, make(chan reply, times)
	for i := range times {
		at := []string{one, two.url}[i%2]
		go func() {
			r, _ := d.exchange(&gateway{url: at}, d.form(code, nil)) // the dead answers nothing
			answered <- r
		}()
	}
	for i := range times {
		if r := <-answered; r.Token != "" {
			sessions = append(sessions, r.Token)
		}
		if i == 0 {
			w.kill(t)
		}
	}
	return sessions
}
