package storetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// tick is the step of the simulated clock, so long that the time that really
// passes during a test is nothing beside it. Leases and retries end between two
// ticks.
const tick = 10 * time.Minute

// custody is one user's grant on which several replicas act in any order, and at
// once. What they get, and what is then stored, must be what the Model gets in
// one of the orders in which it can have happened. What matters most is checked
// apart from the Model, from what the store answered alone.
type custody struct {
	*fixture

	clock    time.Time // the store's, as simulated
	model    *Model
	ids      map[string]string // the model's ID of each grant, by the store's
	subject  string
	user     string
	sessions []string // the IDs of all that began
	replicas []replica
	pending  map[string]int // revocations of histories before this one, by kind
	made     int            // numbers what is made

	leases []*lease    // all that were given
	newest secret.Text // the refresh token that was stored last
	stored grant.Grant // as it was after the last step; zero: erased

	consented   time.Time // when the user last signed in
	interrupted bool      // the grant was ended so, and takes a late answer
}

// replica is what one process knows.
type replica struct {
	store Store
	seen  grant.Grant // as it last read it; zero: never did
	owner string      // of the lease that it was last given
	taken grant.Grant // as it was before that
}

type lease struct {
	owner, grantID string
	version        int64
	ends           time.Time
	over           bool // its owner has said how it went, or was fenced off
}

// fewer leaves it at 50 histories, which take a database some seconds, unless a
// flag or the environment says how many.
var fewer = sync.OnceFunc(func() {
	checks, given := flag.Lookup("rapid.checks"), false
	flag.Visit(func(f *flag.Flag) { given = given || f == checks })
	if !given && checks.DefValue == "100" {
		_ = checks.Value.Set("50")
	}
})

// anyHistory is a test of the leases under random histories: -rapid.checks=1000
// makes that many, -rapid.steps=100 makes them longer than 30 steps.
func anyHistory(f *fixture) {
	fewer()
	histories := 0
	rapid.Check(f.t, func(t *rapid.T) {
		histories++
		c := &custody{fixture: f, clock: f.now, ids: make(map[string]string), subject: fmt.Sprintf("subject-%d", histories)}
		c.model = &Model{Now: func() time.Time { return c.clock }}
		c.replicas = make([]replica, rapid.IntRange(2, 5).Draw(t, "replicas"))
		for i := range c.replicas {
			c.replicas[i].store = []Store{f.Store, f.Replica}[i%2]
		}
		c.pending = c.pendingRevocations()
		c.happen(t, c.signIn(t))
		audited := rapid.IntRange(0, 2).Draw(t, "audited if 0") == 0 // reading the log takes long
		t.Repeat(rapid.StateMachineActions(c))
		if audited {
			c.sameEvents(t)
		}
	})
}

// Read lets a replica read the grant.
func (c *custody) Read(t *rapid.T) { c.happen(t, c.read(c.replica(t))) }

// Acquire lets a replica ask for a lease on what it has read, lately or long ago.
func (c *custody) Acquire(t *rapid.T) { c.happen(t, c.acquire(t)) }

// Publish lets a replica publish, whether it may or not.
func (c *custody) Publish(t *rapid.T) { c.happen(t, c.publish(t)) }

// Fail lets a replica record a failure, whether it may or not.
func (c *custody) Fail(t *rapid.T) { c.happen(t, c.fail(t)) }

// Release lets a replica give a lease back, whether it has it or not.
func (c *custody) Release(t *rapid.T) { c.happen(t, c.release(t)) }

// Consent lets the user sign in, with or without a new refresh token, or give
// the grant back.
func (c *custody) Consent(t *rapid.T) { c.happen(t, c.consent(t)) }

// SignOut lets the user end sessions.
func (c *custody) SignOut(t *rapid.T) { c.happen(t, c.signOut(t)) }

// Write lets the user change something at Galaxy.
func (c *custody) Write(t *rapid.T) { c.happen(t, c.write(t)) }

