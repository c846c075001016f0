package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// Call is one method of a store, with arguments that would succeed.
type Call struct {
	Name   string
	Writes bool
	Do     func(ctx context.Context) error
}

// Calls signs users in and returns a call of each method of the replica, to be
// made in that order, for tests of what happens when the database is away or
// cannot be written.
func Calls(t *testing.T, s Stores) []Call {
	t.Helper()
	f := &fixture{t: t, Stores: s, now: time.Now().UTC().Truncate(time.Microsecond)}
	token := secret.Random()
	created, g := f.signIn(f.ending(due), func(s *login.SignIn) { s.SessionToken = token })
	_, publishing := f.signInSubject("bob")
	f.must(f.Acquire(f.t.Context(), publishing, "owner", time.Hour))
	_, failing := f.signInSubject("bob", func(s *login.SignIn) { s.Issuer = "https://other.example" })
	f.must(f.Acquire(f.t.Context(), failing, "owner", time.Hour))
	revocation := grant.PendingRevocation{Kind: grant.RevokeConsent, Tokens: f.tokens()}
	f.must(f.EnqueueRevocation(f.t.Context(), revocation))
	claimed, err := f.ClaimRevocation(f.t.Context(), grant.RevokeConsent, time.Hour)
	f.must(err)
	a := f.attempt()
	code, _ := f.codedSubject("carol")
	unsaved := a
	unsaved.State = secret.Random()
	r := s.Replica
	return []Call{
		{"Grant", false, func(ctx context.Context) error { _, err := r.Grant(ctx, g.UserID); return err }},
		{"Session", false, func(ctx context.Context) error { _, err := r.Session(ctx, token.Hash(), f.now); return err }},
		{"Sessions", false, func(ctx context.Context) error { _, err := r.Sessions(ctx, g.UserID, f.now); return err }},
		{"Standings", false, func(ctx context.Context) error {
			_, err := r.Standings(ctx, []string{created.ID})
			return err
		}},
		{"UserEvents", false, func(ctx context.Context) error { _, err := r.UserEvents(ctx, g.UserID, "", 10); return err }},
		{"Touch", true, func(ctx context.Context) error {
			return r.Touch(ctx, created.ID, f.now, created.ExpiresAt)
		}},
		{"Acquire", true, func(ctx context.Context) error { return r.Acquire(ctx, g, "owner", time.Minute) }},
		{"Claim", true, func(ctx context.Context) error {
			_, err := claimAt(ctx, r, f.now.Add(-time.Minute), time.Hour)
			return err
		}},
		{"SettleGrant", true, func(ctx context.Context) error { return r.SettleGrant(ctx, g.ID, g.Version) }},
		{"Wrote", true, func(ctx context.Context) error { return r.Wrote(ctx, g.UserID) }},
		{"Publish", true, func(ctx context.Context) error {
			_, err := r.Publish(ctx, publishing, "owner", f.tokens(), f.now)
			return err
		}},
		{"Fail", true, func(ctx context.Context) error {
			return r.Fail(ctx, failing, "owner", &grant.Failure{Kind: grant.Later}, 0)
		}},
		{"EnqueueRevocation", true, func(ctx context.Context) error { return r.EnqueueRevocation(ctx, revocation) }},
		{"NextRevocation", false, func(ctx context.Context) error {
			_, err := r.NextRevocation(ctx, grant.RevokeConsent)
			return err
		}},
		{"GrantsByStatus", false, func(ctx context.Context) error { _, err := r.GrantsByStatus(ctx); return err }},
		{"PendingRevocations", false, func(ctx context.Context) error { _, err := r.PendingRevocations(ctx); return err }},
		{"ClaimRevocation", true, func(ctx context.Context) error {
			_, err := r.ClaimRevocation(ctx, grant.RevokeConsent, time.Hour)
			return err
		}},
		{"KeepRevocation", true, func(ctx context.Context) error { return r.KeepRevocation(ctx, claimed) }},
		{"PostponeRevocation", true, func(ctx context.Context) error {
			return r.PostponeRevocation(ctx, claimed, time.Hour)
		}},
		{"ConcludeRevocation", true, func(ctx context.Context) error {
			return r.ConcludeRevocation(ctx, claimed, audit.Event{Kind: audit.RevocationVoid})
		}},
		{"SaveAttempt", true, func(ctx context.Context) error { return r.SaveAttempt(ctx, unsaved) }},
		{"TakeAttempt", true, func(ctx context.Context) error {
			_, err := r.TakeAttempt(ctx, a.State, a.Browser, f.now)
			return err
		}},
		{"SignIn", true, func(ctx context.Context) error {
			_, err := r.SignIn(ctx, f.signInOf("alice"), f.now)
			return err
		}},
		{"RedeemCode", true, func(ctx context.Context) error {
			_, err := r.RedeemCode(ctx, f.redemption(code), f.now)
			return err
		}},
		{"End", true, func(ctx context.Context) error {
			_, err := r.End(ctx, g.UserID, created.ID, session.LoggedOut, f.now)
			return err
		}},
		{"EndOthers", true, func(ctx context.Context) error {
			_, err := r.EndOthers(ctx, g.UserID, "", session.EndedByUser, f.now)
			return err
		}},
		{"EndByProvider", true, func(ctx context.Context) error {
			_, err := r.EndByProvider(ctx, f.logout("alice", ""), f.now)
			return err
		}},
		{"Erase", true, func(ctx context.Context) error { _, _, err := r.Erase(ctx, g.UserID); return err }},
		{"Record", true, func(ctx context.Context) error { return r.Record(ctx, audit.Event{Kind: audit.SignInFailed}) }},
	}
}

