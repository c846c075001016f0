package grant

import (
	"context"
	"errors"
	"time"

	"galaxygate/internal/secret"
)

// Errors that callers decide on. Failures of the provider come as *Failure.
var (
	// ErrNotFound means that the user has no stored grant.
	ErrNotFound = errors.New("grant not found")
	// ErrReauthenticationRequired means that the grant can no longer be
	// refreshed: only the user can mend it, by signing in again. A *Failure of
	// kind SignInAgain beside it says why.
	ErrReauthenticationRequired = errors.New("reauthentication required")
	// ErrSignedOut means that nothing may be done with the user's tokens, because
	// the session that it would be done for, or the user's last one, has ended.
	ErrSignedOut = errors.New("signed out")
	// ErrLost means that a compare-and-set found the grant changed by someone
	// else, whose newer tokens are to be read.
	ErrLost = errors.New("grant changed meanwhile")
	// ErrTokenRejected is what a call made under Source.Call returns when the
	// resource refused the access token itself.
	ErrTokenRejected = errors.New("access token rejected")
	// ErrSubjectMismatch means that the provider answered for another person
	// than the one asked about.
	ErrSubjectMismatch = errors.New("answer is about another subject")
)

// ReasonSubject is the reason of a Failure where the provider answers for another
// person than the grant's, for example because it has merged two identities.
// Nothing is done any more with a grant that needs its user for that reason.
const ReasonSubject = "subject_mismatch"

// ReasonInterrupted is the reason of a Failure where nothing was presented, because
// who had the lease before may have spent the refresh token.
const ReasonInterrupted = "refresh_interrupted"

// Status says whether a grant can still be used.
type Status string

// The statuses of a grant.
const (
	Active                   Status = "active"
	ReauthenticationRequired Status = "reauthentication_required"
)

// Rotation says what earlier refreshes taught about the provider: whether it
// replaces the refresh token with each use (RFC 6749, section 6; RFC 9700,
// section 4.14.2).
type Rotation string

// What is known of the provider's rotation.
const (
	RotationUnknown Rotation = "unknown" // never refreshed yet
	Rotates         Rotation = "rotates" // a refresh brought another refresh token
	KeepsToken      Rotation = "keeps"   // a refresh brought none, or the same one
)

// Grant is one user's stored consent, as read from the store.
type Grant struct {
	ID           string // random, stays when the user signs in again
	UserID       string
	Subject      string // the provider's "sub": for Rollup the identity URN
	Status       Status
	StatusReason string // why the user must sign in again, in a word; else empty
	Version      int64  // grows by one with every change of the refresh token
	Writes       int64  // how many changes the user has made at Galaxy through the gateway
	Scopes       []string
	Access       secret.Text
	Refresh      secret.Text // zero where the provider gave none, and in what Source.Grant returns
	Refreshable  bool        // whether there is a refresh token
	Rotation     Rotation

	AuthorizedAt     time.Time // when the user last signed in or consented
	ObtainedAt       time.Time // when Access was obtained
	AccessExpiresAt  time.Time
	RefreshExpiresAt time.Time // zero: nobody said
	LastRefreshedAt  time.Time // zero: not since AuthorizedAt

	// LeaseOwner is who declared the intent to present Refresh and has not said
	// how it went; empty: nobody. LeaseLeft is how long the lease still stands
	// by the store's clock; with an owner and nothing left, the owner is gone.
	LeaseOwner string
	LeaseLeft  time.Duration

	// Lapses counts the leases in a row that ran out before their owners said
	// how it went: so often may Refresh have been presented already. LapsedFor
	// is how long ago the first of them ran out, by the store's clock.
	Lapses    int
	LapsedFor time.Duration

	// Failures counts the failed refreshes since the last good one, LastFailure
	// is the latest (nil: none), and RetryIn how long nobody is to try again,
	// by the store's clock (zero or less: may be tried).
	Failures    int
	LastFailure *Failure
	RetryIn     time.Duration
}

