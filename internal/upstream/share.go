package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"galaxygate/internal/background"
	"galaxygate/internal/grant"
)

// keptFor is for how long an answer is kept after its time, for when no new one is
// to be had.
const keptFor = 10 * time.Minute

// Answers shares answers among the operations of a user: what one has asked and
// another asks too is asked once, and what was answered of late is not asked at
// all. An answer belongs to a user and their consent as it stood, which its key
// says, and so never outlives them.
type Answers struct {
	// Observer may be nil; it is not changed once there are questions.
	Observer Observer

	life   time.Duration
	kept   *otter.Cache[string, *Answer] // nil: nothing is kept
	shared Shelf                         // nil: there is none
	now    func() time.Time
	tasks  background.Group

	mu      sync.Mutex
	flights map[string]seat // by key
}

// Shelf keeps answers for all replicas.
type Shelf interface {
	// Get returns the values of those keys that are there, in the order of the
	// keys; the others are nil. An error means that it is of no use now.
	Get(ctx context.Context, keys []string) ([][]byte, error)
	// Set keeps the values by their keys for that long.
	Set(ctx context.Context, values map[string][]byte, life time.Duration) error
}

// NewAnswers returns one that gives an answer out again for that long, and keeps
// at most that many bytes of answers; 0: none. What other replicas were answered is
// on the shelf; nil: there are no others.
func NewAnswers(life time.Duration, bytes int64, shared Shelf, now func() time.Time) *Answers {
	a := &Answers{life: life, now: now, flights: make(map[string]seat)}
	if life > 0 {
		a.shared = shared
	}
	if life > 0 && bytes > 0 {
		a.kept = otter.Must(&otter.Options[string, *Answer]{
			MaximumWeight:    uint64(bytes),                                                                           // above 0
			Weigher:          func(key string, a *Answer) uint32 { return uint32(len(key) + len(a.JSON) + overhead) }, //nolint:gosec // far below 4 GiB
			ExpiryCalculator: otter.ExpiryWriting[string, *Answer](life + keptFor),
		})
	}
	return a
}

// overhead is about what an answer takes beside its key and its bytes.
const overhead = 300

// Close ends the goroutines of what keeps the answers.
func (a *Answers) Close() {
	if a.kept != nil {
		a.kept.StopAllGoroutines()
	}
}

// flight is a request under way, for everyone who waits for it.
type flight struct {
	keys    []string
	indices []int     // of the keys among those of the one who leads
	answers []*Answer // by key, once done is closed; nil where asking panicked
	left    bool      // whether the one who leads has left meanwhile
	done    chan struct{}

	// Guarded by Answers.mu: how many answers are waited for, and what ends the
	// flight when none is; nil before it has begun.
	waiting int
	cancel  context.CancelFunc
}

// seat is where in a flight the answer to one question is.
type seat struct {
	*flight

	index int
}

// Bytes returns about how much memory the kept answers take.
func (a *Answers) Bytes() uint64 {
	if a.kept == nil {
		return 0
	}
	a.kept.CleanUp() // of what has expired
	return a.kept.WeightedSize()
}

// fetch asks for the keys with these indices, and returns an answer for each.
type fetch func(ctx context.Context, indices []int) []*Answer

// get returns an answer for each key: a kept one, another operation's, or what
// ask returns, which is called at most once at a time. ask runs for as long as
// somebody waits, up to ctx's deadline. cached is how many were kept, here or on the
// shelf.
func (a *Answers) get(ctx context.Context, keys []string, ask fetch) (answers []*Answer, cached int) {
	answers = make([]*Answer, len(keys))
	missing := a.fresh(keys, answers)
	cached = len(keys) - len(missing)
	a.told("memory", cached)
	for len(missing) > 0 {
		seats, led := a.join(keys, missing)
		if led == nil {
			a.told("joined", len(missing))
		} else {
			a.told("joined", len(missing)-len(led.keys))
			a.lead(ctx, led, ask)
		}
		if !a.await(ctx, seats, led) {
			for _, i := range missing {
				answers[i] = unansweredBy(ctx.Err())
			}
			return answers, cached
		}
		var again []int
		for n, i := range missing {
			answers[i] = seats[n].answer()
			if answers[i].shared {
				cached++
			}
			switch {
			case ctx.Err() == nil && seats[n].isOthers(led):
				again = append(again, i)
			case seats[n].isOthers(led):
				answers[i] = unansweredBy(ctx.Err())
			}
		}
		missing = again
	}
	return answers, cached
}

// answer is what the flight brought.
func (s seat) answer() *Answer {
	if s.answers == nil {
		return unansweredBy(errPanic)
	}
	return s.answers[s.index]
}

var errPanic = errors.New("panic in a request")

