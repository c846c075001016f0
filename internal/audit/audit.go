package audit

import (
	"context"
	"time"
)

// Kind says what happened. The set is closed.
type Kind string

// The kinds of events.
const (
	SignedIn      Kind = "signed_in"
	SignInFailed  Kind = "sign_in_failed"
	SignedOut     Kind = "signed_out"
	SessionEnded  Kind = "session_ended"  // ended from another session, or by policy
	Refreshed     Kind = "refreshed"      // a new access token was stored
	RefreshFailed Kind = "refresh_failed" // Reason says why
	Revoked       Kind = "revoked"        // the grant was given back or replaced
	ScopeRefused  Kind = "scope_refused"  // a field was asked for without consent

	RevocationConfirmed Kind = "revocation_confirmed" // the provider took the tokens back
	RevocationVoid      Kind = "revocation_void"      // there was nothing it could take back; Reason says why
	RevocationGivenUp   Kind = "revocation_given_up"  // the tokens may still be valid there; Reason is the last failure's
)

// Event is one row of the audit log. It never holds a token, a code or a cookie.
type Event struct {
	ID        string // given by the log; a later event's sorts after an earlier one's
	Kind      Kind
	UserID    string // empty where nobody is known yet
	GrantID   string // empty where none is concerned
	SessionID string // the session concerned
	Reason    string // one of a few words, e.g. "invalid_grant"
	Actor     Actor  // filled from the context where it is zero
	At        time.Time
}

// Actor is the request on whose behalf something happens. The zero Actor is the
// gateway itself.
type Actor struct {
	SessionID string
	IPAddress string
	UserAgent string // cut to 256 bytes
	RequestID string
}

// Log records events.
type Log interface {
	// Record appends the event, with the Actor of ctx where it has none.
	Record(ctx context.Context, e Event) error
}

// Reader reads events.
type Reader interface {
	// UserEvents returns at most limit of the user's events, the latest first:
	// those before the one with that ID, which need not be the user's or
	// anybody's; all where it is empty.
	UserEvents(ctx context.Context, userID, before string, limit int) ([]Event, error)
}

type actorKey struct{}

// WithActor returns a context whose events are recorded as a's.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the context's actor, or the zero Actor.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}
