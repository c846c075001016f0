package cache_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"galaxygate/internal/cache"
)

// fixture is a cache of numbers about subjects, with a clock and an ear that a
// test moves.
type fixture struct {
	*cache.Cache[string, int]

	now   time.Time
	deaf  bool
	loads int
	hits  int
}

const life = 30 * time.Second

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{now: time.Now()}
	f.Cache = cache.New[string](cache.Options[int]{
		Size: 100, Life: life,
		Subject: strconv.Itoa,
		Hearing: func() bool { return !f.deaf },
		Now:     func() time.Time { f.now = f.now.Add(time.Nanosecond); return f.now },
		Observe: func(hit bool) {
			if hit {
				f.hits++
			}
		},
	})
	t.Cleanup(f.Close)
	return f
}

// read gets the key, whose value the store says is 7.
func (f *fixture) read(t *testing.T, key string) {
	t.Helper()
	got, err := f.Get(t.Context(), key, func(context.Context) (int, error) { f.loads++; return 7, nil })
	if err != nil || got != 7 {
		t.Fatalf("got %d, %v", got, err)
	}
}

func TestAValueIsLoadedAgainOnceItMayHaveChanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*fixture)
		loads  int
	}{
		{"nothing happened", func(*fixture) {}, 1},
		{"its subject changed", func(f *fixture) { f.Forget("7") }, 2},
		{"another subject changed", func(f *fixture) { f.Forget("8") }, 1},
		{"any subject may have changed", func(f *fixture) { f.ForgetAll() }, 2},
		{"its life has passed", func(f *fixture) { f.now = f.now.Add(life) }, 2},
		{"its life has nearly passed", func(f *fixture) { f.now = f.now.Add(life - time.Second) }, 1},
		{"nothing is heard of changes", func(f *fixture) { f.deaf = true }, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.read(t, "key")
			tt.change(f)
			f.read(t, "key")
			if f.loads != tt.loads || f.hits != 2-tt.loads {
				t.Errorf("got %d loads and %d hits, want %d loads", f.loads, f.hits, tt.loads)
			}
		})
	}
}

func TestAValueReadBeforeItsSubjectChangedIsNotKept(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fixture){
		"its subject":    func(f *fixture) { f.Forget("1") },
		"any subject":    func(f *fixture) { f.ForgetAll() },
		"both, in order": func(f *fixture) { f.Forget("1"); f.ForgetAll() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			// The store answers, then the change is heard of, then the answer arrives.
			_, err := f.Get(t.Context(), "key", func(context.Context) (int, error) { change(f); return 1, nil })
			if err != nil {
				t.Fatal(err)
			}
			f.read(t, "key")
			f.read(t, "key")
			if f.loads != 1 {
				t.Errorf("got %d loads after the change, want 1", f.loads)
			}
		})
	}
}

func TestWhatWasReadWhileNothingWasHeardIsNotKept(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.deaf = true
	f.read(t, "key")
	f.deaf = false
	f.read(t, "key")
	f.read(t, "key")
	if f.loads != 2 || f.hits != 1 {
		t.Errorf("got %d loads and %d hits, want 2 and 1", f.loads, f.hits)
	}
}

func TestAnErrorIsNotKept(t *testing.T) {
	t.Parallel()
	f, away := open(t), errors.New("away")
	if _, err := f.Get(t.Context(), "key", func(context.Context) (int, error) { return 0, away }); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
	f.read(t, "key")
}

func TestWhatChangedIsRememberedForALifeAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	since := f.now
	for i := range 10_000 {
		f.Forget(strconv.Itoa(i))
	}
	if !f.ChangedSince("0", since) || f.ChangedSince("unknown", since) {
		t.Error("the wrong subjects changed")
	}
	f.now = f.now.Add(life)
	if !f.ChangedSince("unknown", since) {
		t.Error("what is longer ago than is remembered counts as unchanged")
	}
}

func TestANilCacheKeepsNothing(t *testing.T) {
	t.Parallel()
	f := &fixture{}
	f.read(t, "key")
	f.read(t, "key")
	if f.loads != 2 {
		t.Errorf("got %d loads, want 2", f.loads)
	}
}