// AtOnce lets two or three of these happen at the same time.
func (c *custody) AtOnce(t *rapid.T) {
	kinds := map[string]func(*rapid.T) deed{
		"read":    func(t *rapid.T) deed { return c.read(c.replica(t)) },
		"acquire": c.acquire, "publish": c.publish, "fail": c.fail, "release": c.release, "write": c.write,
		"sign in": c.signIn, "sign out": c.signOut, "erase": func(*rapid.T) deed { return c.erase() },
	}
	deeds := make([]deed, rapid.IntRange(2, 3).Draw(t, "at once"))
	for i := range deeds {
		deeds[i] = kinds[rapid.SampledFrom(slices.Sorted(maps.Keys(kinds))).Draw(t, "kind")](t)
	}
	c.happen(t, deeds...)
}

// Crash lets a replica forget everything.
func (c *custody) Crash(t *rapid.T) { *c.replica(t) = replica{store: c.Store} }

// Elapse lets time pass, for instance while a replica stands still.
func (c *custody) Elapse(t *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 4).Draw(t, "ticks")) * tick
	c.Stores.Elapse(c.t, d)
	c.clock = c.clock.Add(d)
}

// Check is run after each step.
func (c *custody) Check(t *rapid.T) {
	stored := c.state()
	if diff := c.differ(c.ids, stored, c.stateOf(c.model)); diff != "" {
		t.Fatalf("stored differs from the model (-model +store):\n%s", diff)
	}
	now, before := stored.grant, c.stored
	if now.ID == before.ID && (now.Version < before.Version ||
		now.Version == before.Version && !now.Refresh.Equal(before.Refresh)) {
		t.Fatalf("version %d after %d, refresh token changed: %v", now.Version, before.Version, !now.Refresh.Equal(before.Refresh))
	}
	if now.ID != "" && !now.Refresh.Equal(c.newest) {
		t.Fatalf("the stored refresh token is not the newest")
	}
	for _, l := range c.leases {
		l.over = l.over || l.grantID != now.ID || l.version != now.Version
	}
	c.stored = now
}

// acquired keeps the lease that a replica was given.
func (c *custody) acquired(t *rapid.T, l *lease) {
	for _, other := range c.leases {
		if !other.over && other.grantID == l.grantID && c.clock.Before(other.ends) {
			t.Fatalf("%s was given a lease while that of %s stood", l.owner, other.owner)
		}
		if !other.over {
			other.over = true
		}
	}
	if c.stored.ID == l.grantID && c.stored.Version > l.version {
		t.Fatalf("%s was given a lease on version %d of %d", l.owner, l.version, c.stored.Version)
	}
	c.leases = append(c.leases, l)
}

// heard ends the lease of a replica that was let to say how it went.
func (c *custody) heard(t *rapid.T, owner string) {
	for _, l := range c.leases {
		if l.owner == owner && !l.over {
			l.over = true
			return
		}
	}
	t.Fatalf("%q was heard without a lease of its own", owner)
}

// outdated ends the lease of a replica that spoke about the consent before.
func (c *custody) outdated(seen grant.Grant, owner string) {
	for _, l := range c.leases {
		l.over = l.over || l.owner == owner && l.grantID == seen.ID && l.version == seen.Version
	}
}

// sameEvents compares the audit logs. Their order is by different clocks.
func (c *custody) sameEvents(t *rapid.T) {
	var got []string
	for _, e := range c.Events(c.t) {
		if e.UserID == c.user {
			got = append(got, inShort(e))
		}
	}
	slices.Sort(got)
	slices.Sort(c.model.events)
	if diff := cmp.Diff(c.model.events, got); diff != "" {
		t.Fatalf("audit log differs from the model's (-model +store):\n%s", diff)
	}
}

// deed is something that is done to the store, and to a model of it.
type deed struct {
	name  string
	store func() answer
	model func(*Model) answer
	then  func(answer) // what follows from the store's answer
}

// answer is what a store says to a deed.
type answer struct {
	grant   grant.Grant
	erased  grant.PendingRevocation
	session string         // the ID of the one that ended
	ended   int            // how many sessions did
	pending map[string]int // revocations of this history, by kind
	err     error
}

