package session_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/cache"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// patience is how long a test waits for what is to happen.
const patience = 20 * time.Second

// counted is a register that counts what it is asked, and fails as often as it is
// told to.
type counted struct {
	session.Register
	queries, sessions, fail atomic.Int64
}

func (c *counted) Standings(ctx context.Context, ids []string) (map[string]session.Standing, error) {
	c.queries.Add(1)
	c.sessions.Add(int64(len(ids)))
	if c.fail.Add(-1) >= 0 {
		return nil, retry.ErrLater
	}
	return c.Register.Standings(ctx, ids)
}

// tower is one process: a manager whose lookout is running.
type tower struct {
	*desk
	asked *counted
}

// towerOn builds one on a store. Its sessions end by themselves after idle.
func towerOn(t *testing.T, db *store.DB, idle time.Duration) *tower {
	t.Helper()
	asked := &counted{Register: db}
	logger := slog.New(slog.DiscardHandler)
	d := &desk{db: db, now: time.Now()}
	d.Manager = &session.Manager{
		Store: db, Ender: db, IdleTimeout: idle, Lifetime: 24 * time.Hour,
		Cache:       session.NewCache(time.Hour, cache.Options[session.Session]{Hearing: db.Hearing, Now: time.Now}),
		Lookout:     session.NewLookout(asked, db.Hearing, time.Now, logger),
		Unavailable: http.NotFoundHandler(), Now: time.Now, Logger: logger,
	}
	t.Cleanup(d.Cache.Close)
	db.Subscribe(store.Listener{
		GrantChanged: func(string) {}, SessionEnded: d.Forget, Missed: d.ForgetAll,
		Settle: func(context.Context, string) {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Lookout.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &tower{desk: d, asked: asked}
}

// entered is a context with the session of that token.
func (o *tower) entered(t *testing.T, token secret.Text) context.Context {
	t.Helper()
	ctx, err := o.WithBearer(t.Context(), "Bearer "+token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// wantEnd waits for the one end that is to come.
func wantEnd(t *testing.T, ends <-chan session.End, reason session.EndReason) session.End {
	t.Helper()
	select {
	case end, ok := <-ends:
		if !ok || end.Reason != reason {
			t.Fatalf("got %v, %v, want an end with the reason %s", end, ok, reason)
		}
		if more, ok := <-ends; ok {
			t.Fatalf("got a second end, %v", more)
		}
		return end
	case <-time.After(patience):
		t.Fatalf("was not told of an end with the reason %s", reason)
	}
	return session.End{}
}

// wantNone makes sure that nothing comes for a while.
func wantNone(t *testing.T, ends <-chan session.End, while time.Duration) {
	t.Helper()
	select {
	case end, ok := <-ends:
		t.Fatalf("got %v, %v, want nothing", end, ok)
	case <-time.After(while):
	}
}

func TestAllWhoWaitAreToldOfAnEndOnAnyReplica(t *testing.T) {
	t.Parallel()
	for name, create := range testdb.Kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := create(t)
			o, there := towerOn(t, open(), time.Hour), open()
			s, token := o.signIn(t, "alice")
			_, bobs := o.signIn(t, "bob")
			ctx := o.entered(t, token)
			one, two, over := o.Ended(ctx), o.Ended(o.entered(t, token)), o.Over(ctx)
			others := o.Ended(o.entered(t, bobs))
			if got := o.Lookout.Watchers(); got != 4 {
				t.Errorf("%d wait, want 4", got)
			}
			at := time.Now().Truncate(time.Microsecond)
			if _, err := there.End(t.Context(), s.UserID, s.ID, session.LoggedOut, at); err != nil {
				t.Fatal(err)
			}
			for _, ends := range []<-chan session.End{one, two} {
				if end := wantEnd(t, ends, session.LoggedOut); !end.At.Equal(at) {
					t.Errorf("got an end at %v, want %v", end.At, at)
				}
			}
			<-over
			if got := o.Lookout.Watchers(); got != 1 {
				t.Errorf("%d wait, want Bob's alone", got)
			}
			select {
			case end := <-others:
				t.Errorf("Bob was told of %v", end)
			default:
			}
			// Who comes too late with what was read before is told at once.
			wantEnd(t, o.Ended(ctx), session.LoggedOut)
			<-o.Over(ctx)
		})
	}
}

func TestTheStoreIsAskedNoMoreOftenThanItMustBe(t *testing.T) {
	t.Parallel()
	o := towerOn(t, testdb.SQLite(t)(), time.Hour)
	keep, token := o.signIn(t, "alice")
	waiting := []<-chan session.End{}
	kept := o.Ended(o.entered(t, token))
	for range 40 {
		_, token := o.signIn(t, "alice")
		for range 5 {
			waiting = append(waiting, o.Ended(o.entered(t, token)))
		}
	}
	wantNone(t, kept, 2500*time.Millisecond) // two surveys go by
	if got := o.asked.queries.Load(); got != 0 {
		t.Errorf("memory vouched for every session, and the store was asked %d times", got)
	}
	if _, err := o.EndOthers(t.Context(), keep.UserID, keep.ID); err != nil {
		t.Fatal(err)
	}
	for _, ends := range waiting {
		wantEnd(t, ends, session.EndedByUser)
	}
	// Word of each comes by itself: what has come meanwhile is asked about at once.
	if got := o.asked.queries.Load(); got > 40 {
		t.Errorf("the store was asked %d times about 40 sessions", got)
	}
}

func TestWhoComesAsTheSessionEndsIsTold(t *testing.T) {
	t.Parallel()
	o := towerOn(t, testdb.SQLite(t)(), time.Hour)
	for range 50 {
		s, token := o.signIn(t, "alice")
		ctx := o.entered(t, token)
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := o.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
				t.Error(err)
			}
		})
		ends := o.Ended(ctx)
		both.Wait()
		wantEnd(t, ends, session.LoggedOut)
	}
}

