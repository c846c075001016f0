package e2e_test

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
)

const revokeDocument = `mutation { revokeAuthorization { revokedSessions revokedUpstream } }`

// eachAway runs the test before both providers, one on each database.
func eachAway(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for name, w := range map[string]func(*testing.T) *world{
		"rollup on sqlite":   func(t *testing.T) *world { return found(t, sqlite(t), rollup, nil) },
		"rollup on postgres": func(t *testing.T) *world { return found(t, postgres(t), rollup, nil) },
		"strict on postgres": func(t *testing.T) *world { return found(t, postgres(t), strict, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w(t))
		})
	}
}

func TestAConsentGivenBackWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	eachAway(t, func(t *testing.T, w *world) {
		b := w.browser(t)
		b.signIn(t, w.url+"/auth/login")
		w.setAway(true)
		b.givesBack(t)
		w.remembers(t)
		w.setAway(false)
		w.takesBack(t, 20*time.Second)
	})
}

// At Rollup a consent is withdrawn by an access token, which may have expired
// when the provider is back.
func TestAConsentIsTakenBackAfterItsAccessTokenHasExpired(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	b := w.browser(t)
	w.setLife(time.Second)
	b.signIn(t, w.url+"/auth/login")
	signedIn := time.Now()
	w.setAway(true)
	b.givesBack(t)
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })
	asked := w.galaxy.Counters()["galaxy"]
	w.rollup.Set(func(s *devrollup.Switches) {
		s.AccessTokenLife, s.RotateRefreshTokens = 0, true
		delete(s.Faults, devrollup.Token)
	})
	eventually(t, 20*time.Second, func() bool { return w.galaxy.Counters()["galaxy"] > asked }, func() string { return "not refreshed" })
	w.remembers(t)
	refreshed := w.refreshes()
	w.setAway(false)
	w.settled(t, 30*time.Second)
	if n := w.refreshes(); n != refreshed {
		t.Errorf("refreshed %d times more: what came first was not kept", n-refreshed)
	}
	w.takesBack(t, time.Second)
}

func TestAKilledGatewayForgetsNoRevocation(t *testing.T) {
	t.Parallel()
	eachAway(t, func(t *testing.T, w *world) {
		b := w.browser(t)
		b.signIn(t, w.url+"/auth/login")
		w.setAway(true)
		b.givesBack(t)
		w.kill(t)
		w.remembers(t)
		w.setAway(false)
		w.run(t)
		w.await(t, w.admin+"/readyz", http.StatusOK)
		w.takesBack(t, 40*time.Second)
	})
}

// The claim of a gateway that was killed in the middle of the call runs out.
func TestAGatewayKilledWhileItRevokesForgetsNothing(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	before := w.galaxy.Counters()["galaxy"]
	w.rollup.Set(func(s *devrollup.Switches) {
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.GalaxyAPI: {Hang: true}}
	})
	left := make(chan struct{})
	go func() {
		defer close(left)
		resp, err := b.client.Post(w.url+"/graphql", "application/json", strings.NewReader(`{"query":"`+revokeDocument+`"}`))
		if err == nil {
			resp.Body.Close()
			t.Errorf("got an answer, %d, from a gateway that was killed", resp.StatusCode)
		}
	}()
	eventually(t, 20*time.Second, func() bool { return w.galaxy.Counters()["galaxy"] > before }, func() string { return "Galaxy is not asked" })
	w.kill(t)
	<-left
	w.remembers(t)
	w.setAway(false)
	w.run(t)
	w.await(t, w.admin+"/readyz", http.StatusOK)
	w.takesBack(t, 60*time.Second)
}

func TestAConsentIsGivenBackInBoundedTime(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	w.setLife(time.Second)
	b.signIn(t, w.url+"/auth/login")
	signedIn := time.Now()
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })
	w.rollup.Set(func(s *devrollup.Switches) {
		hang := devrollup.Fault{Hang: true}
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: hang, devrollup.GalaxyAPI: hang}
	})
	began := time.Now()
	b.givesBack(t)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
	w.remembers(t)
}

// A user who comes back before the provider does keeps what they give now.
func TestANewConsentOutlivesTheRevocationOfTheOldOne(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	galaxyAway := func(s *devrollup.Switches) {
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.GalaxyAPI: {Status: http.StatusServiceUnavailable}}
	}
	w.rollup.Set(galaxyAway)
	b.givesBack(t)
	b.signIn(t, w.url+"/auth/login")
	w.setAway(false)
	w.settled(t, 30*time.Second)
	if r := b.query(t, `{ viewer { name profile { displayName } } }`); len(r.Errors) != 0 {
		t.Errorf("the new consent was withdrawn: %+v", r.Errors)
	}
}

// givesBack gives the consent back, before a provider that is away, and wants
// the user to be signed out at once.
func (b *browser) givesBack(t *testing.T) {
	t.Helper()
	r := b.query(t, revokeDocument)
	if r.at("revokeAuthorization", "revokedSessions") != 1.0 || r.at("revokeAuthorization", "revokedUpstream") != false {
		t.Fatalf("revokeAuthorization: %+v", r)
	}
	if r := b.query(t, `{ viewer { id } }`); r.at("viewer") != nil || b.session() != "" {
		t.Error("the user is not signed out")
	}
}

// remembers wants the grant to be gone, and what is still to be revoked to be
// known to nobody who reads the database.
func (w *world) remembers(t *testing.T) {
	t.Helper()
	db := openDatabase(t, w.database)
	if grants := column(t, db, "SELECT id FROM grants"); len(grants) != 0 {
		t.Errorf("%d grants are left", len(grants))
	}
	if pending := column(t, db, "SELECT id FROM revocations"); len(pending) != 1 {
		t.Fatalf("%d revocations are pending, want 1", len(pending))
	}
	all := dump(t, w.database)
	for _, value := range w.issued() {
		if strings.Contains(all, value) || strings.Contains(all, hex.EncodeToString([]byte(value))) {
			t.Error("a code or token is in the database in clear")
		}
	}
}

func (w *world) settled(t *testing.T, limit time.Duration) {
	t.Helper()
	db := openDatabase(t, w.database)
	eventually(t, limit, func() bool {
		return len(column(t, db, "SELECT id FROM revocations")) == 0
	}, func() string { return "revocations are still pending\n" + tail(w.log.String(), 3000) })
}

// takesBack wants the provider to refuse all that it ever issued, within the
// limit.
func (w *world) takesBack(t *testing.T, limit time.Duration) {
	t.Helper()
	w.settled(t, limit)
	refused := 0
	for _, value := range w.issued() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.settings["ROLLUP_ISSUER"]+"/userinfo", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("userinfo answers %d to a token that was taken back", resp.StatusCode)
		}
		if status := w.present(t, value); status < 400 || status >= 500 {
			t.Errorf("the token endpoint answers %d to a token that was taken back", status)
		}
		refused++
	}
	if refused < 3 { // a code and two tokens
		t.Errorf("only %d were ever issued", refused)
	}
	db := openDatabase(t, w.database)
	if n := len(column(t, db, "SELECT id FROM audit_events WHERE kind = 'revocation_confirmed'")); n != 1 {
		t.Errorf("recorded %d times as confirmed", n)
	}
}

// kill ends the process as a crash does.
func (w *world) kill(t *testing.T) {
	t.Helper()
	cmd := w.cmd
	w.cmd = nil
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
}

// present posts a refresh token to a token endpoint.
func present(t *testing.T, endpoint string, form url.Values, basic bool) int {
	t.Helper()
	form.Set("grant_type", "refresh_token")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth("galaxygate", clientSecret)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
