package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"galaxygate/internal/grant"
)

// Observer is told of what is asked upstream, for the operator to see.
type Observer interface {
	// Asked says how a request ended, as "answered", "left" where nobody waited for
	// it any more, or the Kind of its error, and how long it took.
	Asked(upstream, outcome string, took time.Duration)
	// Refused says that the gateway did not make a request: for want of "budget",
	// because too many are under way ("busy"), or have failed ("broken").
	Refused(upstream, reason string)
	// Broken says that an upstream has failed too often to be asked, or no longer.
	Broken(upstream string, broken bool)
	// AwaitedTurn says how long a request waited for its turn in Galaxy's budget.
	AwaitedTurn(took time.Duration)
	// Answered says where the answers to so many questions came from: one of
	// "memory", "shared" by another replica, "joined" to another operation's
	// request, "asked", and "stale", which was asked in vain.
	Answered(from string, n int)
}

// The upstreams, as an Observer is told them.
const (
	galaxyName   = "galaxy"
	userInfoName = "userinfo"
)

// observed returns the one to tell.
func observed(o Observer) Observer {
	if o == nil {
		return nobody{}
	}
	return o
}

type nobody struct{}

func (nobody) Asked(string, string, time.Duration) {}
func (nobody) Refused(string, string)              {}
func (nobody) Broken(string, bool)                 {}
func (nobody) AwaitedTurn(time.Duration)           {}
func (nobody) Answered(string, int)                {}

// outcomeOf is how a request ended, as an Observer is told it.
func outcomeOf(err error) string {
	var e *Error
	var f *grant.Failure
	switch {
	case err == nil:
		return "answered"
	case errors.As(err, &e):
		return string(e.Kind)
	case errors.Is(err, context.Canceled):
		return "left"
	case errors.Is(err, grant.ErrTokenRejected):
		return string(TokenRejected)
	case !errors.As(err, &f), f.Kind == grant.SignInAgain:
		return string(Failed)
	case f.Status == http.StatusTooManyRequests:
		return string(RateLimited)
	case f.Kind == grant.OperatorFault:
		return string(OperatorFault)
	}
	return string(Unavailable)
}
