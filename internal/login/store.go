package login

import (
	"context"
	"errors"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// ErrNoAttempt means that a state is unknown, stale, already used, or belongs
// to another browser. Which of them is nobody's business.
var ErrNoAttempt = errors.New("no such sign-in attempt")

// Attempt is a sign-in under way, from the redirect to the provider until the
// callback.
type Attempt struct {
	State     secret.Text // RFC 6749, section 10.12
	Browser   secret.Text // the value of the browser's sign-in cookie
	Nonce     secret.Text // OpenID Connect Core 1.0, section 3.1.2.1
	Verifier  secret.Text // RFC 7636
	Scopes    []string    // asked for: those granted where the provider names none
	ReturnTo  string      // absolute URL; empty where none was asked for
	ExpiresAt time.Time
}

// SignIn is a sign-in that the provider has vouched for.
type SignIn struct {
	Issuer            string
	Subject           string
	ProviderSessionID string // the ID token's "sid"; may be empty
	Tokens            grant.Tokens
	Session           session.Session // its UserID and Subject are filled by the store
	SessionToken      secret.Text
	EndSessionID      string // the live session of this browser that ends with it; may be empty
}

// Store keeps attempts and completes sign-ins.
type Store interface {
	// SaveAttempt stores the attempt, its secrets hashed or sealed.
	SaveAttempt(ctx context.Context, a Attempt) error
	// TakeAttempt removes the attempt of that state and browser and returns it,
	// exactly once; otherwise ErrNoAttempt.
	TakeAttempt(ctx context.Context, state, browser secret.Text, now time.Time) (Attempt, error)
	// SignIn creates or finds the user, replaces the user's grant, ends
	// EndSessionID as session.Replaced, creates the session, and writes the
	// audit rows, in one transaction. It returns the session.
	//
	// A refresh token that is no longer stored becomes a pending revocation. Those
	// of the user's that are pending spare what the user has now consented to: a
	// grant.RevokeConsent becomes a grant.RevokeTokens, and one of tokens that
	// have now come again is dropped.
	//
	// Where the sign-in brought no refresh token and the stored grant has one,
	// that one stays, with its version and lease: a refresh in flight must
	// still be able to publish its successor.
	SignIn(ctx context.Context, s SignIn, now time.Time) (session.Session, error)
}
