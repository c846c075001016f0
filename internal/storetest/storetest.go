package storetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// Store is all that a store does.
type Store interface {
	grant.Store
	grant.Leases
	grant.Outbox
	grant.Claims
	grant.DueGrants
	session.Store
	session.Ender
	session.Register
	login.Store
	audit.Log
	audit.Reader
	// PendingRevocations returns how many revocations are in the outbox, by kind.
	PendingRevocations(ctx context.Context) (map[string]int, error)
	// GrantsByStatus returns how many grants there are of each status.
	GrantsByStatus(ctx context.Context) (map[string]int, error)
	// Wrote adds one to the Writes of the user's grant, where there is one.
	Wrote(ctx context.Context, userID string) error
}

// Stores is one empty database, open for a test.
type Stores struct {
	Store

	// Replica is another process's handle on the same database; the same one
	// where a database has but one process.
	Replica Store
	// Events returns the audit log, oldest first.
	Events func(t testing.TB) []audit.Event
	// Dump returns every value in the database, one after the other.
	Dump func(t testing.TB) []byte
	// Elapse makes leases and retries end so much sooner, and lapses so much
	// older, as if that time had passed for the database.
	Elapse func(t testing.TB, d time.Duration)
}

// Run tests the stores that open returns. Each subtest opens a database of its
// own.
func Run(t *testing.T, open func(t testing.TB) Stores) {
	t.Helper()
	groups := map[string]map[string]func(*fixture){
		"attempts":   attemptTests(),
		"sign-in":    signInTests(),
		"codes":      codeTests(),
		"grants":     grantTests(),
		"leases":     leaseTests(),
		"claims":     claimTests(),
		"outbox":     outboxTests(),
		"sessions":   sessionTests(),
		"logouts":    logoutTests(),
		"audit":      auditTests(),
		"everywhere": everywhereTests(),
	}
	for group, tests := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(&fixture{
						t:      t,
						Stores: open(t),
						now:    time.Now().UTC().Truncate(time.Microsecond),
					})
				})
			}
		})
	}
}

// fixture is one test's database and what tests do with it again and again.
type fixture struct {
	Stores

	t   *testing.T
	now time.Time
}

// must ends the test where err is not nil.
func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("unexpected error: %v", err)
	}
}

// same ends the test where the two differ.
func (f *fixture) same(what string, got, want any) {
	f.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Fatalf("%s differs (-want +got):\n%s", what, diff)
	}
}

// signInOf is a sign-in of that subject with tokens and a session of its own.
func (f *fixture) signInOf(subject string) login.SignIn {
	return login.SignIn{
		Issuer:            "https://issuer.example",
		Subject:           subject,
		ProviderSessionID: "sid-1",
		Tokens:            f.tokens("openid", "profile"),
		Session: session.Session{
			ID:         secret.Random().Reveal(),
			Kind:       session.Browser,
			UserAgent:  "Browser/1.0",
			IPAddress:  "192.0.2.1",
			CreatedAt:  f.now,
			LastSeenAt: f.now,
			ExpiresAt:  f.now.Add(time.Hour),
		},
		SessionToken: secret.Random(),
	}
}

// tokens are new ones, both kinds.
func (f *fixture) tokens(scopes ...string) grant.Tokens {
	return grant.Tokens{
		Access:          secret.Random(),
		AccessExpiresAt: f.now.Add(time.Hour),
		Refresh:         secret.Random(),
		Scopes:          scopes,
	}
}

// signIn signs Alice in, with changes, and returns her session and grant.
func (f *fixture) signIn(changes ...func(*login.SignIn)) (session.Session, grant.Grant) {
	f.t.Helper()
	return f.signInSubject("alice", changes...)
}

func (f *fixture) signInSubject(subject string, changes ...func(*login.SignIn)) (session.Session, grant.Grant) {
	f.t.Helper()
	s := f.signInOf(subject)
	for _, change := range changes {
		change(&s)
	}
	created, err := f.SignIn(f.t.Context(), s, f.now)
	f.must(err)
	return created, f.grantOf(created.UserID)
}

func (f *fixture) grantOf(userID string) grant.Grant {
	f.t.Helper()
	g, err := f.Grant(f.t.Context(), userID)
	f.must(err)
	return g
}

// leased signs Alice in and leases her grant to owner.
func (f *fixture) leased(owner string) grant.Grant {
	f.t.Helper()
	_, g := f.signIn()
	f.must(f.Acquire(f.t.Context(), g, owner, time.Minute))
	return f.grantOf(g.UserID)
}

// lapsed leases Alice's grant to owner and waits until the lease has run out.
func (f *fixture) lapsed(owner string) grant.Grant {
	f.t.Helper()
	_, g := f.signIn()
	f.must(f.Acquire(f.t.Context(), g, owner, time.Millisecond))
	f.eventually("the lease runs out", func() bool {
		g = f.grantOf(g.UserID)
		return g.LeaseLeft <= 0
	})
	return g
}

// eventually waits for the condition.
func (f *fixture) eventually(what string, condition func() bool) {
	f.t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(10 * time.Second); !condition(); {
		select {
		case <-poll.C:
		case <-deadline:
			f.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// woken waits for a wake-up.
func (f *fixture) woken(wake <-chan struct{}, by string) {
	f.t.Helper()
	select {
	case <-wake:
	case <-time.After(10 * time.Second):
		f.t.Fatalf("not woken by %s", by)
	}
}

// atOnce runs do n times at the same time and returns how many succeeded; the
// others must fail with want.
func (f *fixture) atOnce(n int, do func(i int) error, check func(error)) (succeeded int) {
	f.t.Helper()
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	group.Wait()
	for _, err := range errs {
		if err == nil {
			succeeded++
			continue
		}
		check(err)
	}
	return succeeded
}

// kinds returns the audit log in short: kind and reason of each event.
func (f *fixture) kinds() []string {
	f.t.Helper()
	var kinds []string
	for _, e := range f.Events(f.t) {
		kinds = append(kinds, inShort(e))
	}
	return kinds
}

func inShort(e audit.Event) string {
	return strings.TrimSpace(string(e.Kind) + " " + e.Reason)
}