func answerOf(g grant.Grant, err error) answer { return answer{grant: g, err: err} }

// state is what is stored now.
func (c *custody) state() answer {
	a := answerOf(c.Grant(c.t.Context(), c.user))
	a.pending = c.pendingRevocations()
	for kind, n := range c.pending {
		if a.pending[kind] -= n; a.pending[kind] == 0 {
			delete(a.pending, kind)
		}
	}
	return a
}

func (c *custody) stateOf(m *Model) answer {
	a := answerOf(m.Grant(c.t.Context(), c.user))
	a.pending, _ = m.PendingRevocations(c.t.Context())
	return a
}

func (c *custody) pendingRevocations() map[string]int {
	counts, err := c.PendingRevocations(c.t.Context())
	c.must(err)
	return counts
}

// happen does the deeds at the same time, and then to the model in an order in
// which the answers are the same.
func (c *custody) happen(t *rapid.T, deeds ...deed) {
	answers := make([]answer, len(deeds))
	var group sync.WaitGroup
	for i, d := range deeds {
		group.Go(func() { answers[i] = d.store() })
	}
	group.Wait()
	var stored answer // after one deed Check will look
	if len(deeds) > 1 {
		stored = c.state()
	}
	var why strings.Builder
	for _, order := range orders(len(deeds)) {
		model, ids := c.model.clone(), maps.Clone(c.ids)
		diff := ""
		for _, i := range order {
			diff += c.differ(ids, answers[i], deeds[i].model(model))
		}
		if len(deeds) > 1 {
			diff += c.differ(ids, stored, c.stateOf(model))
		}
		if diff == "" {
			c.model, c.ids = model, ids
			for _, i := range order {
				t.Logf("%s: %v", deeds[i].name, answers[i].err)
				deeds[i].then(answers[i])
			}
			return
		}
		fmt.Fprintf(&why, "in the order %v (-model +store):\n%s", order, diff)
	}
	for i, d := range deeds {
		t.Logf("%d. %s: %v", i, d.name, answers[i].err)
	}
	t.Fatalf("the model answers otherwise:\n%s", why.String())
}

// orders are the orders of n things.
func orders(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, shorter := range orders(n - 1) {
		for i := range n {
			all = append(all, slices.Insert(slices.Clone(shorter), i, n-1))
		}
	}
	return all
}

// differ returns how the answers differ, the IDs of grants and the time that
// really passes apart. An ID that is new to both is learned.
func (c *custody) differ(ids map[string]string, store, model answer) string {
	learn := func(of, known string) string {
		if _, met := ids[of]; !met && !slices.Contains(slices.Collect(maps.Values(ids)), known) {
			ids[of] = known
		}
		return ids[of]
	}
	store.grant.ID, store.grant.Subject = learn(store.grant.ID, model.grant.ID), ""
	store.erased.GrantID = learn(store.erased.GrantID, model.erased.GrantID)
	diff := ""
	if !errors.Is(store.err, model.err) {
		diff = fmt.Sprintf("error %v, of the model %v\n", store.err, model.err)
	}
	for _, a := range []*answer{&store, &model} {
		for _, d := range []*time.Duration{&a.grant.LeaseLeft, &a.grant.LapsedFor, &a.grant.RetryIn} {
			*d = (*d + tick - 1).Truncate(tick)
		}
		a.erased.ID, a.err = "", nil
	}
	return diff + cmp.Diff(model, store, cmp.AllowUnexported(answer{}))
}

func (c *custody) replica(t *rapid.T) *replica {
	return &c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, "replica")]
}

// owner is more often than not the replica that has the lease.
func (c *custody) owner(t *rapid.T) *replica {
	r := c.replica(t)
	if rapid.IntRange(0, 3).Draw(t, "the owner if not 0") == 0 {
		return r
	}
	for i := range c.replicas {
		for _, l := range c.leases {
			if l.owner == c.replicas[i].owner && !l.over {
				r = &c.replicas[i]
			}
		}
	}
	return r
}

