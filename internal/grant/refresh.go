package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"galaxygate/internal/failpoint"
	"galaxygate/internal/retry"
)

// The times of the refresh protocol. A lease outlasts its own recording, the
// call that it guards, and some time to store the answer, so that two
// presentations never overlap; a flight waits for two leases of others and then
// gives up, but not what it has begun to present.
const (
	acquireLimit = 3 * time.Second
	presentLimit = 10 * time.Second
	leaseLife    = 15 * time.Second
	settleLimit  = leaseLife + 5*time.Second // from the intent until the answer is stored
	flightLimit  = 2*leaseLife + 5*time.Second
	pollInterval = 500 * time.Millisecond
	maxRetryIn   = 5 * time.Minute
)

// reasonNoRefreshToken is why a grant without one needs its user.
const reasonNoRefreshToken = "no_refresh_token"

// refresh returns the user's grant once it is another edition than the stale
// one and valid, by presenting the refresh token or by waiting for whoever does.
func (s *Source) refresh(ctx context.Context, stale Grant) (Grant, error) {
	// Watch before reading: a wake-up between the two must not be missed.
	wake, stop := s.Store.Watch(stale.ID)
	defer stop()
	for {
		read := s.Now()
		g, err := s.Store.Grant(ctx, stale.UserID)
		switch {
		case err != nil:
			return Grant{}, fmt.Errorf("read grant: %w", err)
		case g.Status != Active:
			return Grant{}, reauthenticate(g.StatusReason)
		case g.edition() != stale.edition() && s.Now().Before(g.AccessExpiresAt):
			return g, nil
		case g.RetryIn > 0 && g.LastFailure != nil:
			// Another request or replica has just been refused: do not ask again.
			f := *g.LastFailure
			f.RetryAfter = g.RetryIn
			return Grant{}, &f
		case g.LeaseLeft > 0:
			failpoint.Hit(failpoint.Waiting)
			if err := await(ctx, wake, g.LeaseLeft); err != nil {
				return Grant{}, err
			}
			continue
		}
		g, err = s.present(ctx, g, read)
		if errors.Is(err, ErrLost) {
			s.observer().Contended()
			continue // fenced off: someone else's newer state counts
		}
		return g, err
	}
}

// present spends the refresh token of the grant, which was read then, once the
// intent to do so is on record.
func (s *Source) present(ctx context.Context, g Grant, read time.Time) (Grant, error) {
	// However long the flight has waited: a token that is presented has a
	// successor to store.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	// Entered before the intent, which is refused once the user has signed out: a
	// last session that ends meanwhile is ended only after the provider was asked.
	using, leave := s.uses.enter(ctx, g.UserID, true)
	defer leave()
	start, owner := s.Now(), rand.Text()
	failpoint.Hit(failpoint.BeforeIntent)
	if err := s.acquire(ctx, g, owner); err != nil {
		return Grant{}, err
	}
	failpoint.Hit(failpoint.IntentStored)
	outcome := "fenced"
	defer func() { s.observer().Refreshed(outcome, s.Now().Sub(start)) }()
	g.LapsedFor += elapsed(read, s.Now())
	left := acquireLimit + presentLimit - elapsed(start, s.Now())
	if using.Err() != nil || left <= 0 {
		// Whoever ended a session waits no longer, or this process stood still for
		// so long that the answer would not come within the lease.
		return Grant{}, s.withdraw(ctx, g, owner)
	}
	tokens, err := s.exchange(ctx, g, min(left, presentLimit))
	leave()
	if err != nil {
		f := AsFailure(err)
		if err := s.fail(ctx, g, owner, f); err != nil {
			return Grant{}, err
		}
		outcome = string(f.Kind)
		if f.Kind == SignInAgain {
			return Grant{}, reauthenticate(f.Reason)
		}
		return Grant{}, f
	}
	failpoint.Hit(failpoint.ReplyReceived)
	// Stored before anyone uses or judges it: it exists nowhere else.
	var published Grant
	unsure := false // whether it may be stored although an error came
	err = persist(ctx, func() (err error) {
		published, err = s.Leases.Publish(ctx, g, owner, tokens, s.Now())
		unsure = unsure || err != nil && !errors.Is(err, ErrLost)
		return err
	})
	if errors.Is(err, ErrLost) {
		s.discard(ctx, g, tokens, unsure)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("publish tokens: %w", err)
	}
	failpoint.Hit(failpoint.WaitersWoken)
	outcome = "refreshed"
	s.Logger.InfoContext(ctx, "tokens refreshed", "grant_id", g.ID, "expires_at", published.AccessExpiresAt)
	return published, nil
}

