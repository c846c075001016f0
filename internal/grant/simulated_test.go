//go:build !race

package grant_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/storetest"
)

// simulation is several replicas, their store and a provider inside a bubble of
// testing/synctest, where a minute takes no time. It writes down what happens,
// and what must not have.
type simulation struct {
	store *storetest.Model
	idp   *idp

	mu      sync.Mutex
	began   time.Time
	story   []string
	wrong   []string
	leases  []*lease
	served  map[string]bool // access tokens that were stored, so may be given out
	excuses map[string]bool // what may cost the user another sign-in

	signedIn  bool // the user is, as far as they have not given the consent back
	signedOut int  // how often the user has
}

const simulatedUser = "alice"

// lease is an intent on record.
type lease struct {
	node   *node
	owner  string
	grant  string
	token  secret.Text
	begins time.Time
	ends   time.Time
	known  time.Time // when its owner heard of it
	over   bool      // its owner has said how it went
}

var (
	errAway    = errors.New("the store is away")
	errReset   = errors.New("connection reset at COMMIT")
	errCrashed = errors.New("this replica has crashed")
)

func newSimulation(rotates bool, tokenLife time.Duration) *simulation {
	s := &simulation{
		store: &storetest.Model{Now: time.Now}, began: time.Now(),
		served: make(map[string]bool), excuses: make(map[string]bool),
	}
	s.idp = &idp{s: s, rotates: rotates, life: tokenLife, minted: make(map[string]minted)}
	return s
}

