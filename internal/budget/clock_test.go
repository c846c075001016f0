package budget

import (
	"sync"
	"testing"
	"time"
)

// clock is a clock that only advance moves.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*timer]bool
}

type timer struct {
	at time.Time
	f  func()
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), timers: make(map[*timer]bool)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c.now.Add(d), f}
	c.timers[t] = true
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped := c.timers[t]
		delete(c.timers, t)
		return stopped
	}
}

// advance lets d pass, and every timer fire that is due, at its time.
func (c *clock) advance(d time.Duration) {
	end := c.Now().Add(d)
	for t := c.due(end); t != nil; t = c.due(end) {
		t.f()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = end
}

// jump lets d pass without any timer firing: they are late.
func (c *clock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// due takes the first timer until end, and moves the clock there.
func (c *clock) due(end time.Time) *timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first *timer
	for t := range c.timers {
		if !t.at.After(end) && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	if first != nil {
		delete(c.timers, first)
		c.now = later(c.now, first.at)
	}
	return first
}

// newTestBudget returns a budget of that many requests a minute on a clock.
func newTestBudget(t testing.TB, perMinute int, shared Shared) (*Budget, *clock) {
	t.Helper()
	c := newClock()
	return New(Config{PerMinute: perMinute, Shared: shared, Now: c.Now, AfterFunc: c.AfterFunc}), c
}
