package redis_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/budget"
	"galaxygate/internal/redis"
	"galaxygate/internal/redistest"
)

// takeAll takes from the buckets at once until each is empty, and returns how many
// tokens there were.
func takeAll(t *testing.T, buckets ...*redis.Bucket) int64 {
	t.Helper()
	var taken atomic.Int64
	var all sync.WaitGroup
	for _, bucket := range buckets {
		for range 4 {
			all.Go(func() {
				for {
					wait, err := bucket.Take(t.Context())
					if err != nil {
						t.Error(err)
					}
					if err != nil || wait > 0 {
						return
					}
					taken.Add(1)
				}
			})
		}
	}
	all.Wait()
	return taken.Load()
}

func TestTwoClientsNeverExceedTheirBucket(t *testing.T) {
	t.Parallel()
	server, sealer := redistest.NewServer(t), newVault(t)
	one, _ := open(t, server.URL, sealer, nil)
	other, _ := open(t, server.URL, sealer, nil)
	const perMinute = 600 // one in 100 ms
	began := time.Now()
	taken := takeAll(t, one.Bucket("galaxy", perMinute), other.Bucket("galaxy", perMinute))
	most := perMinute + int64(time.Since(began)/(100*time.Millisecond)) + 1
	if taken < perMinute || taken > most {
		t.Errorf("got %d tokens, want %d to %d", taken, perMinute, most)
	}
	if wait, err := one.Bucket("another", perMinute).Take(t.Context()); err != nil || wait != 0 {
		t.Errorf("another bucket: got %v, %v, want a token", wait, err)
	}
}

func TestABucketRefillsAndIsForgottenWhenItIsFull(t *testing.T) {
	t.Parallel()
	server := redistest.NewServer(t)
	c, _ := open(t, server.URL, newVault(t), nil)
	bucket := c.Bucket("galaxy", 1200) // one in 50 ms
	takeAll(t, bucket)
	eventually(t, "a token comes", func() bool {
		wait, err := bucket.Take(t.Context())
		if err != nil || wait > 50*time.Millisecond {
			t.Fatalf("got %v, %v, want at most 50ms to wait", wait, err)
		}
		return wait == 0
	})
	stored := direct(t, server.URL)
	key := stored.Keys(t.Context(), "*bucket*").Val()[0]
	if life := stored.PTTL(t.Context(), key).Val(); life < 50*time.Second || life > time.Minute+time.Second {
		t.Errorf("got a life of %v, want until the bucket is full", life)
	}
}

func TestAnEmptiedBucketIsEmptyForAll(t *testing.T) {
	t.Parallel()
	server, sealer := redistest.NewServer(t), newVault(t)
	one, _ := open(t, server.URL, sealer, nil)
	other, _ := open(t, server.URL, sealer, nil)
	if err := one.Bucket("galaxy", 10).Empty(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := one.Bucket("galaxy", 10).Empty(t.Context(), time.Second); err != nil { // does not end the longer pause
		t.Fatal(err)
	}
	wait, err := other.Bucket("galaxy", 10).Take(t.Context())
	if err != nil || wait < 25*time.Second || wait > 30*time.Second {
		t.Errorf("got %v, %v, want almost 30s to wait", wait, err)
	}
}

// The budgets of two replicas give no more than the bucket holds while Redis is
// there, and each by itself where it is not.
func TestBudgetsOfTwoReplicas(t *testing.T) {
	t.Parallel()
	server, sealer := redistest.NewServer(t), newVault(t)
	var budgets []*budget.Budget
	for range 2 {
		c, _ := open(t, server.URL, sealer, nil)
		budgets = append(budgets, budget.New(budget.Config{PerMinute: 10, Shared: c.Bucket("galaxy", 10)}))
	}
	given := func() (n int) {
		for range 20 {
			for _, b := range budgets {
				if b.Take(t.Context(), "alice", 0) == nil {
					n++
				}
			}
		}
		return n
	}
	began := time.Now()
	if got, most := given(), 10+int(time.Since(began)/(6*time.Second))+1; got < 10 || got > most {
		t.Errorf("got %d, want %d at most", got, most)
	}
	server.Stop()
	late, _ := open(t, server.URL, sealer, nil)
	if err := budget.New(budget.Config{PerMinute: 10, Shared: late.Bucket("galaxy", 10)}).Take(t.Context(), "alice", 0); err != nil {
		t.Errorf("without Redis: %v", err)
	}
}

func TestACounterCountsWhatWasUsedAnywhere(t *testing.T) {
	t.Parallel()
	server, sealer := redistest.NewServer(t), newVault(t)
	one, _ := open(t, server.URL, sealer, nil)
	other, _ := open(t, server.URL, sealer, nil)
	const perMinute = 60
	for _, step := range []struct {
		name   string
		client *redis.Client
		caller string
		n      int
		least  time.Duration // of which a second may have passed
	}{
		{"some", one, "alice", 40, 0},
		{"some elsewhere", other, "alice", 15, 0},
		{"more than there was", one, "alice", 35, 30 * time.Second},
		{"another caller", one, "bob", 30, 0},
	} {
		wait, err := step.client.Counter(perMinute).Count(t.Context(), step.caller, step.n)
		if err != nil || (wait > 0) != (step.least > 0) || wait > step.least+time.Second || wait < step.least-10*time.Second {
			t.Errorf("%s: got %v, %v, want %v", step.name, wait, err, step.least)
		}
	}
	for _, key := range direct(t, server.URL).Keys(t.Context(), "*").Val() {
		if strings.Contains(key, "alice") || strings.Contains(key, "bob") {
			t.Errorf("got key %s", key)
		}
	}
}
