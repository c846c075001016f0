package e2e_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// races is how often a logout races against queries whose access token must be
// refreshed first.
const races = 1000

// TestNothingGoesUpstreamAfterALogoutHasReturned asks one replica and signs out
// on the other at the same time, again and again.
func TestNothingGoesUpstreamAfterALogoutHasReturned(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	r := &race{world: w, replica: serving(t, w.replica(t, nil)), db: openDatabase(t, w.database)}
	record := func(req *http.Request) { r.record(req.URL.Path) }
	w.front.arrived.Store(&record)
	outcomes := map[string]int{}
	for i := range races {
		for _, outcome := range r.run(t, i) {
			outcomes[outcome]++
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("of %d queries: %v; %d upstream calls, %d of them refreshes", 3*races, outcomes, r.calls, w.refreshes())
	if outcomes["data"] == 0 || outcomes["signed out"] == 0 {
		t.Error("the races were no races")
	}
}

type race struct {
	*world
	replica *gateway
	db      *sql.DB

	mu    sync.Mutex
	out   time.Time // when the logout returned; zero while it has not
	late  []string  // calls after it
	calls int
}

// record takes note of a call that arrives upstream.
func (r *race) record(path string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if path == "/token" || path == "/userinfo" || path == "/graphql" {
		r.calls++
		if !r.out.IsZero() {
			r.late = append(r.late, fmt.Sprintf("%s %v after", path, now.Sub(r.out)))
		}
	}
}

// run is one race: it says what became of the three queries.
func (r *race) run(t *testing.T, i int) []string {
	t.Helper()
	r.mu.Lock()
	r.out = time.Time{}
	r.mu.Unlock()
	b := r.browser(t)
	b.signIn(t, r.url+"/auth/login")
	if _, err := r.db.ExecContext(t.Context(), `UPDATE grants SET access_expires_at = obtained_at`); err != nil {
		t.Fatal(err)
	}
	if i%2 == 0 { // and the replica remembers the session, or not
		r.ask(t, b.session(), `{ session { kind } }`)
	}
	outcomes := make([]string, 3)
	var asking sync.WaitGroup
	for n := range outcomes {
		asking.Go(func() { outcomes[n] = r.ask(t, b.session(), `{ viewer { name profile { displayName } } }`) })
	}
	<-time.After(time.Duration(rand.IntN(12_000)) * time.Microsecond)
	resp, body := b.post(t, r.url+"/auth/logout", "application/x-www-form-urlencoded", "")
	r.mu.Lock()
	r.out = time.Now()
	r.mu.Unlock()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout answers %d: %s", resp.StatusCode, body)
	}
	asking.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.late) > 0 {
		t.Errorf("race %d: calls after the logout had returned: %v", i, r.late)
	}
	return outcomes
}

// ask sends the query to the replica and says what became of it.
func (r *race) ask(t *testing.T, session, document string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Error(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.replica.url+"/graphql", strings.NewReader(string(text)))
	if err != nil {
		t.Error(err)
		return ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Viewer  *struct{ Name *string }
			Session *struct{ Kind string }
		}
		Errors []struct {
			Message    string
			Extensions struct{ Code, UpstreamMessage, Service string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Errorf("status %d: %v", resp.StatusCode, err)
	}
	switch {
	case len(answer.Errors) > 0 && answer.Errors[0].Extensions.Code == "UNAUTHENTICATED":
		return "signed out"
	case len(answer.Errors) > 0:
		t.Errorf("got %+v", answer.Errors)
		return "error"
	case answer.Data.Viewer != nil || answer.Data.Session != nil:
		return "data"
	default:
		return "anonymous"
	}
}
