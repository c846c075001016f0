package budget

import "time"

// bucket is a token bucket of as many tokens as a minute brings. Its whole state
// is the time at which it will be full, if nothing more is taken: it holds a token
// less for each interval that this is ahead.
type bucket struct {
	size     int
	interval time.Duration // between two tokens
	full     time.Time
}

func newBucket(perMinute int) bucket {
	n := time.Duration(perMinute)
	return bucket{size: perMinute, interval: (time.Minute + n - 1) / n} // rounded up: never more than allowed
}

// nth returns when the n-th token from now on is there, counted from 1, or has
// been there since.
func (b *bucket) nth(n int, now time.Time) time.Time {
	return later(b.full, now).Add(time.Duration(n-b.size) * b.interval)
}

// has reports whether there is a token.
func (b *bucket) has(now time.Time) bool { return !b.nth(1, now).After(now) }

// take takes a token, which must be there.
func (b *bucket) take(now time.Time) { b.full = later(b.full, now).Add(b.interval) }

// empty takes what there is. The next token comes after that pause at the
// earliest, the others one by one after it.
func (b *bucket) empty(pause time.Duration, now time.Time) {
	b.full = later(b.full, now.Add(pause+time.Duration(b.size-1)*b.interval))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
