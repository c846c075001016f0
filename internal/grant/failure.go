package grant

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a provider's failure means for the grant.
type Kind string

// The kinds of failures. What is not understood is Later: a grant is never
// given up for something unknown.
const (
	// Later: the provider is away, limits, or answers with nonsense.
	Later Kind = "later"
	// SignInAgain: the provider refuses this code or token for good.
	SignInAgain Kind = "sign_in_again"
	// OperatorFault: the provider refuses the gateway itself, for example its
	// client secret; no user can mend it.
	OperatorFault Kind = "operator_fault"
)

// Failure is what went wrong at the provider. It is safe to log.
type Failure struct {
	Kind       Kind
	Reason     string        // one word: an OAuth error code, "timeout", "http_502", …
	Message    string        // the provider's own words, scrubbed; may be empty
	Status     int           // the HTTP status; 0 where no answer came
	RetryAfter time.Duration // what the provider asked for; 0 where it did not
	Unsent     bool          // whether the request never left this process
	Err        error         // the cause inside this process, free of secrets; may be nil
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Message == "" {
		return fmt.Sprintf("provider: %s (%s)", f.Reason, f.Kind)
	}
	return fmt.Sprintf("provider: %s (%s): %s", f.Reason, f.Kind, f.Message)
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// AsFailure returns err's *Failure. Whatever else went wrong is Later.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Kind: Later, Reason: "unknown", Err: err}
}
