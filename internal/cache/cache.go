package cache

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// Options are what a Cache is made with.
type Options[V any] struct {
	Size int           // how many values are kept at most
	Life time.Duration // how long a value is given out after it was asked for
	// Subject is what a value is about. Word that the subject has changed makes
	// the value forgotten.
	Subject func(V) string
	// Hearing reports whether word of every change arrives now. While it does
	// not, nothing is given out from memory.
	Hearing func() bool
	Now     func() time.Time
	// Observe is told of each look-up whether memory answered. It may be nil.
	Observe func(hit bool)
}

// Cache remembers values by key. A nil Cache remembers nothing. It is safe for
// concurrent use.
//
// A value that was read before its subject changed is never given out after
// Forget has returned, also where the reading ends later: each value knows when
// it was asked for, and each subject when it last changed.
type Cache[K comparable, V any] struct {
	options Options[V]
	values  *otter.Cache[K, remembered[V]]

	mu      sync.RWMutex
	changed map[string]time.Time // when each subject changed, within the last Life
	missed  time.Time            // before which any subject may have changed
	sweep   int                  // the size of changed at which the past is swept out
}

type remembered[V any] struct {
	value V
	asked time.Time
}

// New returns an empty cache. Close is to be called when it is not used any
// more.
func New[K comparable, V any](o Options[V]) *Cache[K, V] {
	return &Cache[K, V]{
		options: o,
		values: otter.Must(&otter.Options[K, remembered[V]]{
			MaximumSize:      o.Size,
			ExpiryCalculator: otter.ExpiryWriting[K, remembered[V]](o.Life),
		}),
		changed: make(map[string]time.Time),
	}
}

// Close ends the cache's own goroutines.
func (c *Cache[K, V]) Close() { c.values.StopAllGoroutines() }

// Get returns the value from memory, or else as load reads it; load's error is
// returned and not remembered.
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	if c == nil {
		return load(ctx)
	}
	asked, hearing := c.options.Now(), c.options.Hearing()
	r, hit := c.values.GetIfPresent(key)
	hit = hit && !c.ChangedSince(c.options.Subject(r.value), r.asked)
	if c.options.Observe != nil {
		c.options.Observe(hit)
	}
	if hit {
		return r.value, nil
	}
	value, err := load(ctx)
	if err == nil && hearing { // else it may change unheard before hearing begins
		c.values.Set(key, remembered[V]{value, asked})
	}
	return value, err
}

// Forget says that the subject changed.
func (c *Cache[K, V]) Forget(subject string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.Now()
	if len(c.changed) >= c.sweep {
		for s, at := range c.changed {
			if now.Sub(at) > c.options.Life {
				delete(c.changed, s) // what was asked for before has expired by itself
			}
		}
		c.sweep = max(2*len(c.changed), 1024) // which keeps the sweeping cheap
	}
	c.changed[subject] = now
}

// ForgetAll says that any subject may have changed.
func (c *Cache[K, V]) ForgetAll() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.missed = c.options.Now()
	clear(c.changed)
	c.mu.Unlock()
	c.values.InvalidateAll()
}

// ChangedSince reports whether the subject may have changed since t: because
// someone said so, or because it is longer ago than is remembered or heard of.
func (c *Cache[K, V]) ChangedSince(subject string, t time.Time) bool {
	if c == nil || !c.options.Hearing() || c.options.Now().Sub(t) >= c.options.Life {
		return true
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	at, changed := c.changed[subject]
	return changed && !t.After(at) || !c.missed.IsZero() && !t.After(c.missed)
}
