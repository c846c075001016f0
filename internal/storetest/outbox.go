package storetest

import (
	"bytes"
	"errors"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
)

func outboxTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"an erased consent is pending, and claimed by who erased it": func(f *fixture) {
			_, g := f.signIn()
			erased, _, err := f.Erase(f.t.Context(), g.UserID)
			f.must(err)
			f.same("revocation", erased, grant.PendingRevocation{
				ID: erased.ID, Kind: grant.RevokeConsent, UserID: g.UserID, GrantID: g.ID, Attempts: 1,
				Tokens: grant.Tokens{Access: g.Access, AccessExpiresAt: g.AccessExpiresAt, Refresh: g.Refresh},
			})
			f.noneDue(grant.RevokeConsent)
			left, err := f.NextRevocation(f.t.Context(), grant.RevokeConsent)
			f.must(err)
			f.same("claimed for the lease", left > grant.RevocationLease-10*time.Second && left <= grant.RevocationLease, true)
			f.must(f.PostponeRevocation(f.t.Context(), erased, 0))
			again := f.claimed(grant.RevokeConsent)
			erased.Attempts = 2
			again.Age = 0
			f.same("revocation as stored", again, erased)
		},
		"a grant erased by 10 at once is one revocation": func(f *fixture) {
			_, g := f.signIn()
			f.atOnce(10, func(int) error { _, _, err := f.Erase(f.t.Context(), g.UserID); return err },
				func(err error) { f.same("not found", errors.Is(err, grant.ErrNotFound), true) })
			f.pending(1)
		},
		"a replaced refresh token is due at once": func(f *fixture) {
			_, old := f.signIn()
			f.pending(0)
			f.signIn()
			p := f.claimed(grant.RevokeTokens)
			f.same("age is small", p.Age >= 0 && p.Age < time.Minute, true)
			f.same("revocation", p, grant.PendingRevocation{
				ID: p.ID, Kind: grant.RevokeTokens, UserID: old.UserID, GrantID: old.ID, Attempts: 1,
				Tokens: grant.Tokens{Refresh: old.Refresh}, Age: p.Age,
			})
			f.pending(1)
		},
		"a sign-in that fails makes no revocation": func(f *fixture) {
			created, _ := f.signIn()
			again := f.signInOf("alice")
			again.Session.ID = created.ID // taken
			if _, err := f.SignIn(f.t.Context(), again, f.now); err == nil {
				f.t.Fatal("SignIn: got no error for a session's ID that is there")
			}
			f.pending(0)
		},
		"one of 50 who claim at once on two replicas gets it": func(f *fixture) {
			f.enqueue(grant.RevokeTokens)
			claimed := f.atOnce(50, func(i int) error {
				_, err := []Store{f.Store, f.Replica}[i%2].ClaimRevocation(f.t.Context(), grant.RevokeTokens, time.Minute)
				return err
			}, func(err error) { f.same("not found", errors.Is(err, grant.ErrNotFound), true) })
			f.same("claims", claimed, 1)
		},
		"50 who claim 50 at once get one each": func(f *fixture) {
			for range 50 {
				f.enqueue(grant.RevokeTokens)
			}
			ids := make([]string, 50)
			claimed := f.atOnce(50, func(i int) error {
				p, err := []Store{f.Store, f.Replica}[i%2].ClaimRevocation(f.t.Context(), grant.RevokeTokens, time.Minute)
				ids[i] = p.ID
				return err
			}, f.must)
			different := map[string]bool{}
			for _, id := range ids {
				different[id] = true
			}
			f.same("claims", claimed, 50)
			f.same("revocations claimed", len(different), 50)
		},
		"a claim that ran out is another's": func(f *fixture) {
			f.enqueue(grant.RevokeTokens)
			crashed, err := f.ClaimRevocation(f.t.Context(), grant.RevokeTokens, time.Millisecond)
			f.must(err)
			var taken grant.PendingRevocation
			f.eventually("the claim has run out", func() bool {
				taken, err = f.Replica.ClaimRevocation(f.t.Context(), grant.RevokeTokens, time.Minute)
				return err == nil
			})
			f.same("revocation", taken.ID, crashed.ID)
			f.same("attempts", taken.Attempts, 2)
			f.lostClaim(crashed)
			f.must(f.Replica.ConcludeRevocation(f.t.Context(), taken, audit.Event{Kind: audit.RevocationConfirmed}))
			f.lostClaim(taken)
			f.pending(0)
		},
		"the one that has been due for longest comes first, its kind alone": func(f *fixture) {
			f.enqueue(grant.RevokeConsent)
			f.enqueue(grant.RevokeTokens)
			first := f.claimed(grant.RevokeTokens)
			f.enqueue(grant.RevokeTokens)
			f.must(f.PostponeRevocation(f.t.Context(), first, 0))
			second := f.claimed(grant.RevokeTokens)
			f.same("a later one is claimed", second.ID == first.ID, false)
			f.same("then the first again", f.claimed(grant.RevokeTokens).ID, first.ID)
			f.noneDue(grant.RevokeTokens)
			f.same("kind", f.claimed(grant.RevokeConsent).Kind, grant.RevokeConsent)
		},
		"a postponed revocation is due again when its time has come": func(f *fixture) {
			_, err := f.NextRevocation(f.t.Context(), grant.RevokeTokens)
			f.same("none", errors.Is(err, grant.ErrNotFound), true)
			f.enqueue(grant.RevokeTokens)
			wait, err := f.NextRevocation(f.t.Context(), grant.RevokeTokens)
			f.must(err)
			f.same("due", wait <= 0, true)
			p := f.claimed(grant.RevokeTokens)
			f.must(f.PostponeRevocation(f.t.Context(), p, time.Hour))
			f.noneDue(grant.RevokeTokens)
			wait, err = f.Replica.NextRevocation(f.t.Context(), grant.RevokeTokens)
			f.must(err)
			f.same("wait", wait > 59*time.Minute && wait <= time.Hour, true)
		},
		"kept tokens take the place of the old ones": func(f *fixture) {
			f.enqueue(grant.RevokeConsent)
			p := f.claimed(grant.RevokeConsent)
			p.Tokens = f.tokens()
			f.must(f.KeepRevocation(f.t.Context(), p))
			f.must(f.PostponeRevocation(f.t.Context(), p, 0))
			f.same("tokens", f.claimed(grant.RevokeConsent).Tokens, p.Tokens)
		},
		"what became of it is recorded with its end": func(f *fixture) {
			f.enqueue(grant.RevokeTokens)
			e := audit.Event{Kind: audit.RevocationGivenUp, UserID: "u", GrantID: "g", Reason: "http_503", At: f.now}
			f.must(f.ConcludeRevocation(f.t.Context(), f.claimed(grant.RevokeTokens), e))
			f.same("events", f.Events(f.t), []audit.Event{e})
			f.pending(0)
		},
		"a new revocation wakes those who watch": func(f *fixture) {
			wake, stop := f.WatchRevocations()
			defer stop()
			f.enqueue(grant.RevokeTokens)
			f.woken(wake, "EnqueueRevocation")
			p := f.claimed(grant.RevokeTokens)
			f.must(f.PostponeRevocation(f.t.Context(), p, time.Minute))
			f.woken(wake, "PostponeRevocation")
			f.signIn()
			f.woken(wake, "SignIn")
		},
		"no token that is to be revoked is stored in clear": func(f *fixture) {
			_, g := f.signIn()
			erased, _, err := f.Erase(f.t.Context(), g.UserID)
			f.must(err)
			kept := erased
			kept.Tokens = f.tokens()
			f.must(f.KeepRevocation(f.t.Context(), kept))
			f.enqueue(grant.RevokeTokens)
			dump := f.Dump(f.t)
			f.same("the dump holds what it should", bytes.Contains(dump, []byte(erased.ID)), true)
			for _, t := range []grant.Tokens{erased.Tokens, kept.Tokens} {
				f.same("access token is in clear", bytes.Contains(dump, []byte(t.Access.Reveal())), false)
				f.same("refresh token is in clear", bytes.Contains(dump, []byte(t.Refresh.Reveal())), false)
			}
		},
		"a new consent is spared by the revocation of the old one": func(f *fixture) {
			_, old := f.signIn()
			erased, _, err := f.Erase(f.t.Context(), old.UserID)
			f.must(err)
			_, bobs := f.signInSubject("bob")
			_, _, err = f.Erase(f.t.Context(), bobs.UserID)
			f.must(err)
			f.signIn()
			f.lostClaim(erased)
			f.eventually("the claim of the old tokens has run out", func() bool {
				wait, err := f.NextRevocation(f.t.Context(), grant.RevokeTokens)
				return err == nil && wait <= grant.RevocationLease
			})
			f.pending(2) // Alice's old tokens, and Bob's consent
			wait, err := f.NextRevocation(f.t.Context(), grant.RevokeConsent)
			f.must(err)
			f.same("Bob's stays claimed", wait > 0, true)
		},
		"tokens that came again are not revoked": func(f *fixture) {
			_, old := f.signIn()
			_, _, err := f.Erase(f.t.Context(), old.UserID)
			f.must(err)
			f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = old.Refresh })
			f.pending(0)
		},
	}
}

