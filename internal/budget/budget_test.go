package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// take takes n requests at once, which must be there.
func take(t *testing.T, b *Budget, user string, n int) {
	t.Helper()
	for i := range n {
		if err := b.Take(t.Context(), user, 0); err != nil {
			t.Fatalf("request %d of %d for %s: %v", i+1, n, user, err)
		}
	}
}

// arrive lets a request of the user's arrive, which need not be given at once.
func arrive(t *testing.T, b *Budget, user string, patience time.Duration) *waiter {
	t.Helper()
	w := b.arrive(t.Context(), user, patience)
	if w == nil {
		w = &waiter{done: make(chan struct{})}
		close(w.done)
	}
	return w
}

// state says what has become of a request.
func state(w *waiter) string {
	select {
	case <-w.done:
	default:
		return "waits"
	}
	var exhausted *Exhausted
	switch {
	case w.err == nil:
		return "given"
	case errors.As(w.err, &exhausted):
		return "refused for " + exhausted.RetryAfter.String()
	default:
		return w.err.Error()
	}
}

func expect(t *testing.T, what string, w *waiter, want string) {
	t.Helper()
	if got := state(w); got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestAMinuteBringsSoManyRequests(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	expect(t, "the eleventh at once", arrive(t, b, "alice", 0), "refused for 6s")
	clock.advance(6 * time.Second)
	take(t, b, "alice", 1)
	expect(t, "the twelfth at once", arrive(t, b, "alice", 0), "refused for 6s")
	clock.advance(time.Hour)
	take(t, b, "alice", 10)
	expect(t, "more than a burst after a rest", arrive(t, b, "alice", 0), "refused for 6s")
}

func TestWithoutALimitNobodyWaits(t *testing.T) {
	t.Parallel()
	b, _ := newTestBudget(t, 0, nil)
	b.Empty(time.Hour)
	take(t, b, "alice", 1000)
}

func TestWaitsForItsTurnButNotInVain(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	first := arrive(t, b, "alice", 6*time.Second)
	expect(t, "whose turn comes at the end of its patience", first, "waits")
	expect(t, "whose turn comes after its patience", arrive(t, b, "alice", 11*time.Second), "refused for 12s")
	second := arrive(t, b, "alice", 12*time.Second)
	clock.advance(6 * time.Second)
	expect(t, "the first, when its turn is", first, "given")
	expect(t, "the second, before its turn is", second, "waits")
	clock.advance(6 * time.Second)
	expect(t, "the second, when its turn is", second, "given")
}

func TestNobodyWaitsLongerThanTheContextLives(t *testing.T) {
	t.Parallel()
	b := New(Config{PerMinute: 10})
	take(t, b, "alice", 10)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var exhausted *Exhausted
	if err := b.Take(ctx, "alice", time.Minute); !errors.As(err, &exhausted) {
		t.Errorf("where the context ends before the turn: got %v, want *Exhausted at once", err)
	}
	cancel()
	if err := b.Take(ctx, "alice", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("where the context has ended: got %v, want its error", err)
	}
}

func TestWhoLeavesTakesNothing(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- b.Take(ctx, "bob", time.Minute) }()
	await(t, b, 1)
	second := arrive(t, b, "alice", time.Minute)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	clock.advance(6 * time.Second)
	expect(t, "who stayed", second, "given")
}

// await waits until that many wait.
func await(t *testing.T, b *Budget, want int) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		b.mu.Lock()
		waiting := 0
		for _, u := range b.queue.line {
			waiting += len(u.waiting)
		}
		b.mu.Unlock()
		if waiting == want {
			return
		}
		select {
		case <-poll.C:
		case <-t.Context().Done():
			t.Fatalf("got %d who wait, want %d", waiting, want)
		}
	}
}

func TestAHundredRequestsOfOneDoNotStarveAnother(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	alices := make([]*waiter, 100)
	for i := range alices {
		alices[i] = arrive(t, b, "alice", time.Hour)
	}
	bob := arrive(t, b, "bob", 10*time.Second)
	clock.advance(6 * time.Second)
	expect(t, "Bob's", bob, "given")
	expect(t, "Alice's first", alices[0], "waits")
	clock.advance(6 * time.Second)
	expect(t, "Alice's first, after Bob", alices[0], "given")
	expect(t, "Alice's second", alices[1], "waits")
}

func TestTheQueueIsBoundedWithoutShuttingOthersOut(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	var alices []*waiter
	for range maxWaiting {
		alices = append(alices, arrive(t, b, "alice", time.Hour))
	}
	expect(t, "one more of Alice's", arrive(t, b, "alice", time.Hour), fmt.Sprint("refused for ", (maxWaiting+1)*6*time.Second))
	bob := arrive(t, b, "bob", time.Hour)
	expect(t, "Alice's last, when Bob comes", alices[maxWaiting-1], fmt.Sprint("refused for ", (maxWaiting+1)*6*time.Second))
	clock.advance(6 * time.Second)
	expect(t, "Bob's", bob, "given")
}

// Alice takes each request as soon as it is there, with one that waits and one
// that comes at the very moment.
func TestWhoTakesEachRefillStarvesNobody(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	for range 20 {
		arrive(t, b, "alice", time.Minute)
		clock.advance(5 * time.Second)
		bob := arrive(t, b, "bob", 2*time.Second)
		clock.advance(time.Second)
		arrive(t, b, "alice", 0)
		expect(t, "Bob's, who comes now and then", bob, "given")
		clock.advance(time.Minute)
	}
}