func (c *custody) read(r *replica) deed {
	ctx := c.t.Context()
	return deed{
		name:  "read",
		store: func() answer { return answerOf(r.store.Grant(ctx, c.user)) },
		model: func(m *Model) answer { return answerOf(m.Grant(ctx, c.user)) },
		then:  func(a answer) { r.seen = a.grant },
	}
}

// leaseDeed is a method of grant.Leases, called with what the replica has seen.
func (c *custody) leaseDeed(
	name string, r *replica, seen grant.Grant, owner string, do func(context.Context, grant.Leases, grant.Grant) answer, then func(),
) deed {
	store, renamed := r.store, seen
	renamed.ID = c.ids[seen.ID]
	return deed{
		name:  fmt.Sprintf("%s by %q at version %d", name, owner, seen.Version),
		store: func() answer { return do(c.t.Context(), store, seen) },
		model: func(m *Model) answer { return do(c.t.Context(), m, renamed) },
		then: func(a answer) {
			if a.err == nil {
				then()
			}
		},
	}
}

func (c *custody) acquire(t *rapid.T) deed {
	r := c.replica(t)
	if rapid.IntRange(0, 3).Draw(t, "read before if not 0") != 0 {
		c.happen(t, c.read(r))
	}
	owner, life := c.name("owner"), c.duration(t, "lease")
	l := &lease{owner: owner, grantID: r.seen.ID, version: r.seen.Version, ends: c.clock.Add(life)}
	seen := r.seen
	return c.leaseDeed("acquire", r, seen, owner, func(ctx context.Context, s grant.Leases, g grant.Grant) answer {
		return answer{err: s.Acquire(ctx, g, owner, life)}
	}, func() {
		r.owner, r.taken = owner, seen
		c.acquired(t, l)
	})
}

func (c *custody) release(t *rapid.T) deed {
	r := c.owner(t)
	owner := r.owner
	return c.leaseDeed("release", r, r.taken, owner, func(ctx context.Context, s grant.Leases, g grant.Grant) answer {
		return answer{err: s.Release(ctx, g, owner)}
	}, func() { c.heard(t, owner) })
}

func (c *custody) publish(t *rapid.T) deed {
	r := c.owner(t)
	owner, tokens, now := r.owner, c.newTokens(t), c.now()
	return c.leaseDeed("publish", r, r.seen, owner, func(ctx context.Context, s grant.Leases, g grant.Grant) answer {
		return answerOf(s.Publish(ctx, g, owner, tokens, now))
	}, func() {
		if !c.interrupted {
			c.heard(t, owner)
		}
		c.interrupted = false
		c.keep(tokens)
	})
}

func (c *custody) fail(t *rapid.T) deed {
	r := c.owner(t)
	owner, retryIn := r.owner, c.duration(t, "retry")
	f := &grant.Failure{
		Kind:   rapid.SampledFrom([]grant.Kind{grant.Later, grant.OperatorFault, grant.SignInAgain}).Draw(t, "kind"),
		Reason: rapid.SampledFrom([]string{c.name("reason"), grant.ReasonSubject, grant.ReasonInterrupted}).Draw(t, "reason"), Message: "its words", Status: 400,
	}
	seen := r.seen
	d := c.leaseDeed("fail "+string(f.Kind), r, seen, owner, func(ctx context.Context, s grant.Leases, g grant.Grant) answer {
		return answer{err: s.Fail(ctx, g, owner, f, retryIn)}
	}, func() {
		c.heard(t, owner)
		c.interrupted = f.Kind == grant.SignInAgain && f.Reason == grant.ReasonInterrupted
	})
	heard := d.then
	d.then = func(a answer) {
		heard(a)
		if errors.Is(a.err, grant.ErrLost) && !seen.AuthorizedAt.Equal(c.consented) {
			c.outdated(seen, owner)
		}
	}
	return d
}

