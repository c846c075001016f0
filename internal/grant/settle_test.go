package grant

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/audit"
)

// desk records how claims end.
type desk struct {
	Claims
	postponed time.Duration
	concluded audit.Event
}

func (d *desk) PostponeRevocation(_ context.Context, _ PendingRevocation, wait time.Duration) error {
	d.postponed = wait
	return nil
}

func (d *desk) ConcludeRevocation(_ context.Context, _ PendingRevocation, e audit.Event) error {
	d.concluded = e
	return nil
}

func TestHowAnAttemptEnds(t *testing.T) {
	t.Parallel()
	away := &Failure{Kind: Later, Reason: "http_503"}
	tests := []struct {
		name      string
		age       time.Duration
		confirmed bool
		err       error
		outcome   string
		kind      audit.Kind
		reason    string
	}{
		{"confirmed", 0, true, nil, "confirmed", audit.RevocationConfirmed, ""},
		{"confirmed at last", 8 * 24 * time.Hour, true, nil, "confirmed", audit.RevocationConfirmed, ""},
		{"the provider has no way", 0, false, nil, "void", audit.RevocationVoid, "unsupported"},
		{"nothing is left", 0, false, &Failure{Kind: SignInAgain, Reason: "invalid_grant"}, "void", audit.RevocationVoid, "invalid_grant"},
		{"the provider is away", 6 * 24 * time.Hour, false, away, "later", "", ""},
		{"the provider is away for a week", 7 * 24 * time.Hour, false, away, "given_up", audit.RevocationGivenUp, "http_503"},
		{"the operator's fault", 0, false, &Failure{Kind: OperatorFault, Reason: "invalid_client"}, "operator_fault", "", ""},
		{
			"the operator's fault for a week", 7 * 24 * time.Hour, false,
			&Failure{Kind: OperatorFault, Reason: "invalid_client"}, "given_up", audit.RevocationGivenUp, "invalid_client",
		},
		{"the claim was lost", 0, false, ErrLost, "lost", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims, outcome := &desk{}, ""
			r := &Revocations{
				Claims: claims, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				Observe: func(o string) { outcome = o },
			}
			p := PendingRevocation{ID: "id", UserID: "alice", GrantID: "grant", Age: tt.age, Attempts: 1}
			if got := r.settle(t.Context(), p, tt.confirmed, tt.err); got != tt.confirmed || outcome != tt.outcome {
				t.Errorf("got %v, outcome %q", got, outcome)
			}
			want := audit.Event{Kind: tt.kind, UserID: "alice", GrantID: "grant", Reason: tt.reason}
			if tt.kind == "" {
				want = audit.Event{}
			}
			if claims.concluded != want {
				t.Errorf("recorded %+v, want %+v", claims.concluded, want)
			}
			if again := tt.outcome == "later" || tt.outcome == "operator_fault"; (claims.postponed > 0) != again {
				t.Errorf("to be tried again in %v", claims.postponed)
			}
		})
	}
}

func TestRevocationsAreRetriedFurtherAndFurtherApart(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	tests := []struct {
		name        string
		f           Failure
		attempts    int
		least, most time.Duration
	}{
		{"soon at first", Failure{Kind: Later}, 1, 750 * time.Millisecond, 1250 * time.Millisecond},
		{"then after twice as long", Failure{Kind: Later}, 2, 1500 * time.Millisecond, 2500 * time.Millisecond},
		{"every hour in the end", Failure{Kind: Later}, 1000, hour * 3 / 4, hour * 5 / 4},
		{"as the provider asks", Failure{Kind: Later, RetryAfter: 90 * time.Second}, 1, 90 * time.Second, 90 * time.Second},
		{"slowly where the operator must act", Failure{Kind: OperatorFault}, 1, 7 * time.Minute, 13 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := revocationWait(&tt.f, tt.attempts); got < tt.least || got > tt.most {
				t.Errorf("got %v, want %v to %v", got, tt.least, tt.most)
			}
		})
	}
}

func TestAnOperatorsFaultAlarmsOnceInAWhile(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	now := time.Now()
	r := &Revocations{Claims: &desk{}, Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		for range 5 {
			r.settle(t.Context(), PendingRevocation{ID: "id"}, false, &Failure{Kind: OperatorFault, Reason: "invalid_client"})
		}
		now = now.Add(time.Hour)
	}
	if n := strings.Count(log.String(), "alarm=true"); n != 3 {
		t.Errorf("alarmed %d times in 3 hours", n)
	}
}
