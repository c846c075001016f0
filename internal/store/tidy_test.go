package store_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// estate is a database with housekeepers, whose clock a test moves.
type estate struct {
	t   *testing.T
	db  *store.DB
	raw *sql.DB
	now time.Time
}

// eachEstate runs the test on each database.
func eachEstate(t *testing.T, test func(t *testing.T, e *estate)) {
	t.Helper()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			test(t, &estate{
				t: t, db: open(t, url, testdb.NewVault(t)), raw: raw(t, url),
				now: time.Now().UTC().Truncate(time.Microsecond),
			})
		})
	}
}

func (e *estate) housekeeper(db *store.DB) *store.Housekeeper {
	return &store.Housekeeper{
		DB: db, Interval: time.Millisecond, SessionRetention: 30 * 24 * time.Hour, AuditRetention: 365 * 24 * time.Hour,
		Now: func() time.Time { return e.now }, Logger: slog.New(slog.DiscardHandler),
	}
}

// tidy does one round and returns what it dealt with.
func (e *estate) tidy(change func(*store.Housekeeper)) map[string]int {
	e.t.Helper()
	h, tidied := e.housekeeper(e.db), map[string]int{}
	h.Observe = func(what string, n int) { tidied[what] += n }
	if change != nil {
		change(h)
	}
	h.Tidy(e.t.Context())
	return tidied
}

func (e *estate) signIn(subject string) login.SignIn {
	e.t.Helper()
	s := newSignIn(subject)
	s.Session.CreatedAt, s.Session.LastSeenAt, s.Session.ExpiresAt = e.now, e.now, e.now.Add(time.Hour)
	var err error
	if s.Session, err = e.db.SignIn(e.t.Context(), s, e.now); err != nil {
		e.t.Fatalf("SignIn: %v", err)
	}
	return s
}

// same ends the test where the two differ.
func (e *estate) same(what string, got, want any) {
	e.t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		e.t.Fatalf("%s differs (-want +got):\n%s", what, diff)
	}
}

// count is the number that a query gives.
func (e *estate) count(query string) (n int) {
	e.t.Helper()
	if err := e.raw.QueryRowContext(e.t.Context(), query).Scan(&n); err != nil {
		e.t.Fatalf("count: %v", err)
	}
	return n
}

func TestASessionThatExpiredIsEndedAndLaterDeleted(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(t *testing.T, e *estate) {
		s, bobs := e.signIn("alice"), e.signIn("bob")
		if _, err := e.db.End(t.Context(), bobs.Session.UserID, bobs.Session.ID, session.LoggedOut, e.now); err != nil {
			t.Fatalf("End: %v", err)
		}
		logged := len(events(t, e.raw))
		e.now = s.Session.ExpiresAt.Add(-time.Microsecond)
		e.same("before its time", e.tidy(nil), map[string]int{})
		e.now = s.Session.ExpiresAt
		e.same("at its time", e.tidy(nil), map[string]int{"sessions_expired": 1})
		e.same("once more", e.tidy(nil), map[string]int{})
		e.same("events", events(t, e.raw)[logged:], []audit.Event{{
			Kind: audit.SessionEnded, UserID: s.Session.UserID, SessionID: s.Session.ID, Reason: "expired", At: e.now,
		}})

		e.now = bobs.Session.CreatedAt.Add(30*24*time.Hour + time.Microsecond)
		e.same("after the retention", e.tidy(nil), map[string]int{"sessions": 1})
		e.same("Alice's sessions", e.count("SELECT count(*) FROM sessions"), 1)
		e.now = e.now.Add(time.Hour)
		e.same("after the retention", e.tidy(nil), map[string]int{"sessions": 1})
		e.same("grants", e.count("SELECT count(*) FROM grants"), 2)
		e.same("users", e.count("SELECT count(*) FROM users"), 2)
	})
}

