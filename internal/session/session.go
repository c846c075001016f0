package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that callers decide on.
var (
	// ErrNotFound means that there is no live session like that for this user.
	ErrNotFound = errors.New("session not found")
	// ErrReplaced is an ErrNotFound: the same browser has signed in again, and
	// has another session.
	ErrReplaced = fmt.Errorf("%w: replaced by a newer one", ErrNotFound)
	// ErrReplayed means that a Logout was carried out before.
	ErrReplayed = errors.New("logout carried out before")
)

// Kind says what a session was made for.
type Kind string

// The kinds of sessions.
const (
	Browser Kind = "browser"
	Native  Kind = "native"
)

// EndReason says why a session ended.
type EndReason string

// The reasons for which a session ends.
const (
	LoggedOut            EndReason = "logged_out"
	EndedByUser          EndReason = "revoked"  // from another session
	Replaced             EndReason = "replaced" // the same browser signed in again
	AuthorizationRevoked EndReason = "authorization_revoked"
	EndedByProvider      EndReason = "provider_logout" // the provider said so
	CodeMisused          EndReason = "code_misused"    // an app's, whose authorization code came with what it is not bound to
	CodeReplayed         EndReason = "code_replayed"   // an app's, whose authorization code came again
	Expired              EndReason = "expired"         // by itself, and noticed since
)

// End is how a session ended.
type End struct {
	Reason EndReason
	At     time.Time
}

// Standing is how a session stands in the store.
type Standing struct {
	ExpiresAt time.Time
	End       *End // nil: nobody has ended it, though it may have expired
}

// Session is one signed-in browser or app. The token that carries it is not
// part of it: the store knows only the token's SHA-256.
type Session struct {
	ID         string // random, unrelated to the token
	UserID     string
	Subject    string    // the user's subject at the provider
	UserSince  time.Time // when the user first signed in
	Kind       Kind
	UserAgent  string
	IPAddress  string
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time // the sooner of the idle and the absolute end
}

// Logout is a provider's word that a user has signed out there (OpenID Connect
// Back-Channel Logout 1.0), once it is verified. It concerns the sessions of that
// issuer's users alone.
type Logout struct {
	Issuer string
	// Subject is whose sessions end, and ProviderSessionID which of the
	// provider's sessions they belong to. One of the two may be empty: without a
	// subject they are whoever's, without a provider session all of the subject's.
	Subject           string
	ProviderSessionID string
	// TokenID names the Logout among the issuer's, and ExpiresAt is when it is
	// refused anyhow, so that nobody need remember it.
	TokenID   string
	ExpiresAt time.Time
}

// Store keeps sessions. Live means: not ended, and ExpiresAt after now.
type Store interface {
	// Session returns the live session whose token has that SHA-256, or
	// ErrNotFound; ErrReplaced where it ended as Replaced.
	Session(ctx context.Context, tokenHash []byte, now time.Time) (Session, error)
	// Sessions returns the user's live sessions, newest first.
	Sessions(ctx context.Context, userID string, now time.Time) ([]Session, error)
	// Touch records that the session was seen at seenAt and lives until
	// expiresAt. It does nothing to a session that has ended.
	Touch(ctx context.Context, id string, seenAt, expiresAt time.Time) error
}

// Register knows how sessions stand.
type Register interface {
	// Standings returns how those of the sessions stand that there are, by ID.
	Standings(ctx context.Context, ids []string) (map[string]Standing, error)
}

// Ender ends sessions, and records each end in the audit log.
type Ender interface {
	// End ends the user's session and returns it, or ErrNotFound where it is
	// not live or not this user's.
	End(ctx context.Context, userID, id string, reason EndReason, now time.Time) (Session, error)
	// EndOthers ends the user's live sessions but the one to keep, and returns
	// how many.
	EndOthers(ctx context.Context, userID, keepID string, reason EndReason, now time.Time) (int, error)
	// EndByProvider ends the live sessions that the logout concerns, as
	// EndedByProvider, and returns how many, none among them. The same logout
	// once more, on any replica, ends nothing: it is ErrReplayed.
	EndByProvider(ctx context.Context, l Logout, now time.Time) (int, error)
}
