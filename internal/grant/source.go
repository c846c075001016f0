package grant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"

	"galaxygate/internal/background"
	"galaxygate/internal/cache"
	"galaxygate/internal/recent"
	"galaxygate/internal/secret"
)

// LeaseLife is how long a declared intent to present a refresh token stands, and
// so how long a crash goes unnoticed.
const LeaseLife = leaseLife

// rejectionLife is for how long a rejection of a token that was fresh from the
// provider keeps further rejections of that grant from causing refreshes: a
// misconfigured resource must not cost one for each request.
const rejectionLife = time.Minute

// aheadInterval is how often, at most, a refresh ahead of time is tried: what is
// remembered of a grant does not tell whether somebody else is at it.
const aheadInterval = time.Second

// Source is the one way to a user's access token. Its fields are set before
// first use and not changed after; Wait must be called before the process ends.
type Source struct {
	Store     Store
	Leases    Leases
	Refresher Refresher
	// Cache answers for the Store; nil: nothing is remembered.
	Cache *Cache
	// Confirm is asked right before a call with a token is made for the request
	// of ctx: its error, where the request's session has ended, for one, is
	// returned instead. Nil: every request may.
	Confirm func(ctx context.Context) error
	// Revocations takes back what must not stay valid at the provider.
	Revocations *Revocations
	// Names returns whom an access token itself names, by whatever name; empty
	// where it does not say. It may be nil.
	Names func(access secret.Text) string

	// Early is how long before its end an access token is refreshed while it is
	// still served; never more than a fifth of the token's life.
	Early time.Duration
	// RotationGrace is for how long the provider takes a refresh token that it
	// has replaced once more; 0: it does not.
	RotationGrace time.Duration

	Now    func() time.Time
	Logger *slog.Logger
	// Observer is told what happens; nil: nobody is.
	Observer Observer

	flights  singleflight.Group
	running  background.Group
	uses     uses
	rejected recent.Set // editions whose fresh tokens the resource rejects
	ahead    recent.Set // grants whose refresh ahead of time was begun of late
}

// Cache remembers grants by their user's ID.
type Cache = cache.Cache[string, Grant]

// The bounds of a Cache: how many grants, and for how long at most one that has
// changed elsewhere is used where word of the change is lost.
const (
	cacheSize = 100_000
	cacheLife = 30 * time.Second
)

// NewCache returns an empty cache, whose grants are forgotten by their user's ID.
// Size, Life and Subject of the options are its own to set.
func NewCache(o cache.Options[Grant]) *Cache {
	o.Size, o.Life = cacheSize, cacheLife
	o.Subject = func(g Grant) string { return g.UserID }
	return cache.New[string](o)
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

// Grant returns the user's grant, without its refresh token, or ErrNotFound. It
// may be a moment old: where that matters, the Store is to be asked.
func (s *Source) Grant(ctx context.Context, userID string) (Grant, error) {
	return s.Cache.Get(ctx, userID, func(ctx context.Context) (Grant, error) {
		g, err := s.Store.Grant(ctx, userID)
		g.Refresh = secret.Text{} // read from the store by who is to present it
		return g, err
	})
}

// Reread is Grant, read from the store now.
func (s *Source) Reread(ctx context.Context, userID string) (Grant, error) {
	s.Cache.Forget(userID)
	return s.Grant(ctx, userID)
}

// Call runs do with the user's access token. Where do's error wraps
// ErrTokenRejected, the token is refreshed at most once and do runs at most
// once more. Where it is a *Failure of kind SignInAgain, as when the user has
// withdrawn a consent, the grant becomes ReauthenticationRequired. The errors
// are Token's, Confirm's and do's.
func (s *Source) Call(ctx context.Context, userID string, do func(context.Context, Token) error) error {
	g, err := s.usable(ctx, userID)
	if err != nil {
		return err
	}
	err = s.use(ctx, g, do)
	if f := (*Failure)(nil); errors.As(err, &f) && f.Kind == SignInAgain {
		s.condemn(ctx, g, f)
	}
	if !errors.Is(err, ErrTokenRejected) || !g.Refreshable || s.rejected.Has(g.edition(), s.Now()) {
		return err
	}
	if g, err = s.newer(ctx, g); err != nil {
		return err
	}
	err = s.use(ctx, g, do)
	if errors.Is(err, ErrTokenRejected) {
		s.rejected.Add(g.edition(), s.Now(), rejectionLife)
	}
	return err
}

// use runs do with the grant's access token, if that may still be used.
func (s *Source) use(ctx context.Context, g Grant, do func(context.Context, Token) error) error {
	// Entered before the question: a session that ends in between is then ended
	// only after do is.
	ctx, leave := s.uses.enter(ctx, g.UserID, false)
	defer leave()
	if s.Confirm != nil {
		if err := s.Confirm(ctx); err != nil {
			return err
		}
	}
	return do(ctx, g.token())
}

// Drain waits until the user's refreshes are over, and the calls that carry the
// user's token for requests that Confirm refuses, for at most 2 s, and then
// cancels them; a refresh token that is being presented still is. Once the user's
// sessions have ended, and Confirm says so, no call is made after it has returned.
func (s *Source) Drain(ctx context.Context, userID string) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	s.uses.drain(ctx, userID, func(request context.Context) bool {
		return s.Confirm != nil && s.Confirm(request) == nil
	})
}

