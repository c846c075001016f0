package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/strictop"
)

// soakPlan says how long to soak, and in which time.
type soakPlan struct {
	expiries int
	requests int           // at each expiry, spread over the replicas
	replicas int           // real processes on one PostgreSQL
	life     time.Duration // of an access token, as the gateway knows it
	// told says that the provider tells this life, in whole seconds. A shorter
	// one is what the gateway assumes (ROLLUP_ASSUMED_TOKEN_LIFE) where it is
	// silent.
	told   bool
	report string // the file that the report is written to; empty: none
}

// assumedLife is the token life of compressed time: a little more than 200
// answers take on two cores.
const assumedLife = 300 * time.Millisecond

// planSoak is the ordinary plan, or that of the environment: SOAK_EXPIRIES of
// assumedLife, SOAK_LIFE for another life, SOAK_REPORT for the report's file.
func planSoak(t *testing.T) soakPlan {
	t.Helper()
	p := soakPlan{expiries: 20, requests: 200, replicas: 3, life: 2 * time.Second, told: true, report: os.Getenv("SOAK_REPORT")}
	if value := os.Getenv("SOAK_EXPIRIES"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("SOAK_EXPIRIES: %v", err)
		}
		p.expiries, p.life, p.told = n, assumedLife, false
	}
	if value := os.Getenv("SOAK_LIFE"); value != "" {
		life, err := time.ParseDuration(value)
		if err != nil {
			t.Fatalf("SOAK_LIFE: %v", err)
		}
		p.life, p.told = life, life >= time.Second
	}
	return p
}

// provider is the strict provider that the plan asks for: it rotates refresh
// tokens, and ends the whole family where a used one comes again.
func (p soakPlan) provider(t *testing.T, redirect string) *provider {
	t.Helper()
	life := told(p.life)
	if !p.told {
		life = 950 * time.Millisecond // expires_in has no value for it but 0, which is left out
	}
	// A burst on a busy machine takes longer than such a token lives. What is
	// asked with it then is taken, as by any resource with a clock that may be slow.
	return strictOf(t, redirect, strictop.Options{AccessLife: life, Opaque: true, Leeway: time.Minute})
}

// soak is the state of a soak.
type soak struct {
	plan    soakPlan
	w       *world
	urls    []string // of the replicas
	session string
	client  *http.Client
	db      *sql.DB

	began      time.Time
	latencies  []time.Duration
	failures   []string
	refreshes  []time.Duration // from a burst's begin to its first answer
	outlived   int             // expiries that fell into the burst of the one before
	longest    time.Duration   // of all bursts
	presenting presentations   // as they were after the last burst
}

// TestSoakOneRefreshAtEachExpiry sends 200 requests of one user to three replicas
// whenever the access token has expired. Each must be answered with the user's
// data, each expiry must cost one presentation of the refresh token, and the
// provider, which would end the grant, must never see one twice.
func TestSoakOneRefreshAtEachExpiry(t *testing.T) {
	t.Parallel()
	s := startSoak(t, planSoak(t))
	said := time.Now()
	for i := range s.plan.expiries {
		s.expire(t, i)
		if len(s.failures) > 100 {
			t.Fatalf("expiry %d: more than 100 failures, the first of them %s", i, s.failures[0])
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			t.Log(s.progress(i + 1))
		}
	}
	s.verify(t)
	if s.plan.report != "" {
		s.writeReport(t)
	}
}

func startSoak(t *testing.T, plan soakPlan) *soak {
	t.Helper()
	settings := map[string]string{
		"REFRESH_EARLY": "1us", // so that an expiry is waited for
		"LOG_LEVEL":     "warn",
	}
	if !plan.told {
		settings["ROLLUP_ASSUMED_TOKEN_LIFE"] = plan.life.String()
	}
	s := &soak{plan: plan, client: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: plan.requests},
	}}
	s.w = found(t, postgres(t), plan.provider, settings)
	s.urls = append(s.urls, s.w.url)
	for range plan.replicas - 1 {
		s.urls = append(s.urls, serving(t, s.w.replica(t, nil)).url)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	s.db = openDatabase(t, s.w.database)
	b := s.w.browser(t)
	b.signIn(t, s.w.url+"/auth/login")
	s.session, s.began = b.session(), time.Now()
	return s
}

