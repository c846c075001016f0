package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/grant"
)

// newTestAnswers returns one that keeps answers for a minute by a clock that tests
// advance.
func newTestAnswers(t *testing.T, bytes int64) (_ *Answers, advance func(time.Duration)) {
	t.Helper()
	var passed atomic.Int64
	a := NewAnswers(time.Minute, bytes, nil, func() time.Time { return testNow().Add(time.Duration(passed.Load())) })
	t.Cleanup(a.Close)
	t.Cleanup(func() {
		if err := a.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a, func(d time.Duration) { passed.Add(int64(d)) }
}

// echo answers each key with itself, and counts how often it is asked.
func (a *Answers) echo(keys []string, calls *atomic.Int32) fetch {
	return func(_ context.Context, indices []int) []*Answer {
		calls.Add(1)
		var answers []*Answer
		for _, i := range indices {
			answers = append(answers, newAnswer([]byte(keys[i]), a.now()))
		}
		return answers
	}
}

// held is a fetch that says when it begins and answers when it is let go.
type held struct {
	begun   chan context.Context
	release chan []*Answer
}

func hold() held {
	return held{begun: make(chan context.Context, 10), release: make(chan []*Answer)}
}

func (h held) fetch(ctx context.Context, indices []int) []*Answer {
	h.begun <- ctx
	select {
	case answers := <-h.release:
		return answers
	case <-ctx.Done():
		return slices.Repeat([]*Answer{unansweredBy(ctx.Err())}, len(indices))
	}
}

// waiting waits until that many wait for the key's flight.
func (a *Answers) waitingFor(t *testing.T, key string, n int) {
	t.Helper()
	for {
		a.mu.Lock()
		s, ok := a.flights[key]
		enough := ok && s.waiting == n
		a.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("nobody waits")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWhatManyAskAtOnceIsAskedOnce(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 0)
	h, keys := hold(), []string{"k"}
	var waiters sync.WaitGroup
	for range 50 {
		waiters.Go(func() {
			if got, _ := a.get(t.Context(), keys, h.fetch); string(got[0].JSON) != "v" {
				t.Errorf("got %+v, want v", got[0])
			}
		})
	}
	a.waitingFor(t, "k", 50)
	h.release <- []*Answer{newAnswer([]byte("v"), testNow())}
	waiters.Wait()
	if n := len(h.begun); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestOnlyWhatNobodyElseAsksIsAsked(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 0)
	first, second := hold(), hold()
	var waiters sync.WaitGroup
	waiters.Go(func() { a.get(t.Context(), []string{"a", "b"}, first.fetch) })
	<-first.begun
	var got []*Answer
	waiters.Go(func() {
		got, _ = a.get(t.Context(), []string{"b", "c"}, func(ctx context.Context, indices []int) []*Answer {
			if !slices.Equal(indices, []int{1}) {
				t.Errorf("got indices %v asked for, want that of c alone", indices)
			}
			return second.fetch(ctx, indices)
		})
	})
	<-second.begun
	second.release <- []*Answer{newAnswer([]byte("C"), testNow())}
	first.release <- []*Answer{newAnswer([]byte("A"), testNow()), newAnswer([]byte("B"), testNow())}
	waiters.Wait()
	if string(got[0].JSON) != "B" || string(got[1].JSON) != "C" {
		t.Errorf("got %s and %s, want B and C", got[0].JSON, got[1].JSON)
	}
}

func TestAFlightGoesOnAsLongAsSomebodyWaits(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 0)
	h, keys := hold(), []string{"k"}
	leaving, leave := context.WithCancel(t.Context())
	left, stayed := make(chan *Answer), make(chan *Answer)
	go func() { got, _ := a.get(leaving, keys, h.fetch); left <- got[0] }()
	flight := <-h.begun
	go func() { got, _ := a.get(t.Context(), keys, h.fetch); stayed <- got[0] }()
	a.waitingFor(t, "k", 2)
	leave()
	a.waitingFor(t, "k", 1)
	if flight.Err() != nil {
		t.Error("the flight ended with the one who began it")
	}
	h.release <- []*Answer{newAnswer([]byte("v"), testNow())}
	if got := <-left; !errors.Is(got.Err, context.Canceled) {
		t.Errorf("who left: got %v, want context.Canceled", got.Err)
	}
	if got := <-stayed; string(got.JSON) != "v" {
		t.Errorf("who stayed: got %+v, want v", got)
	}
}

func TestAFlightEndsWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 0)
	h := hold()
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() { defer close(gone); a.get(ctx, []string{"k"}, h.fetch) }()
	flight := <-h.begun
	leave()
	<-gone
	<-flight.Done()
}

func TestWhoAskedMayBeStoppedButNotTheOthers(t *testing.T) {
	t.Parallel()
	for _, stopped := range []error{context.Canceled, grant.ErrSignedOut} {
		a, _ := newTestAnswers(t, 0)
		h, keys := hold(), []string{"k"}
		asked, waited := make(chan *Answer), make(chan *Answer)
		var again atomic.Bool
		go func() {
			got, _ := a.get(t.Context(), keys, func(ctx context.Context, indices []int) []*Answer {
				if again.Swap(true) { // its session has ended
					return []*Answer{unansweredBy(grant.ErrSignedOut)}
				}
				return h.fetch(ctx, indices)
			})
			asked <- got[0]
		}()
		<-h.begun
		go func() {
			got, _ := a.get(t.Context(), keys, func(context.Context, []int) []*Answer {
				return []*Answer{newAnswer([]byte("v"), testNow())}
			})
			waited <- got[0]
		}()
		a.waitingFor(t, "k", 2)
		h.release <- []*Answer{unansweredBy(stopped)}
		if got := <-waited; string(got.JSON) != "v" {
			t.Errorf("%v: who waited got %+v, want v", stopped, got)
		}
		if got := <-asked; string(got.JSON) != "v" && !errors.Is(got.Err, grant.ErrSignedOut) {
			t.Errorf("%v: who asked got %+v", stopped, got)
		}
	}
}

