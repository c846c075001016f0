package recent

import (
	"strconv"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	t.Parallel()
	var s Set
	now := time.Now()
	if s.Has("a", now) || !s.Add("a", now, time.Minute) || s.Add("a", now.Add(59*time.Second), time.Minute) {
		t.Error("a key is not remembered for its minute")
	}
	if !s.Has("a", now) || s.Has("b", now) || s.Has("a", now.Add(time.Minute)) {
		t.Error("Has is wrong")
	}
	if !s.Add("a", now.Add(time.Minute), time.Minute) {
		t.Error("a key is remembered for more than its minute")
	}
	if s.Drop("a"); s.Has("a", now) {
		t.Error("a key is remembered that was dropped")
	}
}

func TestSetIsBounded(t *testing.T) {
	t.Parallel()
	var s Set
	now := time.Now()
	for i := range 10_000 {
		now = now.Add(time.Second)
		s.Add(strconv.Itoa(i), now, time.Minute)
	}
	if len(s.until) > 200 {
		t.Errorf("%d keys are kept of which 60 live", len(s.until))
	}
	for i := range 2*capacity + 10 {
		s.Add("live "+strconv.Itoa(i), now, time.Minute)
	}
	if len(s.until) > 2*capacity {
		t.Errorf("%d keys are kept", len(s.until))
	}
}