// Plain fails the test where err is none, or says something about what is
// stored that the store could not know.
func Plain(t *testing.T, call string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: got no error", call)
	}
	for _, decided := range []error{grant.ErrNotFound, grant.ErrLost, session.ErrNotFound, session.ErrReplayed, login.ErrNoAttempt, login.ErrNoCode} {
		if errors.Is(err, decided) {
			t.Errorf("%s: got %v from a store that could not know", call, err)
		}
	}
}

func everywhereTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a cancelled context gives its error": func(f *fixture) {
			ctx, cancel := context.WithCancel(f.t.Context())
			cancel()
			for _, c := range Calls(f.t, f.Stores) {
				err := c.Do(ctx)
				Plain(f.t, c.Name, err)
				if !errors.Is(err, context.Canceled) || errors.Is(err, retry.ErrLater) {
					f.t.Errorf("%s: got %v, want context.Canceled alone", c.Name, err)
				}
			}
		},
		"no secret is stored in clear": func(f *fixture) {
			a := f.attempt()
			s, again := f.signInOf("alice"), f.signInOf("alice")
			created, err := f.SignIn(f.t.Context(), s, f.now)
			f.must(err)
			_, err = f.SignIn(f.t.Context(), again, f.now)
			f.must(err)
			g := f.grantOf(created.UserID)
			f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			tokens := f.tokens()
			_, err = f.Publish(f.t.Context(), g, "owner", tokens, f.now)
			f.must(err)
			dump := f.Dump(f.t)
			f.same("the dump holds what it should", bytes.Contains(dump, []byte(created.ID)), true)
			for name, value := range map[string]secret.Text{
				"state": a.State, "browser": a.Browser, "nonce": a.Nonce, "verifier": a.Verifier,
				"session token": s.SessionToken, "access token": s.Tokens.Access, "refresh token": s.Tokens.Refresh,
				"second session token": again.SessionToken, "second refresh token": again.Tokens.Refresh,
				"refreshed access token": tokens.Access, "rotated refresh token": tokens.Refresh,
				"return address": secret.New(a.ReturnTo),
			} {
				f.same(name+" is in clear", bytes.Contains(dump, []byte(value.Reveal())), false)
			}
		},
	}
}
