package budget

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// history is one budget and what has happened to it, counted apart from it.
type history struct {
	budget   *Budget
	clock    *clock
	interval time.Duration
	size     int

	open   []*request // those that wait, in the order in which they came
	given  []given
	pauses time.Time // until when nothing may be given
}

type request struct {
	*waiter
	user    string
	arrived time.Time
}

type given struct {
	user string
	at   time.Time
}

// had is how many the user was given within the minute before now.
func (h *history) had(user string, now time.Time) (n int) {
	for _, g := range h.given {
		if g.user == user && now.Sub(g.at) < time.Minute {
			n++
		}
	}
	return n
}

// arrive lets a request arrive, and settle looks at what came of it.
func (h *history) arrive(t *rapid.T) {
	user := rapid.SampledFrom([]string{"alice", "bob", "carol", "dave"}).Draw(t, "user")
	patience := rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Second, time.Minute}).Draw(t, "patience")
	now := h.clock.Now()
	w := h.budget.arrive(t.Context(), user, patience)
	if w == nil {
		if len(h.open) > 0 {
			t.Fatalf("%s's request was given while %d wait", user, len(h.open))
		}
		h.give(t, user, now)
		return
	}
	if w.deadline != now.Add(patience) {
		t.Fatalf("got a deadline of %v, want %v", w.deadline.Sub(now), patience)
	}
	h.open = append(h.open, &request{w, user, now})
	h.settle(t)
}

// give records a request that was given.
func (h *history) give(t *rapid.T, user string, now time.Time) {
	if now.Before(h.pauses) {
		t.Fatalf("a request was given %v before the pause was over", h.pauses.Sub(now))
	}
	h.given = append(h.given, given{user, now})
	for i, first := range h.given {
		window := now.Sub(first.at)
		if got, want := len(h.given)-i, h.size+int(window/h.interval); got > want {
			t.Fatalf("%d requests were given within %v, want at most %d", got, window, want)
		}
	}
}

// settle looks at the requests that no longer wait, of which at most one was given.
func (h *history) settle(t *rapid.T) {
	now := h.clock.Now()
	var winner *request
	var open []*request
	for _, r := range h.open {
		switch got := state(r.waiter); {
		case got == "waits":
			open = append(open, r)
		case got == "given" && winner == nil:
			winner = r
		case got == "given":
			t.Fatalf("two of those who wait were given a request at once")
		case !now.Add(r.err.(*Exhausted).RetryAfter).After(r.deadline): //nolint:errorlint // state has looked
			t.Fatalf("%s was refused with %v although its turn comes before %v", r.user, got, r.deadline.Sub(now))
		}
	}
	h.open = open
	if winner != nil {
		h.nobodyWasPassed(t, winner, now)
		h.give(t, winner.user, now)
	}
	for _, r := range open {
		if now.After(r.deadline) {
			t.Fatalf("%s waits %v longer than it wanted to", r.user, now.Sub(r.deadline))
		}
	}
}

func (h *history) nobodyWasPassed(t *rapid.T, winner *request, now time.Time) {
	had := h.had(winner.user, now)
	for _, r := range h.open {
		switch others := h.had(r.user, now); {
		case r.user == winner.user && r.number < winner.number:
			t.Fatalf("a later request of %s's passed an earlier one", r.user)
		case others < had:
			t.Fatalf("%s, who had %d, passed %s, who had %d", winner.user, had, r.user, others)
		case others == had && r.number < winner.number:
			t.Fatalf("%s passed %s, who had as many and came before", winner.user, r.user)
		}
	}
}

// advance lets time pass, in steps within which at most one token comes.
func (h *history) advance(t *rapid.T) {
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		h.clock.advance(h.interval / 4)
		h.settle(t)
	}
}

func (h *history) leave(t *rapid.T) {
	if len(h.open) == 0 {
		t.Skip("nobody waits")
	}
	i := rapid.IntRange(0, len(h.open)-1).Draw(t, "who")
	h.budget.mu.Lock()
	there := h.budget.queue.remove(h.open[i].waiter)
	h.budget.mu.Unlock()
	if !there {
		t.Fatalf("one who waits was not in the queue")
	}
	h.open = append(h.open[:i:i], h.open[i+1:]...)
}

func (h *history) empty(t *rapid.T) {
	pause := time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * h.interval / 4
	h.budget.Empty(pause)
	h.pauses = later(h.pauses, h.clock.Now().Add(max(pause, 1)))
	h.settle(t)
}

// idle holds where nobody waits for what is there: as soon as so much time has
// passed that a token must have come, someone was given it.
func (h *history) idle(t *rapid.T) {
	if len(h.open) == 0 || len(h.given) == 0 || h.clock.Now().Before(h.pauses.Add(h.interval)) {
		return
	}
	last, now := h.given[len(h.given)-1].at, h.clock.Now()
	since := later(last, h.open[0].arrived)
	if waited := now.Sub(since); waited > h.interval {
		t.Fatalf("someone has waited for %v, and nobody was given anything", waited)
	}
}

func TestAnyHistoryIsFairAndWithinTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Of these every quarter of an interval is whole, so that what happens does so
		// when it is looked at.
		size := rapid.SampledFrom([]int{1, 2, 3, 6, 10, 20}).Draw(t, "per minute")
		clock := newClock()
		h := &history{
			budget: New(Config{PerMinute: size, Now: clock.Now, AfterFunc: clock.AfterFunc}),
			clock:  clock, size: size, interval: newBucket(size).interval,
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": h.arrive, "arrive again": h.arrive, "advance": h.advance, "leave": h.leave, "empty": h.empty,
			"": h.idle,
		})
		if got := len(h.budget.queue.gifts); got > 2*size {
			t.Fatalf("%d gifts are remembered", got)
		}
	})
}