// enqueue adds a revocation of new tokens that are nobody's.
func (f *fixture) enqueue(kind grant.RevocationKind) {
	f.t.Helper()
	f.must(f.EnqueueRevocation(f.t.Context(), grant.PendingRevocation{Kind: kind, Tokens: f.tokens()}))
}

// claimed claims a revocation, of which one must be due.
func (f *fixture) claimed(kind grant.RevocationKind) grant.PendingRevocation {
	f.t.Helper()
	p, err := f.ClaimRevocation(f.t.Context(), kind, time.Minute)
	f.must(err)
	return p
}

func (f *fixture) noneDue(kind grant.RevocationKind) {
	f.t.Helper()
	_, err := f.ClaimRevocation(f.t.Context(), kind, time.Minute)
	f.same("none is due", errors.Is(err, grant.ErrNotFound), true)
}

// pending wants so many revocations in the outbox.
func (f *fixture) pending(want int) {
	f.t.Helper()
	byKind, err := f.PendingRevocations(f.t.Context())
	f.must(err)
	n := 0
	for _, ofKind := range byKind {
		n += ofKind
	}
	f.same("pending revocations", n, want)
}

// lostClaim wants the claim to be of no effect any more.
func (f *fixture) lostClaim(p grant.PendingRevocation) {
	f.t.Helper()
	logged := len(f.Events(f.t))
	f.lost(f.KeepRevocation(f.t.Context(), p))
	f.lost(f.PostponeRevocation(f.t.Context(), p, time.Hour))
	f.lost(f.ConcludeRevocation(f.t.Context(), p, audit.Event{Kind: audit.RevocationConfirmed}))
	f.same("number of events", len(f.Events(f.t)), logged)
}
