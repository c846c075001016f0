package recent

import (
	"sync"
	"time"
)

// capacity is how many keys are remembered; beyond it the whole memory is
// dropped, which costs repetitions and nothing else.
const capacity = 100_000

// Set remembers keys for a while. The zero value is ready, and it is safe for
// concurrent use.
type Set struct {
	mu    sync.Mutex
	until map[string]time.Time
	sweep int // the size at which the past is swept out
}

// Has reports whether the key was added and its time has not passed.
func (s *Set) Has(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until[key])
}

// Add remembers the key for that long, and reports whether it was not there.
func (s *Set) Add(key string, now time.Time, life time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.until[key]) {
		return false
	}
	if len(s.until) >= s.sweep {
		s.forget(now)
	}
	s.until[key] = now.Add(life)
	return true
}

// Drop makes the key forgotten.
func (s *Set) Drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, key)
}

// forget drops what has passed. Sweeping only at twice the size of what was left
// makes each Add cheap.
func (s *Set) forget(now time.Time) {
	for key, end := range s.until {
		if !now.Before(end) {
			delete(s.until, key)
		}
	}
	if s.until == nil || len(s.until) >= capacity {
		s.until = make(map[string]time.Time)
	}
	s.sweep = max(2*len(s.until), 64)
}
