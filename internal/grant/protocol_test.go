// The histories run in bubbles of testing/synctest, one after the other by the
// thousand, on which the race detector's runtime now and then dies (seen with Go
// 1.26.8, as SIGSEGV): they are left out of its builds, and run without it.

//go:build !race

package grant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"galaxygate/internal/grant"
)

// The whole protocol, under ten times as many random histories as -rapid.checks
// says; -rapid.steps=100 makes them longer than 30 steps. The only chance beside
// rapid's is in the jitter of waits and in who comes first at one instant, so that
// a failure may need a few tries to be seen again.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	for range 10 {
		rapid.Check(t, func(t *rapid.T) {
			rapid.SyncTest(t, func(t *rapid.T) {
				h := newHistory(t)
				defer h.end()
				t.Repeat(rapid.StateMachineActions(h))
				h.settle(t)
			})
		})
	}
}

func TestARefreshThatWaitsInVainForOthersIsToBeTriedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(false, time.Second)
		n := s.newNode("replica", 0)
		s.signIn(another)
		<-time.After(2 * time.Second)
		if err := s.store.Acquire(t.Context(), s.stored(), "another", time.Hour); err != nil {
			t.Fatal(err)
		}
		_, err := n.source.Token(t.Context(), simulatedUser)
		var f *grant.Failure
		if !errors.As(err, &f) || f.Kind != grant.Later {
			t.Errorf("got %v", err)
		}
	})
}

// history is a simulation with which anything may happen.
type history struct {
	*simulation

	nodes    []*node
	skews    []time.Duration
	made     int
	requests []*request
}

// request is one of a client's, at one replica.
type request struct {
	node         *node
	patience     time.Duration // when its context ends; 0: never
	began, ended time.Time
	done         chan struct{}
	token        grant.Token
	err          error
}

// longest is how long a request may take at most where nobody stands still: it may
// join a flight that began for older tokens, and then needs one more. A flight is
// ended after 35 s, and what it then has begun to present 20 s later.
const longest = 2 * (35 + 20) * time.Second

// maxSkew is how far a replica's clock may be from the store's.
const maxSkew = 4 * time.Second

func newHistory(t *rapid.T) *history {
	rotates := rapid.Bool().Draw(t, "the provider rotates")
	life := rapid.SampledFrom([]time.Duration{5 * time.Second, time.Minute, 10 * time.Minute}).Draw(t, "token life")
	h := &history{simulation: newSimulation(rotates, life)}
	h.idp.treats(reply{kind: works, travel: 20 * time.Millisecond, answer: 30 * time.Millisecond})
	for range rapid.IntRange(1, 4).Draw(t, "replicas") {
		skew := time.Duration(rapid.IntRange(-2, 2).Draw(t, "skew")) * maxSkew / 2
		h.skews = append(h.skews, skew)
		h.nodes = append(h.nodes, h.start(skew))
	}
	h.signIn(another)
	return h
}

func (h *history) start(skew time.Duration) *node {
	h.made++
	return h.newNode(fmt.Sprintf("replica %d", h.made), skew)
}

// Requests lets a few requests arrive, some of which will not wait for long.
func (h *history) Requests(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "requests") {
		patience := rapid.SampledFrom([]time.Duration{0, 0, 0, 30 * time.Second, 2 * time.Second, 10 * time.Millisecond}).Draw(t, "patience")
		h.request(h.node(t), patience, rapid.Bool().Draw(t, "with a call"))
	}
}

// Elapse lets time pass.
func (h *history) Elapse(t *rapid.T) {
	<-time.After(rapid.SampledFrom([]time.Duration{
		time.Millisecond, 40 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second,
		11 * time.Second, 16 * time.Second, 50 * time.Second, 6 * time.Minute,
	}).Draw(t, "for"))
}

// Expire lets time pass until the stored access token has expired for everyone,
// and then requests arrive.
func (h *history) Expire(t *rapid.T) {
	<-time.After(time.Until(h.stored().AccessExpiresAt) + maxSkew)
	h.Requests(t)
}

// Trouble begins, or ends, somewhere.
func (h *history) Trouble(t *rapid.T) {
	switch rapid.SampledFrom([]string{
		"provider", "provider", "store", "store", "notifications", "pause", "crash",
	}).Draw(t, "trouble") {
	case "provider":
		h.provider(t)
	case "store":
		h.statements(t)
	case "notifications":
		h.notifications(t)
	case "pause":
		h.pause(t)
	case "crash":
		h.crash(t)
	}
}

