package grant_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"

	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/testdb"
)

// naming is an access or ID token that names the subject.
func naming(subject, serial string) string {
	claims := fmt.Sprintf(`{"sub":%q,"jti":%q}`, subject, serial)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestARefreshThatBringsAnothersTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after string // the access token
		idToken       string // beside the second one
		refused       bool
	}{
		{name: "the access token names another", before: naming("alice", "0"), after: naming("bob", "1"), refused: true},
		{name: "the ID token names another", before: "opaque-0", after: "opaque-1", idToken: naming("bob", "i"), refused: true},
		{name: "the ID token names another than the access token does", before: naming("alice", "0"), after: naming("alice", "1"), idToken: naming("bob", "i"), refused: true},
		{name: "both name Alice", before: naming("alice", "0"), after: naming("alice", "1"), idToken: naming("alice", "i")},
		{name: "the access token always names her otherwise", before: naming("pairwise-a", "0"), after: naming("pairwise-a", "1")},
		{name: "the access token no longer names anybody", before: naming("alice", "0"), after: "opaque-1"},
		{name: "the access token now names somebody", before: "opaque-0", after: naming("pairwise-a", "1")},
		{name: "an ID token that is none", before: "opaque-0", after: "opaque-1", idToken: "nonsense"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signIn(t, tt.before, "refresh-0", life, expired)
				h.provider.answers(func(int) answer {
					a := tokens(tt.after, "refresh-1", life)
					if tt.idToken != "" {
						a.body["id_token"] = tt.idToken
					}
					return a
				})
				source := h.replica(h.db)
				source.Names = passport.Names
				got, err := source.Token(t.Context(), h.user)
				if !tt.refused {
					if err != nil || got.Value.Reveal() != tt.after {
						t.Errorf("got %q, %v", got.Value.Reveal(), err)
					}
					return
				}
				h.wantMismatch(t, err)
				again, err := source.Token(t.Context(), h.user)
				h.wantMismatch(t, err)
				if text := got.Value.Reveal() + again.Value.Reveal(); text != "" {
					t.Errorf("handed out %q", text)
				}
				if g := h.grant(t); g.Access.Reveal() != tt.before || g.Refresh.Reveal() != "refresh-0" {
					t.Errorf("stored: %q and %q", g.Access.Reveal(), g.Refresh.Reveal())
				}
				if err := source.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				work(t, h.revocations(h.db))
				h.settled(t)
				if want := []string{"refresh-1", tt.after}; !slices.Equal(h.provider.revocations(), want) {
					t.Errorf("revoked %q, want %q", h.provider.revocations(), want)
				}
				if n := h.provider.presentations(); n != 1 {
					t.Errorf("the refresh token was presented %d times", n)
				}
			})
		})
	}
}

// wantMismatch wants the error, and the grant, to say that the provider answered
// for another person.
func (h *house) wantMismatch(t *testing.T, err error) {
	t.Helper()
	var f *grant.Failure
	if !errors.Is(err, grant.ErrReauthenticationRequired) || !errors.As(err, &f) || f.Reason != grant.ReasonSubject {
		t.Errorf("got %v, want that the user must sign in again for %s", err, grant.ReasonSubject)
	}
	if g := h.grant(t); g.Status != grant.ReauthenticationRequired || g.StatusReason != grant.ReasonSubject {
		t.Errorf("stored: %s, %s", g.Status, g.StatusReason)
	}
}

func TestATokenThatIsAnothersIsUsedNoMore(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		source := h.replica(h.db)
		mismatch := &grant.Failure{Kind: grant.SignInAgain, Reason: grant.ReasonSubject, Err: grant.ErrSubjectMismatch}
		err := source.Call(t.Context(), h.user, func(context.Context, grant.Token) error { return mismatch })
		if !errors.Is(err, grant.ErrSubjectMismatch) {
			t.Errorf("got %v", err)
		}
		for _, source := range []*grant.Source{source, h.replica(open())} {
			err = source.Call(t.Context(), h.user, func(context.Context, grant.Token) error {
				t.Error("the access token was used again")
				return nil
			})
			h.wantMismatch(t, err)
		}
		h.signIn(t, "access-1", "refresh-1", life, life)
		if _, err := source.Token(t.Context(), h.user); err != nil {
			t.Errorf("after signing in again: %v", err)
		}
	})
}

func TestAConsentThatMayBeAnothersIsNotWithdrawn(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		source := h.replica(h.db)
		mismatch := &grant.Failure{Kind: grant.SignInAgain, Reason: grant.ReasonSubject}
		_ = source.Call(t.Context(), h.user, func(context.Context, grant.Token) error { return mismatch })
		if got, err := source.Revoke(t.Context(), h.user); err != nil || !got.Upstream || got.Sessions != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		if len(h.withdrawn.access) != 0 {
			t.Errorf("withdrawn with %q", h.withdrawn.access)
		}
		if want := []string{"refresh-0", "access-0"}; !slices.Equal(h.provider.revocations(), want) {
			t.Errorf("revoked %q, want %q", h.provider.revocations(), want)
		}
	})
}