// Tokens are what the provider's token endpoint answered.
type Tokens struct {
	Access           secret.Text
	AccessExpiresAt  time.Time   // never zero: where the provider is silent, a short life is assumed
	Refresh          secret.Text // zero: none came, the old one stays in use
	RefreshExpiresAt time.Time   // zero: unknown for a new refresh token, as before for the old one
	Scopes           []string    // nil: the answer was silent, they are as before
	Subject          string      // whom an ID token beside refreshed ones names; empty: none came
}

// Token is an access token, ready for use.
type Token struct {
	Value   secret.Text
	Subject string
	Scopes  []string
}

// Store keeps grants.
type Store interface {
	// Grant returns the user's grant, or ErrNotFound.
	Grant(ctx context.Context, userID string) (Grant, error)
	// Erase deletes the user's grant, ends all of the user's sessions, and records
	// it in the audit log. The consent becomes a pending revocation, which is the
	// caller's to attempt, as if claimed for RevocationLease; where the grant's
	// tokens are damaged there is none, and its ID is empty. It returns
	// that and the number of sessions ended; or ErrNotFound.
	Erase(ctx context.Context, userID string) (PendingRevocation, int, error)
	// Watch returns a channel that receives after every change of the grant
	// with that ID on any replica, and what ends the watch. A wake-up may be
	// spurious, and may be lost when the database is away: poll beneath it.
	Watch(grantID string) (wake <-chan struct{}, stop func())
}

// Leases is the store's part in the refresh protocol. Each method is one
// transaction and, where it changes anything, wakes those who Watch.
type Leases interface {
	// Acquire records the intent to present the refresh token of g, as a lease
	// of owner for d by the store's clock. It returns ErrLost unless the stored
	// grant is active, still at g.Version and g.LeaseOwner, and no lease
	// stands; and else ErrSignedOut unless the user has a live session. A lease
	// that ran out and is taken over is counted in the grant's Lapses. Any other
	// error means that nothing may be presented.
	Acquire(ctx context.Context, g Grant, owner string, d time.Duration) error
	// Release ends owner's lease without a word on how it went, because nothing
	// was presented. The lapses that owner found stay counted. It returns
	// ErrLost where the lease is not, or no longer, owner's.
	Release(ctx context.Context, g Grant, owner string) error
	// Publish stores what the provider answered to owner's presentation, raises
	// the version, ends the lease, clears lapses and failures, learns the
	// rotation, writes the audit row, and returns the new grant. Where the user has
	// consented anew meanwhile and the refresh token was kept, the newer access
	// token and scopes stay. It returns ErrLost unless the stored grant is at
	// g.Version and the lease owner's; or, for an owner whose lease ran out, at
	// g.Version and g.AuthorizedAt and ReauthenticationRequired for
	// ReasonInterrupted: who took over presented nothing, and the grant becomes
	// active again.
	Publish(ctx context.Context, g Grant, owner string, t Tokens, now time.Time) (Grant, error)
	// Fail records a failed presentation by owner, ends the lease, clears the
	// lapses, and writes the audit row. A failure of kind SignInAgain makes the grant
	// ReauthenticationRequired with the failure's Reason; the others keep it
	// active, not to be tried again for retryIn by the store's clock. It returns
	// ErrLost unless the stored grant is at g.Version and the lease owner's. It
	// also does where the user has consented anew since g.AuthorizedAt, of which f
	// says nothing: then it ends the lease as Release does.
	Fail(ctx context.Context, g Grant, owner string, f *Failure, retryIn time.Duration) error
}

// Refresher presents refresh tokens at the provider.
type Refresher interface {
	// Refresh presents the token once (RFC 6749, section 6). It returns every
	// token that came, unvalidated, so that none is lost before it is stored.
	// Its error is a *Failure.
	Refresh(ctx context.Context, refresh secret.Text) (Tokens, error)
}

// Revoker takes tokens back at the provider.
type Revoker interface {
	// Revoke revokes what it can of the tokens, of which either may be zero, and
	// reports whether the provider confirmed it; false and nil where it has no way
	// to. Its error is a *Failure, which wraps ErrTokenRejected where the access
	// token would have to be a valid one.
	Revoke(ctx context.Context, access, refresh secret.Text) (bool, error)
}
