package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	App       *App        // the app that is to have the session; nil: this browser
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
	Code              *Code  // what an app gets the session for; nil: SessionToken is handed out
}

// App is a native app that asks for a sign-in (RFC 6749, section 4.1.1).
type App struct {
	Client      string
	RedirectURI string // to the letter as the app gave it
	Challenge   string // RFC 7636, section 4.2, by S256
	State       string // the app's own; may be empty
}

// Code is an authorization code and what it is bound to (RFC 6749, section 4.1.3; RFC
// 7636, section 4.6). It is good for as long as its session lives unused.
type Code struct {
	Code        secret.Text // random
	Client      string
	RedirectURI string
	Challenge   string
}

// Binding is the SHA-256 of what the code is bound to.
func (c Code) Binding() []byte {
	sum := sha256.New()
	for _, part := range []string{c.Client, c.RedirectURI, c.Challenge} {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part) // a hash takes everything
	}
	return sum.Sum(nil)
}

// Redemption is the use of a code. The session's ID and user are those of the code's;
// the rest is what the session is from now on.
type Redemption struct {
	Code         Code
	Session      session.Session
	SessionToken secret.Text
}

// Redeemed is what a code was good for.
type Redeemed struct {
	Session session.Session
	Scopes  []string // what the user has consented to
}

// Errors of a code that is good for nothing. What is told of them is one and the same.
var (
	// ErrNoCode means that the code is unknown, or its session has ended.
	ErrNoCode = errors.New("no such authorization code")
	// ErrCodeMisused is an ErrNoCode: the code came with what it is not bound to, and
	// is spent.
	ErrCodeMisused = fmt.Errorf("%w: not bound to what came with it", ErrNoCode)
	// ErrCodeReplayed is an ErrNoCode: the code was spent before, and the session that
	// it made has ended.
	ErrCodeReplayed = fmt.Errorf("%w: spent before", ErrNoCode)
)

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
	//
	// Where there is a Code, the session is kept for who redeems it.
	SignIn(ctx context.Context, s SignIn, now time.Time) (session.Session, error)
	// RedeemCode spends the code and gives its session the token, the life and the
	// holder that the redemption says. A code is spent by its first use, by one of many
	// at once, right or wrong: with what it is not bound to, its session ends as
	// session.CodeMisused, and that is ErrCodeMisused. Whenever it comes again, the
	// session that it made ends as session.CodeReplayed: ErrCodeReplayed. Where there is
	// no such code, or its session has ended: ErrNoCode.
	RedeemCode(ctx context.Context, r Redemption, now time.Time) (Redeemed, error)
}
