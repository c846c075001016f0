package grant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"galaxygate/internal/background"
	"galaxygate/internal/recent"
)

// rejectionLife is for how long a rejection of a token that was fresh from the
// provider keeps further rejections of that grant from causing refreshes: a
// misconfigured resource must not cost one for each request.
const rejectionLife = time.Minute

// Source is the one way to a user's access token. Its fields are set before
// first use and not changed after; Wait must be called before the process ends.
type Source struct {
	Store     Store
	Leases    Leases
	Refresher Refresher
	// Revoker revokes tokens of one sign-in and leaves the user's others alone.
	Revoker Revoker
	// Withdrawer takes back all that the user has consented to.
	Withdrawer Revoker

	// Early is how long before its end an access token is refreshed while it is
	// still served; never more than a fifth of the token's life.
	Early  time.Duration
	Now    func() time.Time
	Logger *slog.Logger
	// Observe is told how each attempt to refresh ended, "refreshed", "fenced" or
	// the failure's kind, and how long it took. It may be nil.
	Observe func(outcome string, took time.Duration)

	flights  singleflight.Group
	running  background.Group
	rejected recent.Set // editions whose fresh tokens the resource rejects
}

// Token returns an access token of the user's that is valid now, after a
// refresh where the stored one has expired. It returns ErrNotFound,
// ErrReauthenticationRequired, the provider's *Failure, or the store's error.
// When ctx ends, the caller leaves and the refresh goes on; a deadline that has
// passed is a *Failure of kind Later.
func (s *Source) Token(ctx context.Context, userID string) (Token, error) {
	g, err := s.usable(ctx, userID)
	return g.token(), err
}

// Call runs do with the user's access token. Where do's error wraps
// ErrTokenRejected, the token is refreshed at most once and do runs at most
// once more. Where it is a *Failure of kind SignInAgain, as when the user has
// withdrawn a consent, the grant becomes ReauthenticationRequired. The errors
// are Token's and do's.
func (s *Source) Call(ctx context.Context, userID string, do func(context.Context, Token) error) error {
	g, err := s.usable(ctx, userID)
	if err != nil {
		return err
	}
	err = do(ctx, g.token())
	if f := (*Failure)(nil); errors.As(err, &f) && f.Kind == SignInAgain {
		s.condemn(ctx, g, f)
	}
	if !errors.Is(err, ErrTokenRejected) || g.Refresh.IsZero() || s.rejected.Has(g.edition(), s.Now()) {
		return err
	}
	if g, err = s.newer(ctx, g); err != nil {
		return err
	}
	err = do(ctx, g.token())
	if errors.Is(err, ErrTokenRejected) {
		s.rejected.Add(g.edition(), s.Now(), rejectionLife)
	}
	return err
}

// Wait waits until the refreshes under way have ended, or ctx has. No other
// method may be called once it has begun.
func (s *Source) Wait(ctx context.Context) error {
	if err := s.running.Wait(ctx); err != nil {
		return fmt.Errorf("wait for refreshes: %w", err)
	}
	return nil
}

// usable returns the user's grant with an access token that is valid now.
func (s *Source) usable(ctx context.Context, userID string) (Grant, error) {
	g, err := s.Store.Grant(ctx, userID)
	if err != nil {
		return Grant{}, fmt.Errorf("read grant: %w", err)
	}
	now := s.Now()
	if !now.Before(g.AccessExpiresAt) {
		return s.newer(ctx, g)
	}
	// The token is valid, also where it is due, or the last of its grant: nobody
	// waits.
	due := !now.Before(g.AccessExpiresAt.Add(-s.early(g)))
	if due && g.Status == Active && g.idle() && !g.Refresh.IsZero() {
		s.fly(ctx, g)
	}
	return g, nil
}

// newer waits for another edition of the stale grant.
func (s *Source) newer(ctx context.Context, stale Grant) (Grant, error) {
	for {
		select {
		case <-ctx.Done():
			return Grant{}, unrefreshed(ctx.Err())
		case landed := <-s.fly(ctx, stale):
			// The flight may have begun for an older edition than ours.
			if landed.err != nil || landed.grant.edition() != stale.edition() {
				return landed.grant, landed.err
			}
		}
	}
}

// unrefreshed is the error of a caller who waits for a refresh no longer. One who
// has not left, but whose time is up, hears that the provider is away. Where it is
// the store that keeps the answer, there is nothing else for the caller to do.
func unrefreshed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = &Failure{Kind: Later, Reason: "timeout", Err: err}
	}
	return fmt.Errorf("wait for refresh: %w", err)
}

type landing struct {
	grant Grant
	err   error
}

// fly joins or begins this process's one refresh of the grant. It is keyed by
// the grant's ID, and goes on when the caller's context ends.
func (s *Source) fly(ctx context.Context, stale Grant) <-chan landing {
	out := make(chan landing, 1)
	s.running.Go(func() {
		r := <-s.flights.DoChan(stale.ID, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightLimit)
			defer cancel()
			return s.refresh(ctx, stale)
		})
		g, _ := r.Val.(Grant)
		out <- landing{grant: g, err: r.Err}
	})
	return out
}

// early is how long before its end the grant's access token is due.
func (s *Source) early(g Grant) time.Duration {
	return min(s.Early, g.AccessExpiresAt.Sub(g.ObtainedAt)/5)
}

func (g Grant) token() Token {
	return Token{Value: g.Access, Subject: g.Subject, Scopes: g.Scopes}
}

// edition names the tokens that the grant holds. It is not told by the access
// token's text: a provider may answer a refresh with the same one once more.
func (g Grant) edition() string {
	return fmt.Sprintf("%s/%d/%d", g.ID, g.Version, g.ObtainedAt.UnixMicro())
}

// idle reports whether nobody is refreshing the grant, nor told not to.
func (g Grant) idle() bool { return g.LeaseLeft <= 0 && g.RetryIn <= 0 }

func reauthenticate(reason string) error {
	return fmt.Errorf("%w: %s", ErrReauthenticationRequired, reason)
}
