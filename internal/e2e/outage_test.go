package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
	"galaxygate/internal/pgtest"
)

func TestAProviderThatIsDownAtStartDelaysReadiness(t *testing.T) {
	t.Parallel()
	w := settle(t, sqlite(t), rollup, nil)
	w.rollup.Set(func(s *devrollup.Switches) {
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Discovery: {Status: 503}}
	})
	w.run(t)
	w.await(t, w.admin+"/healthz", http.StatusOK)
	if reason := w.await(t, w.admin+"/readyz", http.StatusServiceUnavailable); !strings.Contains(reason, "provider") {
		t.Errorf("readyz does not say why: %s", reason)
	}
	b := w.browser(t)
	if resp, body := b.get(t, w.url+"/auth/login"); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "href=") {
		t.Errorf("sign-in answers %d: %s", resp.StatusCode, body)
	}
	w.rollup.Set(func(s *devrollup.Switches) { s.Faults = nil })
	w.await(t, w.admin+"/readyz", http.StatusOK)
	b.signIn(t, w.url+"/auth/login")
}

func TestAProviderThatFailsLeavesTheGrant(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	w.setLife(time.Second)
	b.signIn(t, w.url+"/auth/login")
	w.rollup.Set(func(s *devrollup.Switches) {
		s.AccessTokenLife = 0
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: {Status: 429, RetryAfter: "2"}}
	})
	var code string
	var extensions map[string]any
	eventually(t, 10*time.Second, func() bool {
		code, extensions = b.query(t, `{ viewer { id name } }`).code("name")
		return code != ""
	}, func() string { return "no error" })
	if code != "UPSTREAM_RATE_LIMITED" || extensions["service"] != "passport" || extensions["retryAfter"] == nil {
		t.Errorf("got %s %v", code, extensions)
	}
	if r := b.query(t, `{ viewer { authorization { status } } }`); r.at("viewer", "authorization", "status") != "ACTIVE" {
		t.Errorf("got %+v", r)
	}
	w.rollup.Set(func(s *devrollup.Switches) { s.Faults = nil })
	eventually(t, 20*time.Second, func() bool {
		return b.query(t, `{ viewer { name } }`).at("viewer", "name") != nil
	}, func() string { return "it does not recover" })

	// Refused for good: the user must sign in again.
	if err := w.rollup.Expire(devrollup.Expiry{AccessTokens: true, RefreshTokens: true}); err != nil {
		t.Fatal(err)
	}
	code, extensions = b.query(t, `{ viewer { name } }`).code("name")
	if code != "REAUTHENTICATION_REQUIRED" || extensions["loginUrl"] != w.url+"/auth/login" {
		t.Errorf("got %s %v", code, extensions)
	}
	r := b.query(t, `{ viewer { authorization { status statusReason } } }`)
	if r.at("viewer", "authorization", "status") != "REAUTHENTICATION_REQUIRED" || r.at("viewer", "authorization", "statusReason") == nil {
		t.Errorf("got %+v", r)
	}
	b.signIn(t, w.url+"/auth/login")
	if r := b.query(t, `{ viewer { name } }`); len(r.Errors) != 0 {
		t.Errorf("after signing in again: %+v", r.Errors)
	}
}

func TestATokenThatGalaxyRefusesIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	if err := w.rollup.Expire(devrollup.Expiry{AccessTokens: true}); err != nil {
		t.Fatal(err)
	}
	before := w.galaxy.Counters()["galaxy"]
	r := b.query(t, `{ viewer { profile { displayName } } }`)
	if len(r.Errors) != 0 || w.refreshes() != 1 || w.galaxy.Counters()["galaxy"] != before+2 {
		t.Errorf("refreshed %d times, %d calls: %+v", w.refreshes(), w.galaxy.Counters()["galaxy"]-before, r)
	}
}

func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	w := found(t, server.URL, rollup, map[string]string{"AUTO_MIGRATE": "true"})
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	cookie := b.session()

	server.Stop()
	if reason := w.await(t, w.admin+"/readyz", http.StatusServiceUnavailable); !strings.Contains(reason, "database") {
		t.Errorf("readyz does not say why: %s", reason)
	}
	resp, body := b.post(t, w.url+"/graphql", "application/json", `{"query":"{ viewer { id } }"}`)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, `"errors"`) || b.session() != cookie {
		t.Errorf("got %d %s, cookie %q", resp.StatusCode, body, b.session())
	}
	if resp, body := b.get(t, w.url+"/auth/login"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("sign-in answers %d: %s", resp.StatusCode, body)
	}
	server.Start()
	w.await(t, w.admin+"/readyz", http.StatusOK)
	if r := b.query(t, `{ viewer { name } }`); len(r.Errors) != 0 || r.at("viewer", "name") == nil {
		t.Errorf("after it came back: %+v", r)
	}
}

