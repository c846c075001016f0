package grant

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"galaxygate/internal/background"
)

// SameEnd is by how much two times may differ that tell the same end of a refresh
// token: a provider that tells it in seconds to go tells another one each time.
const SameEnd = 2 * time.Second

// How near its end a refresh token is refreshed without being asked for.
const (
	nearPart = 5                  // the last fifth of its life,
	nearTime = 3 * 24 * time.Hour // or the last days where they are longer,
	mostPart = 2                  // but never more than the last half
)

// How long a claimed grant is left alone: a quarter of what its refresh token has
// left, within these bounds.
const (
	minHold = 10 * time.Second
	maxHold = time.Hour
)

// Claim is a grant whose refresh token is near its end, and this replica's to
// refresh.
type Claim struct {
	GrantID          string
	UserID           string
	Version          int64
	RefreshExpiresAt time.Time
}

// DueGrants is the store's part in keeping grants alive.
type DueGrants interface {
	// ClaimGrant returns the grant whose refresh token ends first of those that are
	// due: active, with a refresh token whose end is known, ahead, and as near
	// as SweepAfter says, of a user with a live session, and not claimed by
	// anyone for hold of what is left until the end. It returns ErrNotFound
	// where there is none. No grant is claimed by two at once.
	ClaimGrant(ctx context.Context, now time.Time, hold func(left time.Duration) time.Duration) (Claim, error)
	// SettleGrant keeps the grant from being claimed until its refresh token's end
	// moves on or the user signs in again. It does nothing to a grant that is at
	// another version.
	SettleGrant(ctx context.Context, grantID string, version int64) error
}

// SweepAfter is how long after its arrival a refresh token of that life is due
// for a refresh that nobody asks for.
func SweepAfter(life time.Duration) time.Duration {
	return max(life-max(life/nearPart, min(nearTime, life/mostPart)), 0)
}

// Keeper keeps the grants of signed-in users alive who ask for nothing: it
// refreshes those whose refresh token is near its known end. Any number of
// replicas may run one. Its fields are set before first use.
type Keeper struct {
	Due    DueGrants
	Source *Source
	// Interval is how often, about, it looks for grants that are due.
	Interval time.Duration
	// PerMinute bounds the refreshes that it begins in a minute, one after the
	// other; 0: it begins none.
	PerMinute int
	Now       func() time.Time
	Logger    *slog.Logger
	// Observe is told how each attempt ended: "kept" where the end has moved on,
	// "fixed" where the provider has left it as it was, "refused" where the user
	// must sign in again, else "failed". It may be nil.
	Observe func(outcome string)
}

// Run keeps grants alive until ctx ends, and then returns nil. It must have ended
// before Source.Wait is called.
func (k *Keeper) Run(ctx context.Context) error {
	if k.PerMinute <= 0 {
		<-ctx.Done()
		return nil
	}
	background.Every(ctx, k.Interval, k.sweep)
	return nil
}

// sweep refreshes the grants that are due. Each is claimed when its turn has
// come, so that what one replica cannot get to another can.
func (k *Keeper) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		claim, err := k.Due.ClaimGrant(ctx, k.Now(), hold)
		if errors.Is(err, ErrNotFound) {
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				k.Logger.WarnContext(ctx, "no grant claimed to be kept alive", "error", err)
			}
			return
		}
		next := time.After(k.pause())
		k.keep(ctx, claim)
		select {
		case <-ctx.Done():
		case <-next:
		}
	}
}

// keep refreshes the claimed grant. A provider that leaves the end of its refresh
// tokens as it was is not asked again.
func (k *Keeper) keep(ctx context.Context, c Claim) {
	g, err := k.Source.Refresh(ctx, c.UserID, c.Version)
	outcome := "kept"
	switch {
	case errors.Is(err, ErrReauthenticationRequired):
		outcome = "refused"
	case err != nil:
		outcome = "failed"
	case !g.RefreshExpiresAt.After(c.RefreshExpiresAt.Add(SameEnd)):
		outcome = "fixed"
		err = k.Due.SettleGrant(ctx, g.ID, g.Version)
	}
	if err != nil && ctx.Err() != nil {
		return // the refresh goes on, and says by itself how it ended
	}
	logger := k.Logger.With("grant_id", c.GrantID, "outcome", outcome)
	if err != nil {
		logger = logger.With("error", err)
	}
	logger.DebugContext(ctx, "grant swept", "refresh_expires_at", g.RefreshExpiresAt)
	if k.Observe != nil {
		k.Observe(outcome)
	}
}

// pause is the time between the beginnings of two refreshes. It is never shorter
// than the bound allows, and longer by chance, so that replicas which began
// together do not go on together.
func (k *Keeper) pause() time.Duration {
	shortest := time.Minute / time.Duration(k.PerMinute)
	return shortest + rand.N(shortest/4+1) //nolint:gosec // spreads load, guards nothing
}

func hold(left time.Duration) time.Duration { return min(max(left/4, minHold), maxHold) }
