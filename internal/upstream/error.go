package upstream

import (
	"fmt"
	"time"

	"galaxygate/internal/grant"
)

// Kind says what an answer of Galaxy's means.
type Kind string

// The kinds of errors.
const (
	// Unavailable: Galaxy is away, or its answer is not to be understood.
	Unavailable Kind = "unavailable"
	// RateLimited: Galaxy wants fewer requests of this application.
	RateLimited Kind = "rate_limited"
	// OperatorFault: Galaxy refuses the gateway itself, for example its API key;
	// no user can mend it.
	OperatorFault Kind = "operator_fault"
	// TokenRejected: Galaxy refuses the access token. It is grant.ErrTokenRejected.
	TokenRejected Kind = "token_rejected"
	// Forbidden: Galaxy does not allow the user to do it.
	Forbidden Kind = "forbidden"
	// Failed: Galaxy understood and answers with an error of its own.
	Failed Kind = "failed"
)

// Error is what went wrong at Galaxy. It is safe to log and to show.
type Error struct {
	Kind       Kind
	Message    string        // Galaxy's own words, scrubbed; may be empty
	Status     int           // the status that decided; 0 where no answer came
	RetryAfter time.Duration // what Galaxy asked for; 0 where it did not
	// Partial says that data came beside the error, and was decoded.
	Partial bool
	// late says that no answer came within the time that there was.
	late bool
	// long says that the answer was longer than is read, which is as the question was.
	long bool
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("galaxy: %s (status %d): %s", e.Kind, e.Status, e.Message)
}

// Is makes a TokenRejected grant.ErrTokenRejected.
func (e *Error) Is(target error) bool {
	return e.Kind == TokenRejected && target == grant.ErrTokenRejected
}
