package grant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"galaxygate/internal/audit"
	"galaxygate/internal/retry"
)

// RevocationLease is for how long a claimed revocation is nobody else's: longer
// than its attempt may ask the provider.
const RevocationLease = leaseLife

// The times and bounds of revocations. Consents are attempted less often than
// tokens: at Rollup each costs a request of the few that Galaxy takes.
const (
	keepLimit         = 10 * time.Second
	giveUpAfter       = 7 * 24 * time.Hour
	maxRevocationWait = time.Hour
	operatorWait      = 10 * time.Minute
	alarmInterval     = time.Hour
	revocationPoll    = 5 * time.Second
	revocationsAtOnce = 3
	tokensPerMinute   = 120
	consentsPerMinute = 6
)

// Why nothing was revoked, beside the provider's own reasons.
const (
	reasonUnsupported = "unsupported"
	reasonUnreadable  = "unreadable"
)

// Revocations takes back at the provider what is in the outbox, until the
// provider confirms it or there is nothing to take back. Its fields are set
// before first use and not changed after.
type Revocations struct {
	Outbox    Outbox
	Claims    Claims
	Refresher Refresher
	// Revoker revokes tokens and needs none that is valid (RFC 7009).
	Revoker Revoker
	// Withdrawer takes back all that the user has consented to, with a valid
	// access token. It is asked where Revoker has no way to.
	Withdrawer Revoker

	Now    func() time.Time
	Logger *slog.Logger
	// Observe is told how each attempt ended: "confirmed", "void" where there was
	// nothing to take back, "given_up", "lost" where it was no longer this
	// replica's, or "later" and "operator_fault" where it is to be tried again. It
	// may be nil.
	Observe func(outcome string)

	mu      sync.Mutex
	alarmed time.Time // when an operator's fault was last raised
}

// Run attempts the revocations as they are due, a few at once, until ctx ends;
// then it waits for those under way. Its error is the store's.
func (r *Revocations) Run(ctx context.Context) error {
	lanes, ctx := errgroup.WithContext(ctx)
	lanes.Go(func() error { return r.attend(ctx, RevokeTokens, tokensPerMinute) })
	lanes.Go(func() error { return r.attend(ctx, RevokeConsent, consentsPerMinute) })
	return lanes.Wait()
}

// attend attempts the revocations of one kind, so many a minute at most.
func (r *Revocations) attend(ctx context.Context, kind RevocationKind, perMinute int) error {
	wake, stop := r.Outbox.WatchRevocations()
	defer stop()
	limit := rate.NewLimiter(rate.Every(time.Minute/time.Duration(perMinute)), revocationsAtOnce)
	slots := make(chan struct{}, revocationsAtOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		wait, err := r.Outbox.NextRevocation(ctx, kind)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrNotFound):
			wait = revocationPoll
		case err != nil:
			return fmt.Errorf("look for revocations: %w", err)
		}
		if wait > 0 {
			select {
			case <-ctx.Done():
			case <-wake:
			case <-time.After(min(wait, retry.Jitter(revocationPoll))):
			}
			continue
		}
		// A place among those under way comes first: a claim must not wait for one.
		select {
		case <-ctx.Done():
			return nil
		case slots <- struct{}{}:
		}
		if limit.Wait(ctx) != nil {
			return nil
		}
		attempt, err := r.claim(ctx, kind)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		running.Go(func() {
			defer func() { <-slots }()
			attempt()
		})
	}
}

// claim returns the attempt of the revocation that has been due for longest,
// which does nothing where other replicas have taken all.
func (r *Revocations) claim(ctx context.Context, kind RevocationKind) (attempt func(), err error) {
	p, err := r.Claims.ClaimRevocation(ctx, kind, RevocationLease)
	switch {
	case errors.Is(err, ErrNotFound):
		return func() {}, nil
	case err != nil && p.ID == "":
		return nil, fmt.Errorf("claim revocation: %w", err)
	}
	ctx = context.WithoutCancel(ctx)
	return func() {
		if err != nil {
			r.settle(ctx, p, false, &Failure{Kind: Later, Reason: reasonUnreadable, Err: err})
			return
		}
		r.attempt(ctx, p)
	}, nil
}

// attempt tries a claimed revocation once, for at most presentLimit, records
// what became of it, and reports whether the provider confirmed it.
func (r *Revocations) attempt(ctx context.Context, p PendingRevocation) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RevocationLease)
	defer cancel()
	limited, cancel := context.WithTimeout(ctx, presentLimit)
	defer cancel()
	confirmed, err := r.Revoker.Revoke(limited, p.Tokens.Access, p.Tokens.Refresh)
	if !confirmed && err == nil && p.Kind == RevokeConsent {
		confirmed, err = r.withdraw(limited, &p)
	}
	return r.settle(ctx, p, confirmed, err)
}