// Refresh returns the user's grant after a refresh, also where its access token
// is still valid, unless the grant has another version by now than that one. The
// errors are Token's. When ctx ends, the caller leaves and the refresh goes on.
func (s *Source) Refresh(ctx context.Context, userID string, version int64) (Grant, error) {
	g, err := s.Store.Grant(ctx, userID)
	if err != nil {
		return Grant{}, fmt.Errorf("read grant: %w", err)
	}
	if g.Version != version {
		return g, nil
	}
	return s.newer(ctx, g)
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
	g, err := s.Grant(ctx, userID)
	if err != nil {
		return Grant{}, fmt.Errorf("read grant: %w", err)
	}
	if g.Status != Active && g.StatusReason == ReasonSubject {
		return Grant{}, reauthenticate(g.StatusReason) // also the access token may be another person's
	}
	now := s.Now()
	if !now.Before(g.AccessExpiresAt) {
		return s.newer(ctx, g)
	}
	// The token is valid, also where it is due, or the last of its grant: nobody
	// waits.
	due := !now.Before(g.AccessExpiresAt.Add(-s.early(g)))
	if due && g.Status == Active && g.idle() && g.Refreshable && s.ahead.Add(g.ID, now, aheadInterval) {
		s.fly(ctx, g)
	}
	return g, nil
}

// newer waits for another edition of the stale grant.
func (s *Source) newer(ctx context.Context, stale Grant) (Grant, error) {
	start := s.Now()
	defer func() { s.observer().Waited(s.Now().Sub(start)) }()
	for {
		if ctx.Err() != nil { // a request that has ended, as at shutdown, begins nothing
			return Grant{}, unrefreshed(ctx.Err())
		}
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
			return s.survive(ctx, stale)
		})
		g, _ := r.Val.(Grant)
		out <- landing{grant: g, err: r.Err}
	})
	return out
}

// survive is refresh, and turns a panic into an error: in a flight it would end
// the process, with all other refreshes.
func (s *Source) survive(ctx context.Context, stale Grant) (g Grant, err error) {
	defer func() {
		if value := recover(); value != nil {
			s.Logger.ErrorContext(ctx, "panic in a refresh", "grant_id", stale.ID, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in a refresh: %T", value) // the value may quote anything
		}
	}()
	return s.refresh(ctx, stale)
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
	return fmt.Errorf("%w: %w", ErrReauthenticationRequired, &Failure{Kind: SignInAgain, Reason: reason})
}
