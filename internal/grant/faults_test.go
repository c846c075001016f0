package grant_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/secret"
	"galaxygate/internal/testdb"
)

// faulty is a store that fails where a test says so, before or after it did what
// it was asked.
type faulty struct {
	grant.Leases
	afterAcquire  func() error
	beforePublish func() error
	afterPublish  func() error
}

func (f *faulty) Acquire(ctx context.Context, g grant.Grant, owner string, d time.Duration) error {
	if err := f.Leases.Acquire(ctx, g, owner, d); err != nil || f.afterAcquire == nil {
		return err
	}
	return f.afterAcquire()
}

func (f *faulty) Publish(ctx context.Context, g grant.Grant, owner string, t grant.Tokens, now time.Time) (grant.Grant, error) {
	if f.beforePublish != nil {
		if err := f.beforePublish(); err != nil {
			return grant.Grant{}, err
		}
	}
	published, err := f.Leases.Publish(ctx, g, owner, t, now)
	if err != nil || f.afterPublish == nil {
		return published, err
	}
	return grant.Grant{}, f.afterPublish()
}

func TestAProviderThatAnswersWithTheSameTokenIsAskedOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		h.provider.answers(func(int) answer { return tokens("access-0", "", life) })
		err := h.replica(h.db).Call(t.Context(), h.user, func(context.Context, grant.Token) error {
			return fmt.Errorf("galaxy: %w", grant.ErrTokenRejected)
		})
		if n := h.provider.presentations(); n != 1 || !errors.Is(err, grant.ErrTokenRejected) {
			t.Errorf("presented %d times: %v", n, err)
		}
	})
}

func TestALeaseWhoseRecordingSeemedToFailIsGivenBack(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		unlucky := h.replica(h.db)
		unlucky.Leases = &faulty{Leases: h.db, afterAcquire: func() error { return errors.New("connection reset at COMMIT") }}
		if _, err := unlucky.Token(t.Context(), h.user); err == nil {
			t.Error("the refresh token was presented without a lease")
		}
		if err := unlucky.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := h.replica(h.db).Token(t.Context(), h.user)
		if err != nil || got.Value.Reveal() != "access-1" || h.provider.presentations() != 1 {
			t.Errorf("got %q, %v, presented %d times", got.Value.Reveal(), err, h.provider.presentations())
		}
	})
}

func TestACrashIsNotForgottenByATakeoverThatIsGivenBack(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		if err := h.db.Acquire(t.Context(), h.grant(t), "crashed", time.Millisecond); err != nil {
			t.Fatal(err)
		}
		unlucky := h.replica(h.db)
		unlucky.Leases = &faulty{Leases: h.db, afterAcquire: func() error { return errors.New("connection reset at COMMIT") }}
		if _, err := unlucky.Token(t.Context(), h.user); err == nil {
			t.Error("the refresh token was presented without a lease")
		}
		if err := unlucky.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.replica(h.db).Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
			t.Errorf("got %v: who crashed may have spent the token", err)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times", n)
		}
	})
}

func TestALeaseThatRanOutBeforeAnyRefreshEndsTheGrant(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		if err := h.db.Acquire(t.Context(), h.grant(t), "crashed", time.Millisecond); err != nil {
			t.Fatal(err)
		}
		source := h.replica(h.db)
		if _, err := source.Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
			t.Errorf("got %v: nothing is known of the provider, and the token may be spent", err)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times", n)
		}
	})
}

func TestASuccessorIsStoredOnceTheStoreIsBack(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.answers(func(int) answer { return tokens("access-1", "refresh-1", life) })
		tries := 0
		source := h.replica(h.db)
		source.Leases = &faulty{Leases: h.db, beforePublish: func() error {
			if tries++; tries < 4 {
				return errors.New("the store is away")
			}
			return nil
		}}
		got, err := source.Token(t.Context(), h.user)
		if err != nil || got.Value.Reveal() != "access-1" || h.grant(t).Refresh.Reveal() != "refresh-1" || tries != 4 {
			t.Errorf("got %q, %v after %d tries", got.Value.Reveal(), err, tries)
		}
	})
}

func TestARefusedEarlyRefreshLeavesTheTokenItsLife(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, 30*time.Second)
		h.provider.answers(func(int) answer { return refused(http.StatusBadRequest, "invalid_grant") })
		source := h.replica(h.db)
		for range 3 {
			if got, err := source.Token(t.Context(), h.user); err != nil || got.Value.Reveal() != "access-0" {
				t.Errorf("got %q, %v", got.Value.Reveal(), err)
			}
			if err := source.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if g := h.grant(t); g.Status != grant.ReauthenticationRequired || h.provider.presentations() != 1 {
			t.Errorf("stored: %s, presented %d times", g.Status, h.provider.presentations())
		}
	})
}

