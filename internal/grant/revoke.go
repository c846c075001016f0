package grant

import (
	"context"
	"fmt"
)

// Revocation is what became of a consent that was given back.
type Revocation struct {
	Sessions int  // how many sessions of the user's ended
	Upstream bool // whether the provider has confirmed it already
}

// Revoke gives the user's consent back: it erases the grant here and ends every
// session of the user's, then tries to take it back at the provider, for about
// presentLimit at most. Where the provider is away, Revocations goes on trying:
// the tokens are in the outbox since they left the grant. It returns ErrNotFound
// where there is no grant, or the store's error.
func (s *Source) Revoke(ctx context.Context, userID string) (Revocation, error) {
	pending, sessions, err := s.Store.Erase(ctx, userID)
	if err != nil {
		return Revocation{}, fmt.Errorf("erase grant: %w", err)
	}
	if pending.ID == "" {
		return Revocation{Sessions: sessions}, nil
	}
	confirmed := make(chan bool, 1)
	s.running.Go(func() { confirmed <- s.Revocations.attempt(ctx, pending) })
	return Revocation{Sessions: sessions, Upstream: <-confirmed}, nil
}
