package grant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"galaxygate/internal/grant"
	"galaxygate/internal/testdb"
)

func TestARejectedTokenIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		source := h.replica(h.db)
		var used []string
		rejecting := func(good string) func(context.Context, grant.Token) error {
			return func(_ context.Context, token grant.Token) error {
				used = append(used, token.Value.Reveal())
				if token.Value.Reveal() != good {
					return fmt.Errorf("galaxy: %w", grant.ErrTokenRejected)
				}
				return nil
			}
		}
		if err := source.Call(t.Context(), h.user, rejecting("access-1")); err != nil {
			t.Errorf("got %v", err)
		}
		if want := []string{"access-0", "access-1"}; !slices.Equal(used, want) {
			t.Errorf("used %q, want %q", used, want)
		}
		used = nil
		for range 3 {
			if err := source.Call(t.Context(), h.user, rejecting("none")); !errors.Is(err, grant.ErrTokenRejected) {
				t.Errorf("got %v", err)
			}
		}
		if want := []string{"access-1", "access-2", "access-2", "access-2"}; !slices.Equal(used, want) {
			t.Errorf("a lasting rejection: used %q, want %q", used, want)
		}
	})
}

func TestAWithdrawnConsentIsSeenInTheGrant(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		source := h.replica(h.db)
		withdrawn := &grant.Failure{Kind: grant.SignInAgain, Reason: "consent_withdrawn"}
		err := source.Call(t.Context(), h.user, func(context.Context, grant.Token) error { return withdrawn })
		if !errors.Is(err, withdrawn) {
			t.Errorf("got %v", err)
		}
		if g := h.grant(t); g.Status != grant.ReauthenticationRequired || g.StatusReason != "consent_withdrawn" {
			t.Errorf("stored: %s, %s", g.Status, g.StatusReason)
		}
		h.signIn(t, "access-1", "refresh-1", life, life)
		if _, err := source.Token(t.Context(), h.user); err != nil {
			t.Errorf("after signing in again: %v", err)
		}
	})
}
