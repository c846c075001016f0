package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// ear collects what a listener is told.
type ear struct {
	mu    sync.Mutex
	heard []string
	// settle is what Settle does; nil: nothing.
	settle func(ctx context.Context)
}

func listen(db *store.DB) *ear {
	e := &ear{}
	db.Subscribe(store.Listener{
		GrantChanged: func(userID string) { e.add("grant of " + userID) },
		SessionEnded: func(id string) { e.add("end of " + id) },
		Settle: func(ctx context.Context, userID string) {
			if e.settle != nil {
				e.settle(ctx)
			}
			e.add("settled " + userID)
		},
		Missed: func() { e.add("missed") },
	})
	return e
}

func (e *ear) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, what)
}

// has reports whether each was heard.
func (e *ear) has(all ...string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !slices.ContainsFunc(all, func(what string) bool { return !slices.Contains(e.heard, what) })
}

// signedIn signs Alice in.
func signedIn(t *testing.T, db *store.DB) session.Session {
	t.Helper()
	in := newSignIn("alice")
	in.Tokens.Refresh = secret.Random()
	s, err := db.SignIn(t.Context(), in, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryReplicaHasHeardOfAnEndedSessionWhenItsEndReturns(t *testing.T) {
	t.Parallel()
	for name, create := range testdb.Kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := create(t)
			one, two := open(), open()
			here, there := listen(one), listen(two)
			if one == two { // a file is one process's
				here = there
			}
			for range 20 {
				s := signedIn(t, one)
				if _, err := one.End(t.Context(), s.UserID, s.ID, session.LoggedOut, time.Now()); err != nil {
					t.Fatal(err)
				}
				want := []string{"end of " + s.ID, "settled " + s.UserID}
				if !here.has(want...) || !there.has(want...) {
					t.Fatalf("here was heard %v, there %v", here.heard, there.heard)
				}
			}
		})
	}
}

func TestTheEndOfASessionWaitsForWhatIsDoneForItElsewhere(t *testing.T) {
	t.Parallel()
	open := testdb.Postgres(t)
	one, two := open(), open()
	listen(one)
	there := listen(two)
	begun, over := make(chan struct{}), make(chan struct{})
	there.settle = func(context.Context) {
		close(begun)
		<-over
	}
	s := signedIn(t, one)
	ended := make(chan error, 1)
	go func() {
		_, err := one.End(context.WithoutCancel(t.Context()), s.UserID, s.ID, session.LoggedOut, time.Now())
		ended <- err
	}()
	<-begun
	select {
	case err := <-ended:
		t.Errorf("the end returned %v before the call there was over", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(over)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestASignInWaitsForNobodyUnlessItSignsSomebodyElseOut(t *testing.T) {
	t.Parallel()
	for name, subject := range map[string]string{"the same user": "alice", "another user": "bob"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := testdb.Postgres(t)
			db, there := open(), listen(open())
			old := signedIn(t, db)
			in := newSignIn(subject)
			in.EndSessionID = old.ID
			if _, err := db.SignIn(t.Context(), in, time.Now()); err != nil {
				t.Fatal(err)
			}
			if waited := there.has("settled " + old.UserID); subject != "alice" && !waited {
				t.Error("Alice was signed out, and her calls were not waited for")
			}
			eventually(t, "the end is heard there", func() bool { return there.has("end of " + old.ID) })
		})
	}
}

func TestAWriteWaitsForNoCall(t *testing.T) {
	t.Parallel()
	open := testdb.Postgres(t)
	one, two := open(), open()
	s := signedIn(t, one)
	here, there := listen(one), listen(two)
	if err := two.Wrote(t.Context(), s.UserID); err != nil {
		t.Fatal(err)
	}
	for where, e := range map[string]*ear{"here": here, "there": there} {
		if want := "grant of " + s.UserID; !e.has(want) || e.has("settled "+s.UserID) {
			t.Errorf("%s was heard %v, want %q alone", where, e.heard, want)
		}
	}
}

func TestADeadReplicaHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	db := open(t, url, testdb.NewVault(t))
	const crashed = `INSERT INTO replicas (id, key_ids, expires_at, hears_until)
VALUES ('crashed', '', clock_timestamp() + INTERVAL '1 hour', clock_timestamp() + INTERVAL '1 second')`
	if _, err := raw(t, url).ExecContext(t.Context(), crashed); err != nil {
		t.Fatal(err)
	}
	s := signedIn(t, db)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	if _, err := db.End(ctx, s.UserID, s.ID, session.LoggedOut, time.Now()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("a replica that may live was waited for for %v", took)
	}
	if ctx.Err() != nil {
		t.Error("it took until the caller gave up")
	}
}

func TestAReplicaThatDoesNotHearIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	var log safeBuffer
	db, err := store.Open(url, testdb.NewVault(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const deaf = `INSERT INTO replicas (id, key_ids, expires_at) VALUES ('deaf', '', clock_timestamp() + INTERVAL '1 hour')`
	if _, err := raw(t, url).ExecContext(t.Context(), deaf); err != nil {
		t.Fatal(err)
	}
	s := signedIn(t, db)
	if _, err := db.End(t.Context(), s.UserID, s.ID, session.LoggedOut, time.Now()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "acknowledge") {
		t.Errorf("it was waited for: %s", log.String())
	}
}

func TestAReplicaAnnouncesItselfAndItsKeys(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := testdb.NewVault(t)
			db, err := store.Open(database(t), v, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if err := db.Announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := db.KeyHolders(t.Context())
			if err != nil || len(got) != 1 || got[0].ID != db.ReplicaID() || !slices.Equal(got[0].KeyIDs, v.KeyIDs()) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestChangesOfAGrantAreHeardOnEveryReplica(t *testing.T) {
	t.Parallel()
	open := testdb.Postgres(t)
	one, two := open(), open()
	here, there := listen(one), listen(two)
	s := signedIn(t, one)
	want := "grant of " + s.UserID
	if !here.has(want) {
		t.Error("the change returned before it was heard here")
	}
	eventually(t, "it is heard there", func() bool { return there.has(want) })
	g, err := two.Grant(t.Context(), s.UserID)
	if err != nil {
		t.Fatal(err)
	}
	here.mu.Lock()
	here.heard = nil
	here.mu.Unlock()
	if err := two.Acquire(t.Context(), g, "owner", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := two.Fail(t.Context(), g, "owner", &grant.Failure{Kind: grant.Later}, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is heard here", func() bool { return here.has(want) })
}

func TestAReplicaThatCannotHearSaysSo(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	if err := migrate(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	db := open(t, server.URL, testdb.NewVault(t))
	e := listen(db)
	if !db.Hearing() {
		t.Fatal("it does not hear at first")
	}
	server.Stop()
	eventually(t, "it knows that it hears nothing", func() bool { return !db.Hearing() })
	server.Start()
	eventually(t, "it hears again, and has forgotten what it knew", func() bool { return db.Hearing() && e.has("missed") })
}

func TestALostConnectionIsHeardOfAndMended(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	db := open(t, url, testdb.NewVault(t))
	e := listen(db)
	const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`
	if _, err := raw(t, url).ExecContext(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what may have been missed is forgotten", func() bool { return e.has("missed") })
	eventually(t, "it hears", db.Hearing)
	other := open(t, url, testdb.NewVault(t))
	s := signedIn(t, db)
	if _, err := other.End(t.Context(), s.UserID, s.ID, session.LoggedOut, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !e.has("end of " + s.ID) {
		t.Error("an end on the other replica was not heard")
	}
	if _, err := db.End(t.Context(), s.UserID, s.ID, session.LoggedOut, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// eventually waits for the condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(20 * time.Second); !condition(); {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// safeBuffer is a log that may be written and read at once.
type safeBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
