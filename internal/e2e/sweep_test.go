package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/strictop"
)

// TestAGrantThatNobodyUsesIsKeptAlive has two replicas that nobody asks for
// anything, and a provider whose refresh tokens really end.
func TestAGrantThatNobodyUsesIsKeptAlive(t *testing.T) {
	t.Parallel()
	const refreshLife = 16 * time.Second
	settings := map[string]string{"SWEEP_INTERVAL": "200ms", "SWEEP_RATE": "600"}
	w := found(t, postgres(t), func(t *testing.T, redirect string) *provider {
		t.Helper()
		return strictOf(t, redirect, strictop.Options{AccessLife: time.Hour, RefreshLife: refreshLife})
	}, settings)
	replica := serving(t, w.replica(t, nil))
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	ends := time.Now().Add(refreshLife)
	w.setRefreshLife(time.Hour)

	eventually(t, refreshLife, func() bool { return w.refreshes() > 0 }, func() string { return "no refresh" })
	if left := time.Until(ends); left > refreshLife/2 {
		t.Errorf("refreshed %v before its end", left)
	}
	// Past the first token's end it is seen that it was refreshed once, and in time.
	eventually(t, 2*refreshLife, func() bool { return time.Now().After(ends) }, func() string { return "time stands still" })
	db := openDatabase(t, w.database)
	if n := len(column(t, db, "SELECT id FROM audit_events WHERE kind = 'refreshed'")); n != 1 || w.refreshes() != 1 {
		t.Errorf("presented %d times, stored %d times", w.refreshes(), n)
	}
	swept := strings.Count(w.log.String()+replica.log.String(), `"outcome":"kept"`)
	if swept != 1 {
		t.Errorf("kept alive %d times", swept)
	}
	if r := b.query(t, `{ viewer { name authorization { status } } }`); len(r.Errors) != 0 || r.at("viewer", "authorization", "status") != "ACTIVE" {
		t.Errorf("afterwards: %+v", r)
	}
}

func TestASessionThatExpiresIsRecordedAndDeleted(t *testing.T) {
	t.Parallel()
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := found(t, database(t), rollup, map[string]string{
				"SWEEP_INTERVAL": "50ms", "SESSION_IDLE_TIMEOUT": "3s", "SESSION_RETENTION": "1s",
			})
			b := w.browser(t)
			b.signIn(t, w.url+"/auth/login")
			db := openDatabase(t, w.database)
			id := column(t, db, "SELECT id FROM sessions")
			eventually(t, 20*time.Second, func() bool {
				return len(column(t, db, "SELECT id FROM sessions")) == 0
			}, func() string { return "the session is still there" })
			ended := column(t, db, "SELECT session_id || ' ' || reason FROM audit_events WHERE kind = 'session_ended'")
			if want := []string{fmt.Sprint(id[0], " expired")}; !slices.Equal(ended, want) {
				t.Errorf("audit log: %q, want %q", ended, want)
			}
			if grants := column(t, db, "SELECT id FROM grants"); len(grants) != 1 {
				t.Errorf("%d grants are left", len(grants))
			}
			if r := b.query(t, `{ viewer { id } }`); r.at("viewer") != nil || len(r.Errors) != 0 {
				t.Errorf("got %+v", r)
			}
		})
	}
}
