package e2e_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	// operationTimeout is the OPERATION_TIMEOUT where an operation waits for what
	// does not come: shorter than the 10 s that a provider is given and the 20 s
	// that tokens are tried to be stored, so that a client leaves before a refresh
	// ends. Elsewhere it is 30 s, lest a busy machine run into it.
	operationTimeout = 6 * time.Second
	// margin is added to the bounds of docs/fault-matrix.md: they are no race.
	margin = 7 * time.Second
	// rotating is the provider whose refresh tokens are good for one use.
	rotating = "rotating provider"
)

// cell is one of the fault matrix: a fault of a part, during a step.
type cell struct{ part, step, fault string }

// outcome is what became of it, in the words of docs/fault-matrix.md.
type outcome struct {
	client    string // what the client saw
	presented string // how many codes or refresh tokens reached the provider
	stored    string // what the database held, while the fault lasted
	after     string // what the user could do once the fault was gone
}

// TestFaultMatrix tries every fault of every part during every step, and compares
// what becomes of it with docs/fault-matrix.md.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	m := readFaults(t)
	// They wait, mostly, so more of them run at a time than tests otherwise do.
	slots := make(chan struct{}, 10)
	var all sync.WaitGroup
	for _, scene := range scenes() {
		for _, f := range faults() {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(scene.part+"/"+f.name, func(t *testing.T) { scene.play(t, f, m) })
			})
		}
	}
	all.Wait()
	m.leavesNothing(t)
}

// scene is what one gateway goes through with the same fault of one part, step by
// step.
type scene struct {
	part  string
	steps []step
}

// scenes begin with those that take longest.
func scenes() []scene {
	signIn := []step{{"login", login}, {"callback", callback}}
	queries := []step{{"query", query}, {"refresh", refresh}}
	return []scene{
		{theDatabase, append(signIn, step{"storing a sign-in", storingSignIn})},
		{theDatabase, append(queries, step{"storing a refresh", storingRefresh})},
		{rotating, []step{{"refresh", refresh}}},
		{theProvider, slices.Concat(signIn, queries)},
		{theGalaxy, slices.Concat(signIn, queries)},
	}
}

func (sc scene) play(t *testing.T, f fault, m *matrix) {
	t.Helper()
	settings := map[string]string{}
	if f.silent || sc.part == theDatabase && !f.slow {
		settings["OPERATION_TIMEOUT"] = operationTimeout.String()
	}
	s := newStage(t, sc.part, settings)
	s.browser(t).signIn(t, s.url+"/auth/login") // so that there is a grant to lose
	goroutines := s.goroutines(t)
	for _, step := range sc.steps {
		t.Run(step.name, func(t *testing.T) {
			at := cell{sc.part, step.name, f.name}
			got, took := s.try(t, step, f)
			m.compare(t, at, got, took)
		})
	}
	s.leaksNothing(t, goroutines)
}

// stage is a world whose gateway reaches each part by a wire.
type stage struct {
	*world
	wires
	part string  // the one whose wire is struck
	db   *sql.DB // past the wire
}

func newStage(t *testing.T, part string, settings map[string]string) *stage {
	t.Helper()
	s := &stage{wires: wires{}, part: part}
	kind := rollupBehind
	if part == rotating {
		s.part, kind = theProvider, strictBehind
	}
	with := func(t *testing.T, redirect string) *provider {
		t.Helper()
		return kind(t, redirect, s.placed(t))
	}
	direct := postgres(t)
	s.world = found(t, s.toDatabase(t, direct), with, settings)
	s.db = openDatabase(t, direct)
	return s
}

// try does the step under the fault, and looks at what becomes of it, and how
// long the client waited.
func (s *stage) try(t *testing.T, step step, f fault) (got outcome, took time.Duration) {
	t.Helper()
	struck := s.wires[s.part]
	b := s.browser(t)
	b.client.Timeout = time.Minute // so that what hangs for ever is seen to
	a := step.prepare(t, s, b)
	before := a.presented()
	t.Cleanup(func() { struck.mend(t) })

	began := time.Now()
	got.client = a.do(t, func() { struck.strike(t, f); began = time.Now() })
	took = time.Since(began)
	got.stored = a.stored(t)
	during := a.presented()
	struck.mend(t)
	got.after = a.after(t)
	got.presented = strconv.Itoa(during - before)
	if more := a.presented() - during; more > 0 {
		got.presented += fmt.Sprintf(", then %d", more)
	}
	s.noLeaseStands(t)
	return got, took
}

// held is what the database holds of Alice's grant.
type held struct {
	status, statusReason string
	version              int64
	authorizedAt         time.Time
	failures             int
	failure              string
}

func (s *stage) grant(t *testing.T) held {
	t.Helper()
	var h held
	row := s.db.QueryRowContext(t.Context(),
		`SELECT status, status_reason, version, authorized_at, failures, failure_reason FROM grants`)
	if err := row.Scan(&h.status, &h.statusReason, &h.version, &h.authorizedAt, &h.failures, &h.failure); err != nil {
		t.Fatalf("the grant: %v", err)
	}
	return h
}

// since says what has become of the grant.
func (s *stage) since(t *testing.T, before held) string {
	t.Helper()
	switch now := s.grant(t); {
	case now.status != "active":
		return now.status + ": " + now.statusReason
	case now.failures > before.failures:
		return "later: " + now.failure
	case now.version > before.version || now.authorizedAt.After(before.authorizedAt):
		return "new tokens"
	default:
		return "the grant as before"
	}
}

func (s *stage) count(t *testing.T, table string) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// noLeaseStands waits until there is none: each ends with its refresh, or at the
// latest, where the database has gone meanwhile, when the database is back.
func (s *stage) noLeaseStands(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, func() bool {
		return len(column(t, s.db, "SELECT id FROM grants WHERE lease_owner IS NOT NULL")) == 0
	}, func() string { return "a lease stands" })
}

// leaksNothing waits until what the faults have left behind is gone.
func (s *stage) leaksNothing(t *testing.T, before int) {
	t.Helper()
	// Connections that are kept for the next request have goroutines too.
	const spare, pool = 25, 20 + 2 // the gateway's pool, its listener, and the test's own
	var goroutines, connections int
	eventually(t, 30*time.Second, func() bool {
		goroutines = s.goroutines(t)
		connections = len(column(t, s.db, "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"))
		return goroutines <= before+spare && connections <= pool
	}, func() string {
		return fmt.Sprintf("%d goroutines, of %d, and %d connections", goroutines, before, connections)
	})
}