func TestASessionThatExpiresEndsByTheClock(t *testing.T) {
	t.Parallel()
	o := towerOn(t, testdb.SQLite(t)(), 1500*time.Millisecond)
	s, token := o.signIn(t, "alice")
	moved, other := o.signIn(t, "alice")
	ends, later := o.Ended(o.entered(t, token)), o.Ended(o.entered(t, other))
	until := moved.ExpiresAt.Add(2 * time.Second)
	if err := o.db.Touch(t.Context(), moved.ID, time.Now(), until); err != nil { // used elsewhere
		t.Fatal(err)
	}
	if end := wantEnd(t, ends, session.Expired); !end.At.Equal(s.ExpiresAt) || time.Now().Before(s.ExpiresAt) {
		t.Errorf("got an end at %v, want %v", end.At, s.ExpiresAt)
	}
	if end := wantEnd(t, later, session.Expired); !end.At.Equal(until.UTC().Truncate(time.Microsecond)) {
		t.Errorf("got an end at %v, want %v", end.At, until)
	}
}

func TestASessionThatIsNoMoreHasExpired(t *testing.T) {
	t.Parallel()
	db := testdb.SQLite(t)()
	o := towerOn(t, db, time.Hour)
	_, token := o.signIn(t, "alice")
	ends := o.Ended(o.entered(t, token))
	for _, later := range []time.Duration{2 * time.Hour, 4 * time.Hour} { // one ends it, the other deletes it
		sweep := &store.Housekeeper{
			DB: db, SessionRetention: time.Hour, Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return time.Now().Add(later) },
		}
		sweep.Tidy(t.Context())
	}
	o.ForgetAll()
	if end := wantEnd(t, ends, session.Expired); time.Until(end.At).Abs() > time.Minute {
		t.Errorf("got an end at %v, want one now", end.At)
	}
}