func TestALiveSessionIsNeverDeleted(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(_ *testing.T, e *estate) {
		e.signIn("alice")
		e.same("tidied", e.tidy(func(h *store.Housekeeper) { h.SessionRetention = time.Nanosecond }), map[string]int{})
	})
}

func TestAuditRowsExpireByTheSetting(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(t *testing.T, e *estate) {
		for _, age := range []time.Duration{400, 366, 364, 1} {
			event := audit.Event{Kind: audit.SignInFailed, At: e.now.Add(-age * 24 * time.Hour)}
			if err := e.db.Record(t.Context(), event); err != nil {
				t.Fatalf("Record: %v", err)
			}
		}
		forEver := func(h *store.Housekeeper) { h.AuditRetention = 0 }
		e.same("kept for ever", e.tidy(forEver), map[string]int{})
		e.same("kept for a year", e.tidy(nil), map[string]int{"audit_events": 2})
		e.same("rows", len(events(t, e.raw)), 2)
	})
}

func TestRowsThatNobodyAsksAboutAreDeletedAnHourAfterTheirEnd(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(t *testing.T, e *estate) {
		save := func() {
			err := e.db.SaveAttempt(t.Context(), login.Attempt{
				State: secret.Random(), Browser: secret.Random(), ExpiresAt: e.now,
			})
			if err != nil {
				t.Fatalf("SaveAttempt: %v", err)
			}
			const statement = "INSERT INTO logout_tokens (id, expires_at) VALUES ($1, $2)"
			if _, err := e.raw.ExecContext(t.Context(), statement, secret.Random().Hash(), e.now); err != nil {
				t.Fatalf("insert: %v", err)
			}
		}
		save()
		e.now = e.now.Add(time.Hour)
		save()
		e.same("an hour after their end", e.tidy(nil), map[string]int{})
		e.now = e.now.Add(time.Microsecond)
		e.same("later", e.tidy(nil), map[string]int{"sign_in_attempts": 1, "logout_tokens": 1})
	})
}

func TestReplicasAreBuriedByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(t *testing.T, e *estate) {
		for id, age := range map[string]time.Duration{"gone": 61 * time.Minute, "of late": 59 * time.Minute} {
			const statement = "INSERT INTO replicas (id, key_ids, expires_at) VALUES ($1, '', $2)"
			if _, err := e.raw.ExecContext(t.Context(), statement, id, e.now.Add(-age)); err != nil {
				t.Fatalf("insert: %v", err)
			}
		}
		e.now = e.now.Add(24 * time.Hour) // by a clock that is wrong
		e.same("tidied", e.tidy(nil), map[string]int{"replicas": 1})
		e.same("left", e.count("SELECT count(*) FROM replicas WHERE id = 'of late'"), 1)
	})
}

// Replicas tidy at their own times, and at the same time.
func TestHousekeepersOnTwoReplicasDoEachThingOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	keys := testdb.NewVault(t)
	e := &estate{t: t, db: open(t, url, keys), raw: raw(t, url), now: time.Now().UTC().Truncate(time.Microsecond)}
	s := e.signIn("alice")
	const sessions = 1000 // several batches
	_, err := e.raw.ExecContext(t.Context(), `
INSERT INTO sessions (id, token_hash, user_id, kind, provider_session_id, user_agent, ip_address, created_at, last_seen_at, expires_at, end_reason)
SELECT 's' || i, decode(md5(i::text), 'hex'), $1, 'browser', '', '', '', $2, $2, $2, '' FROM generate_series(1, $3) i`,
		s.Session.UserID, e.now.Add(-time.Hour), sessions)
	if err != nil {
		t.Fatalf("insert sessions: %v", err)
	}
	var mu sync.Mutex
	tidied := map[string]int{}
	round := func() {
		var both sync.WaitGroup
		for _, db := range []*store.DB{e.db, open(t, url, keys)} {
			h := e.housekeeper(db)
			h.Observe = func(what string, n int) {
				mu.Lock()
				defer mu.Unlock()
				tidied[what] += n
			}
			both.Go(func() { h.Tidy(t.Context()) })
		}
		both.Wait()
	}
	// A batch that another replica has in hand comes back short, and ends a round.
	for range 10 {
		round()
	}
	e.same("ended", tidied, map[string]int{"sessions_expired": sessions})
	e.same("events", e.count("SELECT count(DISTINCT session_id) FROM audit_events WHERE reason = 'expired'"), sessions)
	e.same("rows", e.count("SELECT count(*) FROM audit_events WHERE reason = 'expired'"), sessions)
	e.now = e.now.Add(31 * 24 * time.Hour)
	for range 10 {
		round()
	}
	e.same("deleted", tidied, map[string]int{"sessions_expired": sessions + 1, "sessions": sessions})
}

func TestAHousekeeperComesRoundUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(t *testing.T, e *estate) {
		e.signIn("alice")
		e.now = e.now.Add(2 * time.Hour)
		h := e.housekeeper(e.db)
		came := make(chan string, 1)
		h.Observe = func(what string, _ int) { came <- what }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		e.same("came", <-came, "sessions_expired")
		cancel()
		e.same("ended with", <-ended, nil)
	})
}

// A row that another transaction holds, as another replica's sweep does, is
// passed over.
func TestASweepWaitsForNobody(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	e := &estate{t: t, db: open(t, url, testdb.NewVault(t)), raw: raw(t, url), now: time.Now().UTC()}
	s := newSignIn("alice")
	s.Tokens.RefreshExpiresAt = e.now
	if _, err := e.db.SignIn(t.Context(), s, e.now); err != nil {
		t.Fatalf("SignIn: %v", err)
	}
	other, err := e.raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer func() { _ = other.Rollback() }()
	for _, statement := range []string{"SELECT 1 FROM grants FOR UPDATE", "SELECT 1 FROM sessions FOR UPDATE"} {
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("lock: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	claim := func() error {
		_, err := e.db.ClaimGrant(ctx, e.now.Add(-time.Minute), func(time.Duration) time.Duration { return time.Hour })
		return err
	}
	if err := claim(); !errors.Is(err, grant.ErrNotFound) {
		t.Errorf("Claim: got %v, want ErrNotFound", err)
	}
	e.now = e.now.Add(2 * time.Hour)
	e.same("tidied", e.tidy(nil), map[string]int{})
	if err := other.Rollback(); err != nil {
		t.Fatalf("rollback: %v", err)
	}
	e.now = e.now.Add(-2 * time.Hour)
	if err := claim(); err != nil {
		t.Errorf("Claim: %v", err)
	}
	e.now = e.now.Add(2 * time.Hour)
	e.same("tidied", e.tidy(nil), map[string]int{"sessions_expired": 1})
}

// A code that comes again must end the session that it made, as long as there is one.
func TestACodeGoesWithItsSession(t *testing.T) {
	t.Parallel()
	eachEstate(t, func(t *testing.T, e *estate) {
		s := newSignIn("alice")
		s.Session.ExpiresAt = e.now.Add(time.Minute)
		s.Code = &login.Code{Code: secret.Random(), Client: "native"}
		if _, err := e.db.SignIn(t.Context(), s, e.now); err != nil {
			t.Fatalf("SignIn: %v", err)
		}
		codes := func() (n int) {
			t.Helper()
			if err := e.raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM authorization_codes").Scan(&n); err != nil {
				t.Fatalf("count codes: %v", err)
			}
			return n
		}
		e.now = e.now.Add(time.Hour)
		e.same("when it has expired", e.tidy(nil), map[string]int{"sessions_expired": 1})
		e.same("codes", codes(), 1)
		e.now = e.now.Add(31 * 24 * time.Hour)
		e.same("later", e.tidy(nil), map[string]int{"sessions": 1})
		e.same("codes", codes(), 0)
	})
}