// provider changes how the provider treats presentations.
func (h *history) provider(t *rapid.T) {
	wait := rapid.SampledFrom([]time.Duration{
		5 * time.Millisecond, 200 * time.Millisecond, 4 * time.Second, 9 * time.Second, 20 * time.Second,
	})
	r := reply{
		kind: rapid.SampledFrom([]kind{
			works, works, works, works, unsent, away, limits, mistakes, forgets, hangs, resets,
		}).Draw(t, "provider"),
		travel: wait.Draw(t, "travel"), answer: wait.Draw(t, "answer"),
	}
	h.idp.treats(r)
	h.note("the provider %s, %v + %v", r.kind, r.travel, r.answer)
}

// statements of a replica's are slow, fail, or seem to.
func (h *history) statements(t *rapid.T) {
	wait := rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 2 * time.Second, 5 * time.Second})
	trouble := trouble{
		before: wait.Draw(t, "before"), after: wait.Draw(t, "after"),
		refused: rapid.Bool().Draw(t, "refused"), lost: rapid.Bool().Draw(t, "lost"),
	}
	n, d := h.node(t), h.while(t)
	n.suffer(trouble, d)
	h.excuse("trouble with the store")
	h.note("%s: statements %v + %v, refused %v, lost %v for %v", n.name,
		trouble.before, trouble.after, trouble.refused, trouble.lost, d)
}

// notifications come late to a replica, or never.
func (h *history) notifications(t *rapid.T) {
	n := h.node(t)
	late := rapid.SampledFrom([]time.Duration{0, -1, 100 * time.Millisecond, 5 * time.Second}).Draw(t, "late")
	n.listen(late)
	h.note("%s: notifications late by %v", n.name, late)
}

// pause lets a replica stand still.
func (h *history) pause(t *rapid.T) {
	n, d := h.node(t), h.while(t)
	n.pause(d)
	h.excuse("a replica that stood still")
	h.note("%s: stands still for %v", n.name, d)
}

// crash ends a replica, and starts another.
func (h *history) crash(t *rapid.T) {
	i := rapid.IntRange(0, len(h.nodes)-1).Draw(t, "replica")
	h.nodes[i].crash()
	h.excuse("a crash")
	h.note("%s: crashes", h.nodes[i].name)
	h.nodes[i] = h.start(h.skews[i])
}

// Consent lets the user sign in once more, sign out, or give the consent back.
func (h *history) Consent(t *rapid.T) {
	switch rapid.IntRange(0, 5).Draw(t, "given back if 4, signed out if 5") {
	case 4:
		h.revoke(h.node(t))
		return
	case 5:
		h.signOut()
		return
	}
	kinds := []signInKind{another, none, same}
	if h.idp.rotates {
		kinds = kinds[:2]
	}
	k := rapid.SampledFrom(kinds).Draw(t, "refresh token")
	h.signIn(k)
	if k != another {
		h.excuse("a sign-in without a new refresh token")
	}
}

func (h *history) revoke(n *node) {
	h.excuse("a consent given back")
	h.note("%s: the user gives the consent back", n.name)
	go func() {
		_, err := n.source.Revoke(context.Background(), simulatedUser)
		h.note("%s: revoked: %v", n.name, err)
	}()
}

// Check is run after each step.
func (h *history) Check(t *rapid.T) {
	synctest.Wait()
	for _, r := range h.requests {
		h.answered(r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.wrong) > 0 {
		t.Fatalf("%s, in this history:\n%s", h.wrong[0], strings.Join(h.story, "\n"))
	}
}

func (h *history) node(t *rapid.T) *node {
	return h.nodes[rapid.IntRange(0, len(h.nodes)-1).Draw(t, "replica")]
}

func (h *history) while(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{
		500 * time.Millisecond, 4 * time.Second, 12 * time.Second, 20 * time.Second, time.Minute,
	}).Draw(t, "while")
}