// withdraw takes back the consent by an access token that is valid, which it
// may first have to get.
func (r *Revocations) withdraw(ctx context.Context, p *PendingRevocation) (bool, error) {
	if r.Now().Before(p.Tokens.AccessExpiresAt) {
		confirmed, err := r.Withdrawer.Revoke(ctx, p.Tokens.Access, p.Tokens.Refresh)
		if !errors.Is(err, ErrTokenRejected) {
			return confirmed, err
		}
	}
	if p.Tokens.Refresh.IsZero() {
		return false, &Failure{Kind: SignInAgain, Reason: reasonNoRefreshToken}
	}
	if err := r.renew(ctx, p); err != nil {
		return false, err
	}
	return r.Withdrawer.Revoke(ctx, p.Tokens.Access, p.Tokens.Refresh)
}

// renew presents the refresh token. No intent is recorded: should the answer be
// lost to a crash, presenting a spent token again makes the provider end the
// grant, which is what is wanted, or say that there is nothing left.
func (r *Revocations) renew(ctx context.Context, p *PendingRevocation) error {
	came, err := r.Refresher.Refresh(ctx, p.Tokens.Refresh)
	if err != nil {
		return err
	}
	p.Tokens.Access, p.Tokens.AccessExpiresAt = came.Access, came.AccessExpiresAt
	if !came.Refresh.IsZero() {
		p.Tokens.Refresh = came.Refresh
	}
	// Stored before used: they exist nowhere else, and the next call may fail.
	keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepLimit)
	defer cancel()
	return persist(keeping, func() error { return r.Claims.KeepRevocation(keeping, *p) })
}

// settle records how an attempt ended, and reports whether the provider
// confirmed the revocation.
func (r *Revocations) settle(ctx context.Context, p PendingRevocation, confirmed bool, err error) bool {
	f := AsFailure(err)
	event := audit.Event{UserID: p.UserID, GrantID: p.GrantID}
	var outcome string
	switch {
	case confirmed && err == nil:
		outcome, event.Kind = "confirmed", audit.RevocationConfirmed
	case err == nil:
		outcome, event.Kind, event.Reason = "void", audit.RevocationVoid, reasonUnsupported
	case errors.Is(err, ErrLost):
		outcome = "lost"
	case f.Kind == SignInAgain:
		// The provider no longer knows these tokens.
		outcome, event.Kind, event.Reason = "void", audit.RevocationVoid, f.Reason
	case p.Age >= giveUpAfter:
		outcome, event.Kind, event.Reason = "given_up", audit.RevocationGivenUp, f.Reason
	default:
		outcome = string(f.Kind)
	}
	if r.Observe != nil {
		r.Observe(outcome)
	}
	logger := r.Logger.With("revocation_id", p.ID, "kind", p.Kind, "grant_id", p.GrantID, "attempts", p.Attempts, "outcome", outcome)
	switch {
	case outcome == "lost":
		logger.InfoContext(ctx, "revocation is another's by now")
		return false
	case event.Kind == "":
		err = r.postpone(ctx, p, f, logger)
	default:
		err = r.Claims.ConcludeRevocation(ctx, p, event)
		r.report(ctx, event, f, logger)
	}
	if err != nil && !errors.Is(err, ErrLost) {
		// It is due again when the claim has run out, and revoking twice harms nobody.
		logger.WarnContext(ctx, "outcome of revocation not recorded", "error", err)
	}
	return confirmed
}

// postpone lets the revocation be tried again later.
func (r *Revocations) postpone(ctx context.Context, p PendingRevocation, f *Failure, logger *slog.Logger) error {
	wait := revocationWait(f, p.Attempts)
	logger = logger.With("reason", f.Reason, "status", f.Status, "message", f.Message, "retry_in", wait)
	if f.Kind == OperatorFault && r.alarmDue() {
		logger.ErrorContext(ctx, "provider refuses the gateway's revocations: check ROLLUP_CLIENT_ID, ROLLUP_CLIENT_SECRET and GALAXY_API_KEY", "alarm", true)
	} else {
		logger.WarnContext(ctx, "not revoked at the provider yet")
	}
	return r.Claims.PostponeRevocation(ctx, p, wait)
}

// report logs the end of a revocation.
func (r *Revocations) report(ctx context.Context, e audit.Event, f *Failure, logger *slog.Logger) {
	switch e.Kind {
	case audit.RevocationConfirmed:
		logger.InfoContext(ctx, "revoked at the provider")
	case audit.RevocationGivenUp:
		logger.WarnContext(ctx, "revocation given up: the tokens may still be valid at the provider",
			"reason", e.Reason, "status", f.Status, "message", f.Message)
	default:
		logger.InfoContext(ctx, "nothing to revoke at the provider", "reason", e.Reason)
	}
}

// alarmDue reports whether an operator's fault is to be raised: each would be
// one for every revocation and attempt.
func (r *Revocations) alarmDue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	if now.Sub(r.alarmed) < alarmInterval {
		return false
	}
	r.alarmed = now
	return true
}

// revocationWait is 1 s, doubling with each attempt up to an hour; an operator's
// fault waits 10 minutes at least. What the provider asked for is heeded.
func revocationWait(f *Failure, attempts int) time.Duration {
	wait := min(time.Second<<min(max(attempts-1, 0), 12), maxRevocationWait)
	if f.Kind == OperatorFault {
		wait = max(wait, operatorWait)
	}
	return max(retry.Jitter(wait), f.RetryAfter)
}
