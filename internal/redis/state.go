package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"galaxygate/internal/retry"
)

// rest is for how long Redis is left alone after a failure.
const rest = time.Second

// state is what is known of Redis. The zero value is that it is there.
type state struct {
	mu     sync.Mutex
	away   bool
	reason string    // why it is away
	next   time.Time // when it is tried again, if it is away
	trying bool
	closed bool // nothing is tried any more
	tries  sync.WaitGroup
}

// call calls do, unless Redis is away, within the limit.
func (c *Client) call(ctx context.Context, do func(context.Context) error) error {
	if why, away := c.away(); away {
		return unavailable(why)
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Limit)
	defer cancel()
	err := do(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err() // the caller has left, which says nothing about Redis
	}
	c.failed(ctx, reason(err))
	return unavailable(reason(err))
}

func unavailable(why string) error {
	return fmt.Errorf("redis (%s): %w", why, retry.ErrLater)
}

// away reports whether Redis is away, and why. When it has rested, someone tries
// it in the background.
func (c *Client) away() (why string, away bool) {
	s := &c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away && !s.trying && !s.closed && !c.cfg.Now().Before(s.next) {
		s.trying = true
		s.tries.Go(c.try)
	}
	return s.reason, s.away
}

// try finds out whether Redis takes writes again, which one that is read-only, or
// full, does not.
func (c *Client) try() {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Limit)
	defer cancel()
	err := c.redis.Set(ctx, prefix+"try", "", rest).Err()
	s := &c.state
	s.mu.Lock()
	s.trying = false
	if err == nil {
		s.away = false
	} else {
		s.next = c.cfg.Now().Add(rest)
	}
	s.mu.Unlock()
	if err == nil {
		c.cfg.Observe(false)
		c.cfg.Logger.InfoContext(ctx, "redis is back")
	}
}

// failed leaves Redis alone for a while, and says so where it was there.
func (c *Client) failed(ctx context.Context, why string) {
	s := &c.state
	s.mu.Lock()
	went := !s.away
	s.away, s.reason, s.next = true, why, c.cfg.Now().Add(rest)
	s.mu.Unlock()
	if went {
		c.cfg.Observe(true)
		c.cfg.Logger.WarnContext(ctx, "redis is away: replicas share nothing until it is back", "reason", why)
	}
}