// isOthers reports whether the answer says nothing to who waited for it, and leads
// the other flight, but something about who asked, or about who asked and was
// stopped.
func (s seat) isOthers(led *flight) bool {
	err := s.answer().Err
	return errors.Is(err, context.Canceled) || s.flight != led && errors.Is(err, grant.ErrSignedOut)
}

// fresh fills in the answers that are kept and young enough, and returns the
// indices of the others.
func (a *Answers) fresh(keys []string, answers []*Answer) (missing []int) {
	now := a.now()
	for i, key := range keys {
		if kept := a.keep(key); kept != nil && now.Sub(kept.asked) < a.life {
			answers[i] = kept
			continue
		}
		missing = append(missing, i)
	}
	return missing
}

// keep returns the kept answer of the key, of whatever age, or nil.
func (a *Answers) keep(key string) *Answer {
	if a.kept == nil {
		return nil
	}
	kept, _ := a.kept.GetIfPresent(key)
	return kept
}

// old returns the kept answer of the key as one that is past its time, or nil.
func (a *Answers) old(key string) *Answer {
	kept := a.keep(key)
	if kept == nil {
		return nil
	}
	age := a.now().Sub(kept.asked)
	if age > a.life+keptFor {
		return nil
	}
	old := *kept
	old.Age = max(age, 1)
	return &old
}

// join returns where the answers to the missing keys will be, and the flight among
// those that is the caller's to lead, nil where all are under way.
func (a *Answers) join(keys []string, missing []int) (seats []seat, led *flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	seats = make([]seat, len(missing))
	for n, i := range missing {
		s, ok := a.flights[keys[i]]
		if !ok {
			if led == nil {
				led = &flight{done: make(chan struct{})}
			}
			s = seat{led, len(led.keys)}
			led.keys, led.indices = append(led.keys, keys[i]), append(led.indices, i)
			a.flights[keys[i]] = s
		}
		seats[n] = s
		s.waiting++
	}
	return seats, led
}

// lead asks, in the goroutine of the one who was first: where that one leaves, it
// goes on for the others, and ends with the last of them.
func (a *Answers) lead(ctx context.Context, f *flight, ask fetch) {
	a.tasks.Do(func() {
		defer close(f.done)
		defer a.land(f) // also after a panic: else nobody would ever ask for it again
		flying, cancel := detach(ctx)
		defer cancel()
		a.mu.Lock()
		f.cancel = cancel
		a.mu.Unlock()
		stop := context.AfterFunc(ctx, func() {
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) { // then it ends by itself, and says so
				a.leave(f, len(f.keys))
			}
		})
		f.answers = a.askShelf(flying, f.keys, f.indices, a.counted(ask))
		f.left = !stop()
	})
}

// counted is ask, and tells where its answers came from.
func (a *Answers) counted(ask fetch) fetch {
	return func(ctx context.Context, indices []int) []*Answer {
		answers, stale := ask(ctx, indices), 0
		for _, answer := range answers {
			if answer.Age > 0 {
				stale++
			}
		}
		a.told("stale", stale)
		a.told("asked", len(indices)-stale)
		return answers
	}
}

// told tells the observer where answers came from, if there are any.
func (a *Answers) told(from string, n int) {
	if n > 0 {
		observed(a.Observer).Answered(from, n)
	}
}

// detach returns a context with ctx's values and deadline that does not end with
// it otherwise.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	return context.WithCancel(context.WithoutCancel(ctx))
}

// land keeps the answers, and lets nobody join any more.
func (a *Answers) land(f *flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, key := range f.keys {
		delete(a.flights, key)
		if answer := (seat{f, i}).answer(); a.kept != nil && answer.whole() && answer.Age == 0 {
			a.kept.Set(key, answer)
		}
	}
}

// leave says that somebody waits no more for that many answers of the flight.
func (a *Answers) leave(f *flight, answers int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.waiting -= answers; f.waiting == 0 && f.cancel != nil {
		f.cancel()
	}
}

// await waits for the flights and reports whether they have landed. Where the
// operation's time is up, so is theirs, which began before it, and they alone can
// say what it was spent on.
func (a *Answers) await(ctx context.Context, seats []seat, led *flight) bool {
	landed := true
	for _, s := range seats {
		if s.flight == led || !landed {
			continue
		}
		select {
		case <-s.done:
			continue
		case <-ctx.Done():
		}
		if landed = errors.Is(ctx.Err(), context.DeadlineExceeded); landed {
			<-s.done
		}
	}
	for _, s := range seats {
		if s.flight != led {
			a.leave(s.flight, 1)
		}
	}
	return landed && (led == nil || !led.left || errors.Is(ctx.Err(), context.DeadlineExceeded))
}

// Wait waits until nothing is asked any more, or ctx has ended.
func (a *Answers) Wait(ctx context.Context) error {
	if err := a.tasks.Wait(ctx); err != nil {
		return fmt.Errorf("wait for answers: %w", err)
	}
	return nil
}