// expire waits until the access token has expired, sends a burst of requests,
// and looks at what that cost.
func (s *soak) expire(t *testing.T, i int) {
	t.Helper()
	var expires time.Time
	if err := s.db.QueryRowContext(t.Context(), "SELECT access_expires_at FROM grants").Scan(&expires); err != nil {
		t.Fatal(err)
	}
	select {
	case <-t.Context().Done():
	case <-time.After(time.Until(expires.Add(time.Millisecond))):
	}
	began := time.Now()
	latencies, failures := s.burst(t.Context())
	took := time.Since(began)

	for _, failure := range failures {
		s.failures = append(s.failures, fmt.Sprintf("expiry %d: %s", i, failure))
		t.Error(s.failures[len(s.failures)-1])
	}
	s.latencies = append(s.latencies, latencies...)
	s.refreshes = append(s.refreshes, slices.Min(latencies))
	s.longest = max(s.longest, took)

	// A token may expire anew while the burst that asked for it goes on.
	before := s.presenting
	s.presenting = s.w.front.presentations()
	n := s.presenting.total - before.total
	s.outlived += max(n-1, 0)
	if n < 1 || n > 1+int(took/s.plan.life) || s.presenting.repeated > 0 || s.presenting.overlapped > 0 {
		t.Fatalf("expiry %d: %d presentations within %v, %+v", i, n, took, s.presenting)
	}
}

// burst sends the requests all at once, and returns how long each took and what
// went wrong.
func (s *soak) burst(ctx context.Context) ([]time.Duration, []string) {
	var all sync.WaitGroup
	latencies := make([]time.Duration, s.plan.requests)
	failures := make([]string, s.plan.requests)
	for i := range s.plan.requests {
		all.Go(func() {
			began := time.Now()
			got := viewer(ctx, s.client, s.urls[i%len(s.urls)], s.session)
			latencies[i] = time.Since(began)
			if got.name != "Alice" {
				failures[i] = fmt.Sprintf("request %d: %+v", i, got)
			}
		})
	}
	all.Wait()
	return latencies, slices.DeleteFunc(failures, func(f string) bool { return f == "" })
}

// verify looks at what is left of the grant.
func (s *soak) verify(t *testing.T) {
	t.Helper()
	var status, reason string
	if err := s.db.QueryRowContext(t.Context(), "SELECT status, status_reason FROM grants").Scan(&status, &reason); err != nil {
		t.Fatal(err)
	}
	if status != "active" {
		t.Errorf("the grant is %s: %s", status, reason)
	}
	for _, url := range s.urls {
		if got := viewer(t.Context(), s.client, url, s.session); got.name != "Alice" {
			t.Errorf("at the end: %+v", got)
		}
	}
	if n := s.w.reuses(); n != 0 {
		t.Errorf("the provider saw %d reuses", n)
	}
	if s.presenting.total != s.plan.expiries+s.outlived {
		t.Errorf("%d expiries, %d within a burst, %+v", s.plan.expiries, s.outlived, s.presenting)
	}
	t.Log(s.progress(s.plan.expiries))
}

func (s *soak) progress(done int) string {
	elapsed := time.Since(s.began)
	left := time.Duration(float64(elapsed) / float64(done) * float64(s.plan.expiries-done))
	return fmt.Sprintf("%d of %d expiries, %d requests, %d presentations, %d errors, %v elapsed, %v left",
		done, s.plan.expiries, len(s.latencies), s.presenting.total, len(s.failures),
		elapsed.Round(time.Second), left.Round(time.Second))
}
