package grant

import (
	"context"
	"time"

	"galaxygate/internal/audit"
)

// RevocationKind says how much is to be taken back at the provider.
type RevocationKind string

// The kinds of revocations.
const (
	// RevokeTokens takes back these tokens, and leaves the user's others alone.
	RevokeTokens RevocationKind = "tokens"
	// RevokeConsent takes back all that the user has consented to.
	RevokeConsent RevocationKind = "consent"
)

// PendingRevocation is what is to be taken back at the provider. Its tokens are
// stored nowhere else any more.
type PendingRevocation struct {
	ID      string
	Kind    RevocationKind
	UserID  string // empty where nobody is known
	GrantID string // empty where the tokens never were a grant's
	Tokens  Tokens // without scopes; a zero AccessExpiresAt is unknown

	// Attempts counts the claims, this one among them, and so tells it from
	// later ones. Age is for how long it has been pending, by the store's clock.
	Attempts int
	Age      time.Duration
}

// Outbox keeps the revocations that are pending. Erase and a sign-in add to it
// too, each in the transaction that takes the tokens out of the grant.
type Outbox interface {
	// EnqueueRevocation adds the revocation, due at once, and wakes those who
	// watch on this replica. Its ID, Attempts and Age are the store's to choose.
	EnqueueRevocation(ctx context.Context, p PendingRevocation) error
	// NextRevocation returns how long it takes until a revocation of that kind is
	// due, by the store's clock; zero or less: one is. It returns ErrNotFound
	// where none is pending.
	NextRevocation(ctx context.Context, kind RevocationKind) (time.Duration, error)
	// WatchRevocations returns a channel that receives after this replica has
	// changed when a revocation is due, and what ends the watch. A wake-up may be
	// spurious; of other replicas' changes it tells nothing: poll beneath it.
	WatchRevocations() (wake <-chan struct{}, stop func())
}

// Claims are the outbox's part in attempting a revocation. Each method is one
// transaction. All but ClaimRevocation return ErrLost where the revocation is no
// longer p's claim: the claim ran out and another took its place, or the user
// has signed in again meanwhile.
type Claims interface {
	// ClaimRevocation returns the revocation of that kind that has been due for
	// longest, which is nobody else's for the lease by the store's clock; or
	// ErrNotFound where none is due. Where its tokens cannot be read, the error
	// says so and the revocation is there without them.
	ClaimRevocation(ctx context.Context, kind RevocationKind, lease time.Duration) (PendingRevocation, error)
	// KeepRevocation replaces the tokens by p's, which are as they now stand at
	// the provider.
	KeepRevocation(ctx context.Context, p PendingRevocation) error
	// PostponeRevocation makes it due again in wait, by the store's clock.
	PostponeRevocation(ctx context.Context, p PendingRevocation, wait time.Duration) error
	// ConcludeRevocation deletes it, and records what became of it.
	ConcludeRevocation(ctx context.Context, p PendingRevocation, e audit.Event) error
}