func TestARefreshInFlightDoesNotUndoANewConsent(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.answers(func(int) answer {
			h.signIn(t, "access-wide", "", life, life) // brings no refresh token: the old one stays
			narrow := tokens("access-narrow", "refresh-1", life)
			narrow.body["scope"] = "openid"
			return narrow
		})
		got, err := h.replica(h.db).Token(t.Context(), h.user)
		if err != nil || got.Value.Reveal() != "access-wide" || !slices.Contains(got.Scopes, "email") {
			t.Errorf("got %q, %v, %v", got.Value.Reveal(), got.Scopes, err)
		}
		if g := h.grant(t); g.Refresh.Reveal() != "refresh-1" || g.LeaseOwner != "" {
			t.Errorf("stored: refresh %q, lease of %q", g.Refresh.Reveal(), g.LeaseOwner)
		}
	})
}

// A provider may revoke all tokens of a sign-in with any one of them (RFC 7009,
// section 2.1), so none is revoked that descends from what is stored.
func TestAPublicationThatSeemedToFailCostsANewSignInNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		rotation string        // the refresh token that each refresh brings, if any
		left     time.Duration // of the new sign-in's access token
		want     string
	}{
		{"where the provider keeps tokens", "", life, "access-new"},
		{"where it rotates", "refresh-%d", life, "access-new"},
		{"where it rotates, and another replica has refreshed", "refresh-%d", expired, "access-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signIn(t, "access-0", "refresh-0", life, expired)
				h.provider.answers(func(n int) answer {
					return tokens(fmt.Sprintf("access-%d", n), strings.ReplaceAll(tt.rotation, "%d", strconv.Itoa(n)), life)
				})
				unlucky := h.replica(h.db)
				unlucky.Leases = &faulty{Leases: h.db, afterPublish: func() error {
					h.signIn(t, "access-new", "", life, tt.left) // keeps the refresh token
					if _, err := h.replica(h.db).Token(t.Context(), h.user); err != nil {
						t.Errorf("another replica: %v", err)
					}
					return errors.New("connection reset at COMMIT")
				}}
				got, err := unlucky.Token(t.Context(), h.user)
				if err != nil || got.Value.Reveal() != tt.want {
					t.Errorf("got %q, %v", got.Value.Reveal(), err)
				}
				if revoked := h.provider.revocations(); len(revoked) != 0 {
					t.Errorf("revoked %q", revoked)
				}
			})
		})
	}
}

func TestAStrangeScopeDoesNotLoseTheTokensBesideIt(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.answers(func(int) answer {
			strange := tokens("access-1", "refresh-1", life)
			strange.body["scope"] = "openid a\x00b"
			return strange
		})
		if _, err := h.replica(h.db).Token(t.Context(), h.user); err != nil {
			t.Error(err)
		}
		if g := h.grant(t); g.Refresh.Reveal() != "refresh-1" || !slices.Equal(g.Scopes, []string{"openid"}) {
			t.Errorf("stored: refresh %q, scopes %q", g.Refresh.Reveal(), g.Scopes)
		}
	})
}

func TestAReplicaThatCannotAskHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		starting := h.replica(h.db)
		starting.Refresher = passport.New(passport.Config{Issuer: "https://id.example.com", ClientSecret: secret.New("x")})
		var f *grant.Failure
		if _, err := starting.Token(t.Context(), h.user); !errors.As(err, &f) || !f.Unsent {
			t.Errorf("got %v", err)
		}
		if got, err := h.replica(h.db).Token(t.Context(), h.user); err != nil || got.Value.Reveal() != "access-1" {
			t.Errorf("another replica: got %q, %v", got.Value.Reveal(), err)
		}
		if err := starting.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestARetryAfterIsHeeded(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.answers(func(int) answer { return answer{status: http.StatusTooManyRequests, retryAfter: "40"} })
		for range 2 {
			var f *grant.Failure
			_, err := h.replica(h.db).Token(t.Context(), h.user)
			if !errors.As(err, &f) || f.RetryAfter < 30*time.Second || f.RetryAfter > 40*time.Second {
				t.Errorf("got %v", err)
			}
		}
		if g := h.grant(t); g.RetryIn < 30*time.Second {
			t.Errorf("to be tried again in %v", g.RetryIn)
		}
	})
}