func TestWhenTheTimeIsUpAllHearWhatItWasSpentOn(t *testing.T) {
	t.Parallel()
	for range 50 { // whichever of the operation's time and the flight's is up first
		a, _ := newTestAnswers(t, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		defer cancel()
		errs := make(chan error)
		for range 2 {
			go func() {
				got, _ := a.get(ctx, []string{"k"}, func(ctx context.Context, _ []int) []*Answer {
					<-ctx.Done()
					return []*Answer{unansweredBy(fmt.Errorf("the provider is slow: %w", ctx.Err()))}
				})
				errs <- got[0].Err
			}()
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the provider") {
				t.Errorf("got %v, want that the provider is slow and the time up", err)
			}
		}
	}
}

func TestAnswersAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	a, advance := newTestAnswers(t, 1<<20)
	var calls atomic.Int32
	keys := []string{"a", "b"}
	ask := a.echo(keys, &calls)
	for range 3 {
		got, _ := a.get(t.Context(), keys, ask)
		if string(got[0].JSON) != "a" || string(got[1].JSON) != "b" || got[0].Age != 0 {
			t.Errorf("got %s, %s; want a, b", got[0].JSON, got[1].JSON)
		}
	}
	if _, cached := a.get(t.Context(), keys, ask); cached != 2 || calls.Load() != 1 {
		t.Errorf("got %d answers from memory after %d calls, want 2 after 1", cached, calls.Load())
	}
	advance(time.Minute)
	if old := a.old("a"); old == nil || old.Age != time.Minute {
		t.Errorf("got %+v, want an answer that is a minute old", old)
	}
	if _, cached := a.get(t.Context(), keys, ask); cached != 0 || calls.Load() != 2 {
		t.Errorf("after its time: got %d answers from memory, %d calls", cached, calls.Load())
	}
}

func TestOnlyWholeAnswersAreKept(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 1<<20)
	partial := newAnswer([]byte("null"), testNow())
	partial.Errors = []FieldError{{Error: &Error{Kind: Failed}}}
	old := newAnswer([]byte("{}"), testNow())
	old.Age = time.Second
	for name, answer := range map[string]*Answer{
		"an error": unansweredBy(errors.New("no")), "a part": partial, "one past its time": old,
	} {
		a.get(t.Context(), []string{name}, func(context.Context, []int) []*Answer { return []*Answer{answer} })
		if a.keep(name) != nil {
			t.Errorf("%s was kept", name)
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	a, _ := newTestAnswers(t, limit)
	large := []byte(strings.Repeat("x", 5_000))
	for i := range 1_000 {
		a.get(t.Context(), []string{string(rune(i))}, func(context.Context, []int) []*Answer {
			return []*Answer{newAnswer(large, testNow())}
		})
	}
	a.kept.CleanUp()
	if kept := a.kept.EstimatedSize(); kept == 0 || kept > limit/len(large) {
		t.Errorf("got %d answers kept, want 1 to %d", kept, limit/len(large))
	}
}

func TestAPanicIsAnErrorForAllWhoWait(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 1<<20)
	got, _ := a.get(t.Context(), []string{"k"}, func(context.Context, []int) []*Answer { return nil })
	if !errors.Is(got[0].Err, errPanic) || a.keep("k") != nil {
		t.Errorf("got %+v, want errPanic", got[0])
	}
}

func TestAfterAPanicItIsAskedAnew(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 1<<20)
	keys := []string{"k"}
	func() {
		defer func() { _ = recover() }()
		a.get(t.Context(), keys, func(context.Context, []int) []*Answer { panic("in what keeps answers") })
	}()
	var calls atomic.Int32
	if got, _ := a.get(t.Context(), keys, a.echo(keys, &calls)); string(got[0].JSON) != "k" {
		t.Errorf("got %+v, want k", got[0])
	}
}

func TestNobodyIsSignedOutWithAnother(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 0)
	h, keys := hold(), []string{"k"}
	go a.get(t.Context(), keys, h.fetch)
	<-h.begun
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	context.AfterFunc(ctx, func() { h.release <- []*Answer{unansweredBy(grant.ErrSignedOut)} })
	if got, _ := a.get(ctx, keys, h.fetch); errors.Is(got[0].Err, grant.ErrSignedOut) {
		t.Errorf("got %v", got[0].Err)
	}
}

// memory is a Shelf.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Get(_ context.Context, keys []string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i] = m.values[key]
	}
	return values, nil
}

func (m *memory) Set(_ context.Context, values map[string][]byte, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.values, values)
	return nil
}

func TestTheShelfIsNotLoadedWithWhatIsLarge(t *testing.T) {
	t.Parallel()
	shelf := &memory{values: make(map[string][]byte)}
	a := NewAnswers(time.Minute, 0, shelf, testNow)
	keys := []string{"small", strings.Repeat("large", 100_000)}
	for want := range 2 { // both, and then the large one alone
		var calls []int
		got, _ := a.get(t.Context(), keys, func(ctx context.Context, indices []int) []*Answer {
			calls = indices
			return a.echo(keys, &atomic.Int32{})(ctx, indices)
		})
		if string(got[0].JSON) != keys[0] || string(got[1].JSON) != keys[1] || len(calls) != 2-want {
			t.Errorf("got %d asked, want %d", len(calls), 2-want)
		}
		if err := a.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