func TestWhoDoesNotHearAsksEverySecond(t *testing.T) {
	t.Parallel()
	url, sealer := pgtest.URL(t, testdb.Migrate), testdb.NewVault(t)
	open := func() *store.DB {
		db, err := store.Open(url, sealer, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	o, there := towerOn(t, open(), time.Hour), open() // neither runs, so neither hears
	s, token := o.signIn(t, "alice")
	_, stays := o.signIn(t, "bob")
	ctx := o.entered(t, token)
	var waiting []<-chan session.End
	for range 30 {
		waiting = append(waiting, o.Ended(ctx))
	}
	kept := o.Ended(o.entered(t, stays))
	if _, err := there.End(t.Context(), s.UserID, s.ID, session.EndedByUser, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, ends := range waiting {
		wantEnd(t, ends, session.EndedByUser)
	}
	before := o.asked.queries.Load()
	wantNone(t, kept, 2500*time.Millisecond)
	if asked := o.asked.queries.Load() - before; asked < 1 || asked > 3 {
		t.Errorf("asked %d times in 2.5 s, want every second", asked)
	}
}

func TestADatabaseThatIsAwayTellsOfNoEnd(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	if err := testdb.Migrate(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(server.URL, testdb.NewVault(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- db.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-running; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	testdb.AwaitHearing(db)
	o := towerOn(t, db, 3*time.Second)
	_, expires := o.signIn(t, "alice")
	o.IdleTimeout = time.Hour
	s, token := o.signIn(t, "alice")
	gone, ends := o.Ended(o.entered(t, expires)), o.Ended(o.entered(t, token))

	server.Stop()
	asked := o.asked.queries.Load()
	wantNone(t, ends, 4*time.Second)
	wantNone(t, gone, time.Millisecond) // it may have been used elsewhere
	if o.asked.queries.Load() == asked {
		t.Error("the store was not asked while it was away")
	}
	server.Start()
	wantEnd(t, gone, session.Expired)
	testdb.AwaitHearing(db)
	if _, err := o.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
		if _, err := o.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil { // a connection of before may still break
			t.Fatal(err)
		}
	}
	wantEnd(t, ends, session.LoggedOut)
}

func TestAQueryThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	o := towerOn(t, testdb.SQLite(t)(), time.Hour)
	s, token := o.signIn(t, "alice")
	ends := o.Ended(o.entered(t, token))
	o.asked.fail.Store(3)
	if _, err := o.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, ends, session.LoggedOut)
	if got := o.asked.queries.Load(); got != 4 {
		t.Errorf("the store was asked %d times, want 4", got)
	}
}

func TestWhoLeavesIsToldOfNoEnd(t *testing.T) {
	t.Parallel()
	o := towerOn(t, testdb.SQLite(t)(), time.Hour)
	_, token := o.signIn(t, "alice")
	ctx, cancel := context.WithCancel(o.entered(t, token))
	ends, over, stays := o.Ended(ctx), o.Over(ctx), o.Ended(o.entered(t, token))
	cancel()
	select {
	case end, ok := <-ends:
		if ok {
			t.Errorf("got %v", end)
		}
	case <-time.After(patience):
		t.Error("the channel is still open")
	}
	wantNone(t, stays, 10*time.Millisecond)
	select {
	case <-over:
		t.Error("a session that lives is over")
	default:
	}
	if got := o.Lookout.Watchers(); got > 2 { // whose Over may be about to leave
		t.Errorf("%d wait, want one", got)
	}
	// Nobody asks about a session that nobody waits for any more.
	s, last := o.signIn(t, "bob")
	passing, leave := context.WithCancel(o.entered(t, last))
	passed := o.Ended(passing)
	leave()
	<-passed
	if _, err := o.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
		t.Fatal(err)
	}
	o.ForgetAll()
	s, last = o.signIn(t, "bob")
	ends = o.Ended(o.entered(t, last))
	if _, err := o.End(t.Context(), s.UserID, s.ID, session.LoggedOut); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, ends, session.LoggedOut)
	if got := o.asked.sessions.Load(); got != 2 {
		t.Errorf("asked about %d sessions, want Alice's and the last one", got)
	}
	if end, ok := <-o.Ended(t.Context()); ok {
		t.Errorf("without a session: got %v", end)
	}
	select {
	case <-o.Over(t.Context()):
		t.Error("nobody's session is over")
	default:
	}
}