func TestADatabaseThatIsReadOnlySpendsNoRefreshToken(t *testing.T) {
	t.Parallel()
	database := postgres(t)
	w := found(t, database, strict, nil)
	valid, expired := w.browser(t), w.browser(t)
	valid.signIn(t, w.url+"/auth/login")
	pgtest.SetReadOnly(t, database, true)
	if r := valid.query(t, `{ viewer { name } }`); len(r.Errors) != 0 {
		t.Errorf("a valid token: %+v", r.Errors)
	}
	if resp, body := valid.get(t, w.url+"/auth/login"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("sign-in answers %d: %s", resp.StatusCode, body)
	}
	pgtest.SetReadOnly(t, database, false)

	w.setLife(time.Second)
	signedIn := time.Now()
	eventually(t, 20*time.Second, func() bool {
		resp, _ := expired.get(t, expired.callback(t, w.url+"/auth/login").String())
		signedIn = time.Now()
		return resp.StatusCode == http.StatusSeeOther && expired.session() != ""
	}, func() string { return "the database is not writable again" })
	pgtest.SetReadOnly(t, database, true)
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })
	if code, extensions := expired.query(t, `{ viewer { name } }`).code("name"); code != "INTERNAL_SERVER_ERROR" || extensions["retryAfter"] != 1.0 {
		t.Errorf("an expired token: got code %q, %v", code, extensions)
	}
	if n := w.refreshes(); n != 0 {
		t.Errorf("the refresh token was presented %d times", n)
	}
	w.setLife(time.Hour)
	pgtest.SetReadOnly(t, database, false)
	eventually(t, 20*time.Second, func() bool {
		return expired.query(t, `{ viewer { name } }`).at("viewer", "name") != nil
	}, func() string { return "it does not recover" })
}

func TestAStopFinishesTheSignInUnderWay(t *testing.T) {
	t.Parallel()
	database := postgres(t)
	w := found(t, database, rollup, map[string]string{"SHUTDOWN_GRACE": "10ms"})
	b := w.browser(t)
	at := b.callback(t, w.url+"/auth/login")
	w.rollup.Set(func(s *devrollup.Switches) {
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: {Delay: devrollup.Duration(time.Second)}}
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		if resp, err := b.client.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("the browser was not cut off: %d", resp.StatusCode)
		}
	}()
	eventually(t, 10*time.Second, func() bool { return w.exchanges() == 1 }, func() string { return "no code was presented" })
	w.stop(t)
	<-left
	if n := len(column(t, openDatabase(t, database), "SELECT id FROM grants")); n != 1 {
		t.Errorf("the code is spent, and %d grants are stored", n)
	}
}

func TestAStopFinishesTheRefreshesUnderWay(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	w.rollup.Set(func(s *devrollup.Switches) {
		s.RotateRefreshTokens, s.AccessTokenLife = true, devrollup.Duration(time.Second)
	})
	b.signIn(t, w.url+"/auth/login")
	signedIn := time.Now()
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })
	w.rollup.Set(func(s *devrollup.Switches) {
		s.AccessTokenLife = 0
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: {Delay: devrollup.Duration(time.Second)}}
	})
	answer := make(chan string, 1)
	go func() { answer <- ask(t.Context(), b) }()
	eventually(t, 10*time.Second, func() bool { return w.refreshes() == 1 }, func() string { return "no refresh began" })
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if failure := <-answer; failure != "" {
		t.Errorf("the request under way: %s", failure)
	}
	w.stop(t)
	w.rollup.Set(func(s *devrollup.Switches) { s.Faults = nil })
	w.run(t)
	w.await(t, w.admin+"/readyz", http.StatusOK)
	if r := b.query(t, `{ viewer { name } }`); len(r.Errors) != 0 || w.refreshes() != 1 {
		t.Errorf("after the restart: refreshed %d times, %+v", w.refreshes(), r.Errors)
	}
	if err := w.rollup.Expire(devrollup.Expiry{AccessTokens: true}); err != nil {
		t.Fatal(err)
	}
	if r := b.query(t, `{ viewer { name } }`); len(r.Errors) != 0 {
		t.Errorf("the successor was not stored: %+v", fmt.Sprint(r.Errors))
	}
}