// request lets a request arrive at the replica.
func (h *history) request(n *node, patience time.Duration, call bool) *request {
	r := &request{node: n, patience: patience, began: time.Now(), done: make(chan struct{})}
	h.requests = append(h.requests, r)
	h.note("%s: a request", n.name)
	go func() {
		defer close(r.done)
		ctx := context.Background()
		if patience > 0 {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, patience)
			defer cancel()
		}
		if call {
			r.err = n.source.Call(ctx, simulatedUser, func(_ context.Context, token grant.Token) error {
				r.token = token
				if !h.idp.accepts(token.Value) {
					return grant.ErrTokenRejected
				}
				return nil
			})
		} else {
			r.token, r.err = n.source.Token(ctx, simulatedUser)
		}
		r.ended = time.Now()
		h.note("%s: answers %q, %v", n.name, r.token.Value.Reveal(), r.err)
	}()
	return r
}

// answered checks how a request was answered, and that it was in time.
func (h *history) answered(r *request) {
	if r.node.crashed() {
		return
	}
	ended, answered := time.Now(), false
	select {
	case <-r.done:
		ended, answered = r.ended, true
	default:
	}
	limit := longest
	if r.patience > 0 {
		limit = r.patience
	}
	if took := ended.Sub(r.began) - r.node.unwellFor(r.began, ended); took > limit {
		h.violated("%s took %v to answer a request with patience %v", r.node.name, took, r.patience)
	}
	if answered {
		h.explained(r)
	}
}

// explained checks that an answer is one that the caller is promised.
func (h *history) explained(r *request) {
	var failure *grant.Failure
	switch {
	case r.err == nil && !h.wasStored(r.token):
		h.violated("%s answered with %q, which was never stored", r.node.name, r.token.Value.Reveal())
	case r.err == nil, errors.As(r.err, &failure), errors.Is(r.err, grant.ErrReauthenticationRequired):
	case errors.Is(r.err, grant.ErrTokenRejected):
	case errors.Is(r.err, grant.ErrSignedOut) && h.signedOut > 0:
	case r.patience > 0 && errors.Is(r.err, context.DeadlineExceeded):
	case !h.excused():
		h.violated("%s answered %v without any trouble", r.node.name, r.err)
	}
}

func (h *history) wasStored(t grant.Token) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.served[t.Value.Reveal()]
}

// settle lets all trouble end. Then every request is answered, everything in the
// background ends, and every replica gives out a token that is accepted, unless
// the user must sign in again for something that happened.
func (h *history) settle(t *rapid.T) {
	h.note("all trouble ends")
	h.idp.treats(reply{kind: works, travel: 20 * time.Millisecond, answer: 30 * time.Millisecond})
	<-time.After(15 * time.Minute) // whatever was in trouble, and the longest wait for a retry
	h.Check(t)
	for _, r := range h.requests {
		select {
		case <-r.done:
		default:
			t.Fatalf("%s: a request was not answered", r.node.name)
		}
	}
	for _, n := range h.nodes {
		last := h.request(n, 0, true)
		<-last.done
		h.lastAnswer(n, last)
		ctx, cancel := context.WithTimeout(t.Context(), longest)
		if err := n.source.Wait(ctx); err != nil {
			h.violated("%s: its background did not end: %v", n.name, err)
		}
		cancel()
	}
	h.Check(t)
}

func (h *history) lastAnswer(n *node, r *request) {
	g := h.stored()
	switch {
	case !h.excused() && (r.err != nil || g.Status != grant.Active):
		h.violated("%s: the grant is %s, and the request got %v, without an excuse", n.name, g.Status, r.err)
	case r.err == nil && !h.idp.accepts(r.token.Value):
		h.violated("%s: %q is not accepted", n.name, r.token.Value.Reveal())
	case r.err == nil, errors.Is(r.err, grant.ErrReauthenticationRequired) && g.Status == grant.ReauthenticationRequired:
	case errors.Is(r.err, grant.ErrNotFound) && g.ID == "":
	case errors.Is(r.err, grant.ErrTokenRejected) && g.Refresh.IsZero():
	case errors.Is(r.err, grant.ErrSignedOut) && !h.signedIn:
	default:
		h.violated("%s: with a grant that is %q (%s), the request got %v", n.name, g.Status, g.StatusReason, r.err)
	}
}

// end lets everything that still runs come to its end.
func (h *history) end() {
	for _, n := range h.nodes {
		n.crash()
	}
}
