package graphqlhttp

import (
	"context"
	"strconv"
	"testing"
)

type callerKey struct{}

func TestNothingIsRememberedOfCallersWhoHaveGone(t *testing.T) {
	t.Parallel()
	s := NewStreams(StreamLimits{Caller: func(ctx context.Context) string {
		caller, _ := ctx.Value(callerKey{}).(string)
		return caller
	}})
	as := func(caller string) context.Context { return context.WithValue(t.Context(), callerKey{}, caller) }
	for n := range 100 {
		refusal := s.hold(as("address "+strconv.Itoa(n)), OverWebSocket, func(one *stream) {
			if !one.become(as("session "+strconv.Itoa(n))) || len(s.callers) != 1 {
				t.Errorf("callers: got %v, want one", s.callers)
			}
		})
		if refusal != nil {
			t.Fatal(refusal.Message)
		}
	}
	if len(s.callers) != 0 || s.Open(OverWebSocket) != 0 {
		t.Errorf("got %d callers and %d streams, want none", len(s.callers), s.Open(OverWebSocket))
	}
}