func (c *custody) signIn(t *rapid.T) deed {
	s, now, id := c.signInOf(c.subject), c.now(), c.name("grant")
	s.Session.ExpiresAt = c.fixture.now.AddDate(1, 0, 0) // not in this history
	s.Tokens = c.newTokens(t)
	if s.Tokens.Scopes == nil {
		s.Tokens.Scopes = []string{}
	}
	first := c.user == ""
	return deed{
		name: "sign in",
		store: func() answer {
			created, err := c.SignIn(c.t.Context(), s, now)
			if first {
				c.user = created.UserID
			}
			return answer{err: err}
		},
		model: func(m *Model) answer {
			m.SignIn(id, c.user, s.Session.ID, s.Tokens, now)
			return answer{}
		},
		then: func(answer) {
			c.consented, c.interrupted = now, false
			c.keep(s.Tokens)
			c.sessions = append(c.sessions, s.Session.ID)
		},
	}
}

// ender is what of session.Ender a Model does.
type ender interface {
	End(ctx context.Context, userID, id string, reason session.EndReason, now time.Time) (session.Session, error)
	EndOthers(ctx context.Context, userID, keepID string, reason session.EndReason, now time.Time) (int, error)
}

// signOut ends a session, which may have ended before, or all of them.
func (c *custody) signOut(t *rapid.T) deed {
	now, id := c.now(), ""
	if rapid.Bool().Draw(t, "one alone") {
		id = rapid.SampledFrom(c.sessions).Draw(t, "session")
	}
	end := func(s ender) answer {
		if id == "" {
			ended, err := s.EndOthers(c.t.Context(), c.user, "", session.EndedByUser, now)
			return answer{ended: ended, err: err}
		}
		ended, err := s.End(c.t.Context(), c.user, id, session.LoggedOut, now)
		return answer{session: ended.ID, err: err}
	}
	return deed{
		name:  "sign out",
		store: func() answer { return end(c.fixture) },
		model: func(m *Model) answer { return end(m) },
		then:  func(answer) {},
	}
}

func (c *custody) write(t *rapid.T) deed {
	r := c.replica(t)
	return deed{
		name:  "write",
		store: func() answer { return answer{err: r.store.Wrote(c.t.Context(), c.user)} },
		model: func(m *Model) answer { return answer{err: m.Wrote(c.t.Context(), c.user)} },
		then:  func(answer) {},
	}
}

func (c *custody) consent(t *rapid.T) deed {
	if rapid.IntRange(0, 4).Draw(t, "given back if 4") == 4 {
		return c.erase()
	}
	return c.signIn(t)
}

func (c *custody) erase() deed {
	erase := func(s grant.Store) answer {
		erased, ended, err := s.Erase(c.t.Context(), c.user)
		return answer{erased: erased, ended: ended, err: err}
	}
	return deed{
		name:  "erase",
		store: func() answer { return erase(c.fixture) },
		model: func(m *Model) answer { return erase(m) },
		then: func(a answer) {
			if a.err == nil {
				c.newest, c.interrupted = secret.Text{}, false
			}
		},
	}
}

// keep remembers the refresh token that is now stored.
func (c *custody) keep(t grant.Tokens) {
	if !t.Refresh.IsZero() {
		c.newest = t.Refresh
	}
}

// newTokens are what a provider may answer: another refresh token, none, or the
// same one once more.
func (c *custody) newTokens(t *rapid.T) grant.Tokens {
	tokens := c.tokens("openid", c.name("scope"))
	tokens.Refresh = rapid.SampledFrom([]secret.Text{tokens.Refresh, {}, c.newest}).Draw(t, "refresh token")
	if rapid.Bool().Draw(t, "silent about scopes") {
		tokens.Scopes = nil
	}
	return tokens
}

func (c *custody) duration(t *rapid.T, what string) time.Duration {
	return time.Duration(rapid.IntRange(0, 3).Draw(t, what))*tick + tick/2
}

// now is a time of the gateway's that has not been before.
func (c *custody) now() time.Time {
	c.made++
	return c.fixture.now.Add(time.Duration(c.made) * time.Millisecond)
}

func (c *custody) name(kind string) string {
	c.made++
	return fmt.Sprintf("%s-%d", kind, c.made)
}
