package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// maxConcurrent is how many requests one upstream has at a time. Its transport
	// keeps as many connections.
	maxConcurrent = 64
	// overloadPause is when to come again where they are all under way.
	overloadPause = time.Second

	// Of at least breakerCalls within breakerWindow, breakerRate must fail for the
	// breaker to open; then it rests before one request tries the upstream anew.
	breakerCalls  = 20
	breakerRate   = 0.5
	breakerWindow = 30 * time.Second
	breakerRest   = 2 * time.Second

	// A request is asked again after a pause between these two.
	minRetryPause = 50 * time.Millisecond
	maxRetryPause = 150 * time.Millisecond
)

// outcome is what the end of a request says of the upstream.
type outcome int

const (
	// answered: it works, whatever it answered.
	answered outcome = iota
	// unknown: it was not asked, or the caller has left.
	unknown
	// failed: it is away, or broken.
	failed
	// dropped: it failed, and may answer if it is asked again at once.
	dropped
)

// guardConfig is what differs between upstreams.
type guardConfig struct {
	name     string // of the upstream
	observer Observer
	// outcome says what an error that do returned means; nil is answered.
	outcome func(error) outcome
	// refuse is the error of a request that was not made, with the reason in a
	// sentence and when to come again.
	refuse func(reason string, after time.Duration) error
	// concurrent and rest are maxConcurrent and breakerRest where they are 0.
	concurrent uint
	rest       time.Duration
}

// guard keeps an upstream that is in trouble from being asked more, and those who
// ask from waiting for it. It uses failsafe's policies by their permits: its
// executor does not give them back where the guarded function panics, and takes a
// caller who leaves for a success.
type guard struct {
	cfg      guardConfig
	bulkhead bulkhead.Bulkhead[any]
	breaker  circuitbreaker.CircuitBreaker[any]
}

func newGuard(cfg guardConfig) *guard {
	cfg.observer = observed(cfg.observer)
	if cfg.concurrent == 0 {
		cfg.concurrent = maxConcurrent
	}
	if cfg.rest == 0 {
		cfg.rest = breakerRest
	}
	return &guard{
		cfg:      cfg,
		bulkhead: bulkhead.New[any](cfg.concurrent),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureRateThreshold(breakerRate, breakerCalls, breakerWindow).
			WithDelay(cfg.rest).
			WithSuccessThreshold(1). // of one request that tries, else of breakerCalls
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				cfg.observer.Broken(cfg.name, e.NewState != circuitbreaker.ClosedState)
			}).
			Build(),
	}
}

// run calls do, and once more where it is a query whose request was dropped. It
// returns do's error, or refuse's where do was not called.
func (g *guard) run(ctx context.Context, query bool, do func(context.Context) error) error {
	end, err := g.attempt(ctx, do)
	if !query || end != dropped {
		return err
	}
	select {
	case <-time.After(minRetryPause + rand.N(maxRetryPause-minRetryPause)): //nolint:gosec // spreads load, guards nothing
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return err
	}
	_, err = g.attempt(ctx, do)
	return err
}

// attempt calls do once, if the upstream may be asked.
func (g *guard) attempt(ctx context.Context, do func(context.Context) error) (end outcome, err error) {
	if !g.bulkhead.TryAcquirePermit() {
		g.cfg.observer.Refused(g.cfg.name, "busy")
		return unknown, g.cfg.refuse("Too many requests are under way.", overloadPause)
	}
	defer g.bulkhead.ReleasePermit()
	if !g.breaker.TryAcquirePermit() {
		after := g.breaker.RemainingDelay()
		if after == 0 { // half open: one tries the upstream, and will know
			after = g.cfg.rest
		}
		g.cfg.observer.Refused(g.cfg.name, "broken")
		return unknown, g.cfg.refuse("Too many requests have failed of late.", after)
	}
	end = unknown // stands if do panics
	defer func() { g.record(end) }()
	err = do(ctx)
	if end = answered; err != nil {
		end = g.cfg.outcome(err)
	}
	return end, err
}

// record tells the breaker how a request ended. A request that tries whether the
// upstream is back and does not find out must be told too, as a failure, or no
// other would ever try.
func (g *guard) record(end outcome) {
	switch {
	case end == answered:
		g.breaker.RecordSuccess()
	case end != unknown, g.breaker.IsHalfOpen():
		g.breaker.RecordFailure()
	}
}
