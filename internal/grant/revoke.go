package grant

import (
	"context"
	"fmt"
)

// Revocation is what became of a consent that was given back.
type Revocation struct {
	Sessions int  // how many sessions of the user's ended
	Upstream bool // whether the provider confirmed it
}

// Revoke gives the user's consent back: it erases the grant here and ends every
// session of the user's, then revokes the tokens at the provider as far as that
// can. The tokens are gone from here even where the provider fails. It returns
// ErrNotFound where there is no grant, or the store's error.
func (s *Source) Revoke(ctx context.Context, userID string) (Revocation, error) {
	// A provider without RFC 7009 may take an access token to revoke the rest,
	// so have a valid one if that is possible.
	if _, err := s.Token(ctx, userID); err != nil {
		s.Logger.DebugContext(ctx, "no access token to revoke with", "error", err)
	}
	g, sessions, err := s.Store.Erase(ctx, userID)
	if err != nil {
		return Revocation{}, fmt.Errorf("erase grant: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), presentLimit)
	defer cancel()
	revoker := s.Withdrawer
	if g.StatusReason == ReasonSubject {
		revoker = s.Revoker // the consent behind the tokens may be another's, the tokens alone are this user's
	}
	upstream, err := revoker.Revoke(ctx, g.Access, g.Refresh)
	if err != nil {
		f := AsFailure(err)
		s.Logger.WarnContext(ctx, "consent not withdrawn at the provider", "grant_id", g.ID, "reason", f.Reason, "status", f.Status)
	}
	return Revocation{Sessions: sessions, Upstream: upstream && err == nil}, nil
}