func TestEqualsGoInTheOrderInWhichTheyCame(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "carol", 10)
	waiting := map[string]*waiter{}
	for _, user := range []string{"alice", "bob", "dave"} {
		waiting[user] = arrive(t, b, user, time.Minute)
	}
	for _, user := range []string{"alice", "bob", "dave"} {
		clock.advance(6*time.Second - 1)
		expect(t, user+" before the turn", waiting[user], "waits")
		clock.advance(1)
		expect(t, user+" at the turn", waiting[user], "given")
	}
}

func TestTheTurnsToComeAreFairTheSameWay(t *testing.T) {
	t.Parallel()
	b, _ := newTestBudget(t, 10, nil)
	take(t, b, "carol", 10)
	first, second := arrive(t, b, "alice", 12*time.Second), arrive(t, b, "alice", 12*time.Second)
	bob := arrive(t, b, "bob", 12*time.Second)
	expect(t, "Alice's first", first, "waits")
	expect(t, "Bob's, whose turn is before Alice's second", bob, "waits")
	expect(t, "Alice's second", second, "refused for 18s")
}

func TestALateTimerLetsNobodyBePassed(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "carol", 10)
	alice := arrive(t, b, "alice", 6*time.Second)
	clock.jump(7 * time.Second)
	bob := arrive(t, b, "bob", 0)
	expect(t, "who waited", alice, "given")
	expect(t, "who came", bob, "refused for 5s")
}

func TestEmptyLetsNobodyHaveARequestBeforeThePauseIsOver(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		pause, want time.Duration
	}{
		{"a known pause", 20 * time.Second, 20 * time.Second},
		{"an unknown one", 0, 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, clock := newTestBudget(t, 10, nil)
			b.Empty(test.pause)
			b.Empty(time.Second) // a shorter one does not end the longer one
			expect(t, "at once", arrive(t, b, "alice", 0), "refused for "+test.want.String())
			clock.advance(test.want - 1)
			expect(t, "before the pause is over", arrive(t, b, "alice", 0), "refused for 1ns")
			clock.advance(1)
			take(t, b, "alice", 1)
			expect(t, "a second one", arrive(t, b, "alice", 0), "refused for 6s")
		})
	}
	b, clock := newTestBudget(t, 10, nil)
	take(t, b, "alice", 10)
	patient, hasty := arrive(t, b, "alice", time.Minute), arrive(t, b, "alice", 15*time.Second)
	b.Empty(30 * time.Second)
	expect(t, "who waits in vain now", hasty, "refused for 36s")
	clock.advance(30 * time.Second)
	expect(t, "who waits on", patient, "given")
}

// replicas is the bucket of all replicas.
type replicas struct {
	clock *clock

	mu     sync.Mutex
	bucket bucket
	away   bool
	pauses []time.Duration
}

func (r *replicas) Take(context.Context) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	switch {
	case r.away:
		return 0, errors.New("away")
	case !r.bucket.has(now):
		return r.bucket.nth(1, now).Sub(now), nil
	}
	r.bucket.take(now)
	return 0, nil
}

func (r *replicas) Empty(_ context.Context, pause time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pauses = append(r.pauses, pause)
	return nil
}

func TestReplicasShareTheBucket(t *testing.T) {
	t.Parallel()
	clock := newClock()
	shared := &replicas{clock: clock, bucket: newBucket(10)}
	one := New(Config{PerMinute: 10, Shared: shared, Now: clock.Now, AfterFunc: clock.AfterFunc})
	other := New(Config{PerMinute: 10, Shared: shared, Now: clock.Now, AfterFunc: clock.AfterFunc})
	take(t, one, "alice", 4)
	take(t, other, "bob", 6)
	for name, b := range map[string]*Budget{"one": one, "other": other} {
		var exhausted *Exhausted
		if err := b.Take(t.Context(), "alice", 0); !errors.As(err, &exhausted) || exhausted.RetryAfter != 6*time.Second {
			t.Errorf("%s: got %v, want exhausted for 6s", name, err)
		}
	}
	waits := arrive(t, one, "alice", time.Minute)
	clock.advance(6 * time.Second)
	<-waits.done
	expect(t, "who waited", waits, "given")
	one.Empty(0)
	if len(shared.pauses) != 1 || shared.pauses[0] != 6*time.Second {
		t.Errorf("got %v, want the other replicas told of a pause of 6s", shared.pauses)
	}
}

func TestWithoutTheOthersTheLocalBucketDecides(t *testing.T) {
	t.Parallel()
	clock := newClock()
	shared := &replicas{clock: clock, bucket: newBucket(10), away: true}
	b := New(Config{PerMinute: 10, Shared: shared, Now: clock.Now, AfterFunc: clock.AfterFunc})
	take(t, b, "alice", 10)
	var exhausted *Exhausted
	if err := b.Take(t.Context(), "alice", 0); !errors.As(err, &exhausted) || exhausted.RetryAfter != 6*time.Second {
		t.Errorf("got %v, want exhausted for 6s", err)
	}
}

func TestNothingIsRememberedOfWhoWasThereLongAgo(t *testing.T) {
	t.Parallel()
	b, clock := newTestBudget(t, 1000, nil)
	for i := range 1000 {
		take(t, b, fmt.Sprint("user ", i), 1)
	}
	clock.advance(time.Minute)
	take(t, b, "alice", 1)
	if len(b.queue.users) != 1 || len(b.queue.gifts) != 1 {
		t.Errorf("got %d users and %d gifts, want one each", len(b.queue.users), len(b.queue.gifts))
	}
}

func BenchmarkUnlimited(b *testing.B) {
	budget := New(Config{})
	for b.Loop() {
		_ = budget.Take(b.Context(), "alice", time.Second)
	}
}
