package retry_test

import (
	"net/http"
	"testing"
	"time"

	"galaxygate/internal/retry"
)

func TestAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"none", "", 0},
		{"seconds", "30", 30 * time.Second},
		{"a fraction", "1.5", 1500 * time.Millisecond},
		{"a date", "Mon, 04 May 2026 03:03:01 GMT", time.Minute},
		{"a date that is past", "Mon, 04 May 2026 03:01:01 GMT", 0},
		{"less than nothing", "-5", 0},
		{"no number", "soon", 0},
		{"not a number", "NaN", 0},
		{"a day", "86400", time.Hour},
		{"for ever", "1e300", time.Hour},
		{"a year as a date", "Tue, 04 May 2027 03:02:01 GMT", time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := retry.After(http.Header{"Retry-After": {tt.value}}, now, time.Hour); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	differ := false
	for range 1000 {
		got := retry.Jitter(time.Second)
		if got < 750*time.Millisecond || got > 1250*time.Millisecond {
			t.Fatalf("got %v", got)
		}
		differ = differ || got != time.Second
	}
	if !differ || retry.Jitter(0) != 0 {
		t.Error("no jitter, or some of nothing")
	}
}