// acquire records the intent to present the refresh token. Where that fails, or
// takes so long that the lease would not outlast the provider's answer, nothing
// is presented, and the lease, which may stand all the same, is given back.
func (s *Source) acquire(ctx context.Context, g Grant, owner string) error {
	start := s.Now()
	limited, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	err := s.Leases.Acquire(limited, g, owner, leaseLife)
	if errors.Is(err, ErrLost) || errors.Is(err, ErrSignedOut) {
		return err
	}
	if err == nil && s.Now().Sub(start) > acquireLimit {
		err = errors.New("the store is too slow")
	}
	if err != nil {
		s.release(ctx, g, owner)
		return fmt.Errorf("acquire lease: %w", err)
	}
	return nil
}

// release gives a lease back in the background: a store that lost the answer to
// Acquire is away, and a lease that lapses would be taken for a crash.
func (s *Source) release(ctx context.Context, g Grant, owner string) {
	failpoint.Hit(failpoint.ReleaseBegun)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseLife)
	s.running.Go(func() {
		defer cancel()
		err := persist(ctx, func() error { return s.Leases.Release(ctx, g, owner) })
		if err != nil && !errors.Is(err, ErrLost) {
			s.Logger.WarnContext(ctx, "lease not released", "grant_id", g.ID, "error", err)
		}
	})
}

// withdraw gives back a lease under which nothing is presented, before the grant
// is read again: by its own process, too, a lease that ran out would be taken for
// a crash. It returns ErrLost, or why the lease is not given back yet.
func (s *Source) withdraw(ctx context.Context, g Grant, owner string) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), acquireLimit)
	defer cancel()
	if err := s.Leases.Release(limited, g, owner); err != nil && !errors.Is(err, ErrLost) {
		s.release(ctx, g, owner)
		return fmt.Errorf("release lease: %w", err)
	}
	return ErrLost
}

// elapsed is the time from then until now. Where the machine slept in between the
// monotonic clock may not know, and where the wall clock was set that one does not.
func elapsed(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// exchange asks the provider, unless it must not be asked, for at most limit.
func (s *Source) exchange(ctx context.Context, g Grant, limit time.Duration) (Tokens, error) {
	if g.Refresh.IsZero() {
		return Tokens{}, &Failure{Kind: SignInAgain, Reason: reasonNoRefreshToken}
	}
	if !s.presentable(g) {
		return Tokens{}, &Failure{Kind: SignInAgain, Reason: ReasonInterrupted}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tokens, err := s.Refresher.Refresh(ctx, g.Refresh)
	if err == nil && s.changedHands(g, tokens) {
		// Never stored as a grant's: there is nobody here whose tokens they are.
		s.enqueue(ctx, PendingRevocation{Kind: RevokeTokens, Tokens: tokens})
		return Tokens{}, &Failure{Kind: SignInAgain, Reason: ReasonSubject, Err: ErrSubjectMismatch}
	}
	return tokens, err
}

// changedHands reports whether the provider answered a refresh of g with another
// person's tokens. The ID token names the subject (OpenID Connect Core 1.0,
// section 12.2). The access token may call them otherwise (RFC 9068, section 6),
// but always the same.
func (s *Source) changedHands(g Grant, t Tokens) bool {
	if t.Subject != "" && t.Subject != g.Subject {
		return true
	}
	if s.Names == nil {
		return false
	}
	before, after := s.Names(g.Access), s.Names(t.Access)
	return before != "" && after != "" && before != after
}

// presentable reports whether the refresh token may be presented although others
// have declared this intent and vanished. Where tokens rotate, the stored one may
// be spent, and presenting it again would be taken for theft (RFC 9700, section
// 4.14.2), unless the provider forgives that for a while: then once more, because
// a second crash is no bad luck.
func (s *Source) presentable(g Grant) bool {
	if g.Lapses == 0 || g.Rotation == KeepsToken {
		return true
	}
	begun := leaseLife + g.LapsedFor // so long ago, at most
	return g.Lapses == 1 && begun < s.RotationGrace
}

// fail records the failure, and when to try again. One that did not reach the
// provider says nothing about it, and is this replica's alone.
func (s *Source) fail(ctx context.Context, g Grant, owner string, f *Failure) error {
	if f.Unsent {
		s.release(ctx, g, owner)
		return nil
	}
	wait := retryIn(f, g.Failures)
	err := persist(ctx, func() error { return s.Leases.Fail(ctx, g, owner, f, wait) })
	if err != nil {
		return fmt.Errorf("record failed refresh: %w", err)
	}
	logger := s.Logger.With("grant_id", g.ID, "kind", f.Kind, "reason", f.Reason, "status", f.Status, "message", f.Message)
	switch f.Kind {
	case SignInAgain:
		s.observer().Reauthenticate(f.Reason)
		logger.WarnContext(ctx, "grant cannot be refreshed any more")
	case OperatorFault:
		logger.ErrorContext(ctx, "provider refuses the gateway: check ROLLUP_CLIENT_ID and ROLLUP_CLIENT_SECRET", "alarm", true, "retry_in", wait)
	default:
		logger.WarnContext(ctx, "refresh failed", "retry_in", wait)
	}
	return nil
}

// condemn marks the grant for which a resource of the provider's wants the user
// to sign in again, unless it has changed meanwhile or is being refreshed.
func (s *Source) condemn(ctx context.Context, g Grant, f *Failure) {
	owner := rand.Text()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseLife)
	defer cancel()
	err := s.Leases.Acquire(ctx, g, owner, leaseLife)
	if err == nil {
		err = s.fail(ctx, g, owner, f)
	}
	if err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrSignedOut) {
		s.Logger.WarnContext(ctx, "grant not marked", "grant_id", g.ID, "reason", f.Reason, "error", err)
	}
}