// note writes down what happens.
func (s *simulation) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.story = append(s.story, fmt.Sprintf("%8.3fs ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// violated writes down that something happened which must not.
func (s *simulation) violated(format string, args ...any) {
	s.note("WRONG: "+format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// excuse writes down that something happened that may cost another sign-in.
func (s *simulation) excuse(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excuses[what] = true
}

func (s *simulation) excused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.excuses) > 0
}

// stored returns the user's grant; the zero Grant where there is none.
func (s *simulation) stored() grant.Grant {
	g, _ := s.store.Grant(context.Background(), simulatedUser)
	return g
}

// signIn stores what a sign-in at the provider brought, as package login does.
func (s *simulation) signIn(k signInKind) {
	old := s.stored().Refresh
	tokens := s.idp.signIn(k, old)
	s.serve(tokens.Access)
	s.store.SignIn(secret.Random().Reveal(), simulatedUser, secret.Random().Reveal(), tokens, time.Now())
	s.signedIn = true
	s.note("the user signs in, with refresh token %q in place of %q", tokens.Refresh.Reveal(), old.Reveal())
	if !s.stored().Refresh.Equal(old) {
		_, _ = s.idp.Revoke(context.Background(), secret.Text{}, old)
	}
}

// signOut ends the user's sessions. The tokens stay, to be used by nobody.
func (s *simulation) signOut() {
	ended, _ := s.store.EndOthers(context.Background(), simulatedUser, "", session.LoggedOut, time.Now())
	s.signedIn, s.signedOut = false, s.signedOut+1
	s.excuse("a user who signed out")
	s.note("the user signs out of %d sessions", ended)
}

func (s *simulation) serve(access secret.Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served[access.Reveal()] = true
}

// node is one replica: a Source with its own connections to store and provider.
type node struct {
	s      *simulation
	name   string
	source *grant.Source
	dead   chan struct{} // closed by its crash

	mu      sync.Mutex
	still   time.Time // it stands still until then
	trouble trouble
	hears   time.Duration // so late come notifications; below 0: never
	unwell  []span        // when it stood still, or had trouble
}

// trouble is what happens, until its end, to each statement that a replica sends.
type trouble struct {
	until         time.Time
	before, after time.Duration // how long it takes to have its effect, and then to be answered
	refused       bool          // it has no effect
	lost          bool          // it has its effect, and an error for an answer
}

type span struct{ from, to time.Time }

func (s *simulation) newNode(name string, skew time.Duration) *node {
	n := &node{s: s, name: name, dead: make(chan struct{})}
	n.source = &grant.Source{
		Store: n, Leases: n, Refresher: n,
		Early: time.Minute, Now: func() time.Time { return time.Now().Add(skew) },
		Logger: slog.New(slog.DiscardHandler),
	}
	n.source.Revocations = &grant.Revocations{
		Outbox: outbox{n: n}, Claims: outbox{n: n}, Revoker: s.idp,
		Now: n.source.Now, Logger: n.source.Logger,
	}
	return n
}

// pause lets the replica stand still, as one whose machine sleeps.
func (n *node) pause(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.still = time.Now().Add(d)
	n.unwell = append(n.unwell, span{time.Now(), n.still})
}

func (n *node) suffer(t trouble, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t.until = time.Now().Add(d)
	n.trouble = t
	n.unwell = append(n.unwell, span{time.Now(), t.until.Add(t.before + t.after)})
}

// listen sets how late notifications come; below 0 they do not.
func (n *node) listen(late time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hears = late
}

// crash lets nothing that the replica does reach anyone any more.
func (n *node) crash() { close(n.dead) }

func (n *node) crashed() bool {
	select {
	case <-n.dead:
		return true
	default:
		return false
	}
}

// unwellFor is how long, at most, the replica was unwell in that time.
func (n *node) unwellFor(from, to time.Time) (d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, u := range n.unwell {
		begin, end := u.from, u.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		d += max(end.Sub(begin), 0)
	}
	return d
}

// runs waits while the replica stands still, whatever its contexts say.
func (n *node) runs() error {
	for {
		n.mu.Lock()
		left := time.Until(n.still)
		n.mu.Unlock()
		if left <= 0 {
			break
		}
		select {
		case <-time.After(left):
		case <-n.dead:
		}
		if n.crashed() {
			break
		}
	}
	if n.crashed() {
		return errCrashed
	}
	return nil
}

// takes lets time pass, unless ctx ends or the replica crashes meanwhile.
func (n *node) takes(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil || d <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.dead:
		return errCrashed
	}
}

// statement is one transaction with the store.
func (n *node) statement(ctx context.Context, do func() error) error {
	if err := n.runs(); err != nil {
		return err
	}
	n.mu.Lock()
	trouble := n.trouble
	if time.Now().After(trouble.until) {
		trouble.before, trouble.after, trouble.refused, trouble.lost = 0, 0, false, false
	}
	n.mu.Unlock()
	if err := n.takes(ctx, trouble.before); err != nil {
		return err
	}
	if trouble.refused {
		return errAway
	}
	err := do()
	if ended := n.takes(ctx, trouble.after); ended != nil {
		return ended
	}
	if err := n.runs(); err != nil {
		return err
	}
	if trouble.lost {
		return errReset
	}
	return err
}

// Grant implements grant.Store.
func (n *node) Grant(ctx context.Context, userID string) (g grant.Grant, err error) {
	err = n.statement(ctx, func() error {
		g, err = n.s.store.Grant(ctx, userID)
		return err
	})
	return g, err
}

// Erase implements grant.Store.
func (n *node) Erase(ctx context.Context, userID string) (p grant.PendingRevocation, sessions int, err error) {
	err = n.statement(ctx, func() error {
		p, sessions, err = n.s.store.Erase(ctx, userID)
		n.s.note("%s: erase: %v", n.name, err)
		return err
	})
	return p, sessions, err
}

// outbox is one from which everything is attempted at once.
type outbox struct {
	grant.Outbox // what Revocations.Run asks of it
	grant.Claims // what a provider asks of it that is away

	n *node
}

// EnqueueRevocation implements grant.Outbox.
func (o outbox) EnqueueRevocation(ctx context.Context, p grant.PendingRevocation) error {
	return o.n.statement(ctx, func() error {
		o.n.s.note("%s: discards %q", o.n.name, p.Tokens.Refresh.Reveal())
		_, err := o.n.s.idp.Revoke(ctx, p.Tokens.Access, p.Tokens.Refresh)
		return err
	})
}

// ConcludeRevocation implements grant.Claims.
func (o outbox) ConcludeRevocation(ctx context.Context, _ grant.PendingRevocation, _ audit.Event) error {
	return o.n.statement(ctx, func() error { return nil })
}

// Watch implements grant.Store.
func (n *node) Watch(grantID string) (wake <-chan struct{}, stop func()) {
	sent, unwatch := n.s.store.Watch(grantID)
	heard, stopped := make(chan struct{}, 1), make(chan struct{})
	go func() {
		for {
			select {
			case <-stopped:
				return
			case <-sent:
			}
			n.mu.Lock()
			late := n.hears
			n.mu.Unlock()
			if late < 0 {
				continue
			}
			select {
			case <-stopped:
				return
			case <-time.After(late):
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	}()
	return heard, func() {
		unwatch()
		close(stopped)
	}
}

// Acquire implements grant.Leases.
func (n *node) Acquire(ctx context.Context, g grant.Grant, owner string, d time.Duration) error {
	err := n.statement(ctx, func() error {
		err := n.s.store.Acquire(ctx, g, owner, d)
		n.s.note("%s: acquire by %s: %v", n.name, owner[:4], err)
		if err == nil {
			n.s.mu.Lock()
			defer n.s.mu.Unlock()
			now := time.Now()
			n.s.leases = append(n.s.leases, &lease{
				node: n, owner: owner, grant: g.ID, token: g.Refresh, begins: now, ends: now.Add(d),
			})
		}
		return err
	})
	if err == nil {
		l := n.s.lease(func(l *lease) bool { return l.owner == owner })
		l.known = time.Now()
	}
	return err
}

// Release implements grant.Leases.
func (n *node) Release(ctx context.Context, g grant.Grant, owner string) error {
	return n.ending(ctx, "release", owner, func() error { return n.s.store.Release(ctx, g, owner) })
}

// Publish implements grant.Leases.
func (n *node) Publish(ctx context.Context, g grant.Grant, owner string, t grant.Tokens, now time.Time) (published grant.Grant, err error) {
	err = n.ending(ctx, "publish", owner, func() error {
		before := n.s.stored()
		if published, err = n.s.store.Publish(ctx, g, owner, t, now); err != nil {
			return err
		}
		n.s.serve(t.Access)
		if n.s.idp.older(published.Refresh, before.Refresh) || n.s.idp.older(published.Access, before.Access) {
			n.s.violated("%s stored older tokens over newer ones", n.name)
		}
		return nil
	})
	return published, err
}

// Fail implements grant.Leases.
func (n *node) Fail(ctx context.Context, g grant.Grant, owner string, f *grant.Failure, retryIn time.Duration) error {
	return n.ending(ctx, fmt.Sprintf("fail %s, %s", f.Kind, f.Reason), owner, func() error {
		err := n.s.store.Fail(ctx, g, owner, f, retryIn)
		if err == nil && f.Kind == grant.SignInAgain {
			n.s.signInAgain(n, g, f.Reason)
		}
		return err
	})
}

// ending is a statement that ends owner's lease.
func (n *node) ending(ctx context.Context, what, owner string, do func() error) error {
	return n.statement(ctx, func() error {
		err := do()
		n.s.note("%s: %s by %s: %v", n.name, what, owner[:4], err)
		if err != nil {
			return err
		}
		n.s.mu.Lock()
		defer n.s.mu.Unlock()
		for _, l := range n.s.leases {
			l.over = l.over || l.owner == owner
		}
		return nil
	})
}

// signInAgain checks that the user is told so for a documented reason.
func (s *simulation) signInAgain(n *node, g grant.Grant, reason string) {
	switch reason {
	case "no_refresh_token":
		if !g.Refresh.IsZero() {
			s.violated("%s: no refresh token, where there is one", n.name)
		}
	case "refresh_interrupted":
		if lapsed := s.lapsed(g); g.Lapses == 0 || lapsed < g.Lapses {
			s.violated("%s: interrupted %d times, of which %d are explained", n.name, g.Lapses, lapsed)
		}
	case "invalid_grant": // the provider answers for that
	default:
		s.violated("%s: sign in again for %q", n.name, reason)
	}
}

// lapsed is how many leases on the grant's refresh token may have run out.
func (s *simulation) lapsed(g grant.Grant) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.leases {
		if l.grant == g.ID && l.token.Equal(g.Refresh) && !l.over && l.mayLapse() {
			n++
		}
	}
	return n
}

// mayLapse reports whether the lease's owner is excused from ending it.
func (l *lease) mayLapse() bool {
	return l.node.crashed() || l.node.unwellFor(l.begins, l.ends) > time.Second
}

// lease returns the latest lease of that kind, or nil.
func (s *simulation) lease(is func(*lease) bool) *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range slices.Backward(s.leases) {
		if is(l) {
			return l
		}
	}
	return nil
}

// Refresh implements grant.Refresher.
func (n *node) Refresh(ctx context.Context, token secret.Text) (grant.Tokens, error) {
	if err := n.runs(); err != nil {
		return grant.Tokens{}, err
	}
	reply := n.s.idp.nextReply()
	if reply.kind == unsent {
		n.s.note("%s: cannot ask", n.name)
		return grant.Tokens{}, &grant.Failure{Kind: grant.Later, Reason: "discovery", Unsent: true}
	}
	p := n.present(token)
	answered := make(chan result, 1)
	go n.s.idp.receive(token, reply, answered)
	var r result
	select {
	case r = <-answered:
	case <-ctx.Done():
		r.failure = &grant.Failure{Kind: grant.Later, Reason: "timeout", Err: ctx.Err()}
		n.s.excuse("a presentation that timed out")
	case <-n.dead:
		return grant.Tokens{}, errCrashed
	}
	if err := n.runs(); err != nil {
		return grant.Tokens{}, err
	}
	n.s.idp.ended(p, r)
	n.s.note("%s: presented %q: %v", n.name, token.Reveal(), r.failure)
	if r.failure != nil {
		return grant.Tokens{}, r.failure
	}
	return r.tokens, nil
}

// present checks that the replica may present the token now.
func (n *node) present(token secret.Text) *presentation {
	s, now := n.s, time.Now()
	s.note("%s: presents %q", n.name, token.Reveal())
	l := s.lease(func(l *lease) bool { return l.node == n && l.token.Equal(token) && !l.over })
	current := s.stored()
	switch {
	case l == nil:
		s.violated("%s presents without an intent on record", n.name)
	case !now.Before(l.ends) && n.unwellFor(l.known, now) == 0:
		s.violated("%s presents after its lease has lapsed", n.name)
	case now.Before(l.ends) && current.ID == l.grant && current.Refresh.Equal(token) && current.LeaseOwner != l.owner:
		s.violated("%s presents on the lease of another", n.name)
	}
	return s.idp.began(&presentation{node: n, lease: l, token: token})
}