// discard has tokens revoked that could not be stored because the user's grant
// was erased, replaced or ended while the provider was asked. Where another replica
// has refreshed the same grant, or these tokens may be stored after all, revoking them
// could end it (RFC 7009, section 2.1).
func (s *Source) discard(ctx context.Context, g Grant, t Tokens, unsure bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), presentLimit)
	defer cancel()
	current, err := s.Store.Grant(ctx, g.UserID)
	// A new sign-in may have kept the refresh token that was presented.
	kept := current.Refresh.Equal(g.Refresh) || !t.Refresh.IsZero() && current.Refresh.Equal(t.Refresh)
	replaced := !kept && (current.ID != g.ID || !unsure && !current.AuthorizedAt.Equal(g.AuthorizedAt))
	replaced = err == nil && (replaced || current.Status != Active)
	if !replaced && !errors.Is(err, ErrNotFound) {
		return
	}
	s.enqueue(ctx, PendingRevocation{Kind: RevokeTokens, UserID: g.UserID, GrantID: g.ID, Tokens: t})
}

// enqueue has tokens revoked that are nobody's any more.
func (s *Source) enqueue(ctx context.Context, p PendingRevocation) {
	if err := persist(ctx, func() error { return s.Revocations.Outbox.EnqueueRevocation(ctx, p) }); err != nil {
		s.Logger.WarnContext(ctx, "discarded tokens not to be revoked", "grant_id", p.GrantID, "error", err)
	}
}

// persist tries to write until it is done, fenced off, or ctx has ended.
func persist(ctx context.Context, write func() error) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := write()
		if err == nil || errors.Is(err, ErrLost) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retry.Jitter(pause)):
		}
	}
}

// await returns when woken, when the poll is due, or after left. Its error says
// that ctx has ended.
func await(ctx context.Context, wake <-chan struct{}, left time.Duration) error {
	select {
	case <-ctx.Done():
		return unrefreshed(ctx.Err())
	case <-wake:
	case <-time.After(min(left, retry.Jitter(pollInterval))):
	}
	return nil
}

// retryIn is what the provider asked for, else 1 s doubling with each failure
// up to maxRetryIn; an operator's fault waits 30 s at least.
func retryIn(f *Failure, failures int) time.Duration {
	wait := retry.Jitter(min(time.Second<<min(failures, 10), maxRetryIn))
	if f.Kind == OperatorFault {
		wait = max(wait, 30*time.Second)
	}
	return min(max(wait, f.RetryAfter), maxRetryIn)
}
