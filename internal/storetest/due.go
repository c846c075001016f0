package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// ending makes the refresh token of a sign-in end so long after it.
func (f *fixture) ending(life time.Duration) func(*login.SignIn) {
	return func(s *login.SignIn) { s.Tokens.RefreshExpiresAt = f.now.Add(life) }
}

// due is a life so short that its refresh token is near its end at once.
const due = time.Microsecond

// claimAt claims a grant at that time by the gateway's clock, to be held for d.
func claimAt(ctx context.Context, store Store, now time.Time, d time.Duration) (grant.Claim, error) {
	return store.ClaimGrant(ctx, now, func(time.Duration) time.Duration { return d })
}

// claim claims a grant for an hour a minute before the test's time, when what is
// due has not ended yet.
func (f *fixture) claim() (grant.Claim, error) {
	return claimAt(f.t.Context(), f.Replica, f.now.Add(-time.Minute), time.Hour)
}

// noClaim ends the test unless err is grant.ErrNotFound.
func (f *fixture) noClaim(_ grant.Claim, err error) {
	f.t.Helper()
	if !errors.Is(err, grant.ErrNotFound) {
		f.t.Fatalf("Claim: got %v, want ErrNotFound", err)
	}
}

// due ends the test unless the grant can be claimed.
func (f *fixture) due(g grant.Grant) {
	f.t.Helper()
	c, err := f.claim()
	f.must(err)
	f.same("claim", c, grant.Claim{GrantID: g.ID, UserID: g.UserID, Version: g.Version, RefreshExpiresAt: g.RefreshExpiresAt})
}

func claimTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"a grant that is due is claimed once": func(f *fixture) {
			_, g := f.signIn(f.ending(due))
			f.due(g)
			f.noClaim(f.claim())
		},
		"a claim is held for so long as is asked": func(f *fixture) {
			_, g := f.signIn(f.ending(due))
			at := f.now.Add(-time.Minute)
			var left time.Duration
			_, err := f.ClaimGrant(f.t.Context(), at, func(d time.Duration) time.Duration {
				left = d
				return time.Millisecond
			})
			f.must(err)
			f.same("left", left, time.Minute+due)
			f.eventually("it can be claimed again", func() bool {
				_, err := f.claim()
				return err == nil
			})
			f.same("grant", f.grantOf(g.UserID), g)
		},
		"the grant that ends first is claimed first": func(f *fixture) {
			_, later := f.signIn(f.ending(due))
			_, sooner := f.signInSubject("bob", f.ending(-time.Second))
			f.due(sooner)
			f.due(later)
		},
		"no grant is claimed by two of 20 at once": func(f *fixture) {
			const grants = 10
			for i := range grants {
				f.signInSubject(fmt.Sprint("user-", i), f.ending(due))
			}
			var mu sync.Mutex
			seen := map[string]int{}
			f.atOnce(20, func(i int) error {
				store := f.Store
				if i%2 == 0 {
					store = f.Replica
				}
				c, err := claimAt(f.t.Context(), store, f.now.Add(-time.Minute), time.Hour)
				mu.Lock()
				defer mu.Unlock()
				seen[c.GrantID]++
				return err
			}, func(err error) { f.noClaim(grant.Claim{}, err) })
			delete(seen, "") // those who got none
			for id, n := range seen {
				f.same("claims of "+id, n, 1)
			}
			for range grants - len(seen) { // who came too late may have left some
				_, err := f.claim()
				f.must(err)
			}
			f.noClaim(f.claim())
		},
		"a settled grant is left alone until the end moves on": func(f *fixture) {
			_, g := f.signIn(f.ending(due))
			f.must(f.SettleGrant(f.t.Context(), g.ID, g.Version))
			f.noClaim(f.claim())
			g = f.publish(g, secret.Text{}, g.RefreshExpiresAt.Add(grant.SameEnd))
			f.noClaim(f.claim())
			moved := g.RefreshExpiresAt.Add(grant.SameEnd + time.Second)
			f.now = moved.Add(-due)
			f.due(f.publish(g, secret.Text{}, moved))
		},
		"a settled grant is claimed after another sign-in": func(f *fixture) {
			_, g := f.signIn(f.ending(due))
			f.must(f.SettleGrant(f.t.Context(), g.ID, g.Version))
			_, g = f.signIn(f.ending(due))
			f.due(g)
		},
		"nothing is settled at another version": func(f *fixture) {
			_, g := f.signIn(f.ending(due))
			f.must(f.SettleGrant(f.t.Context(), g.ID, g.Version-1))
			f.must(f.SettleGrant(f.t.Context(), "unknown", g.Version))
			f.due(g)
		},
		"an end that came nearer is due sooner": func(f *fixture) {
			_, g := f.signIn(f.ending(30 * 24 * time.Hour))
			f.noClaim(f.claim())
			f.due(f.publish(g, secret.Random(), f.now.Add(due)))
		},
	}
	for name, test := range unclaimedTests() {
		tests[name] = test
	}
	for name, test := range refreshEndTests() {
		tests[name] = test
	}
	return tests
}

// unclaimedTests are about grants that are not to be claimed.
func unclaimedTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){}
	for _, tt := range []struct {
		name   string
		before func(f *fixture)
	}{
		{"whose end nobody knows", func(f *fixture) { f.signIn() }},
		{"whose end is far", func(f *fixture) { f.signIn(f.ending(time.Hour)) }},
		{"whose end is past", func(f *fixture) { f.signIn(f.ending(-time.Hour)) }},
		{"without a refresh token", func(f *fixture) {
			f.signIn(f.ending(due), func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
		}},
		{"of a user who has signed out", func(f *fixture) {
			s, _ := f.signIn(f.ending(due))
			_, err := f.End(f.t.Context(), s.UserID, s.ID, session.LoggedOut, f.now)
			f.must(err)
		}},
		{"of a user whose session has expired", func(f *fixture) {
			f.signIn(f.ending(due), func(s *login.SignIn) { s.Session.ExpiresAt = f.now.Add(-time.Minute) })
		}},
		{"that cannot be refreshed", func(f *fixture) {
			_, g := f.signIn(f.ending(due))
			f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0))
		}},
	} {
		tests["no grant is claimed "+tt.name] = func(f *fixture) {
			tt.before(f)
			f.noClaim(f.claim())
		}
	}
	return tests
}

// publish publishes an answer to g's refresh token with that refresh token and
// end.
func (f *fixture) publish(g grant.Grant, refresh secret.Text, end time.Time) grant.Grant {
	f.t.Helper()
	f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
	tokens := f.tokens()
	tokens.Refresh, tokens.RefreshExpiresAt = refresh, end
	published, err := f.Publish(f.t.Context(), g, "owner", tokens, f.now)
	f.must(err)
	return published
}

// refreshEndTests are about what becomes of a known end.
func refreshEndTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){}
	old, other := secret.New("old-refresh-token"), secret.New("other-refresh-token")
	const stored, said = 24 * time.Hour, 48 * time.Hour
	for _, tt := range []struct {
		name       string
		came       secret.Text
		said, want time.Duration // after the test's time; 0: unknown
	}{
		{"a new refresh token has the end that is said", other, said, said},
		{"a new refresh token of which nothing is said has no known end", other, 0, 0},
		{"a kept refresh token has the end that is said", secret.Text{}, said, said},
		{"a kept refresh token of which nothing is said ends as before", secret.Text{}, 0, stored},
		{"the same refresh token once more ends as before", old, 0, stored},
	} {
		at := func(f *fixture, d time.Duration) time.Time {
			if d == 0 {
				return time.Time{}
			}
			return f.now.Add(d)
		}
		stores := func(s *login.SignIn) { s.Tokens.Refresh = old }
		tests["published: "+tt.name] = func(f *fixture) {
			_, g := f.signIn(stores, f.ending(stored))
			f.same("stored", g.RefreshExpiresAt, at(f, stored))
			f.same("end", f.publish(g, tt.came, at(f, tt.said)).RefreshExpiresAt, at(f, tt.want))
		}
		tests["beside a new consent: "+tt.name] = func(f *fixture) {
			_, g := f.signIn(stores, f.ending(stored))
			f.now = f.now.Add(time.Second)
			f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
			f.now = f.now.Add(-time.Second)
			f.same("end", f.publish(g, tt.came, at(f, tt.said)).RefreshExpiresAt, at(f, tt.want))
		}
		tests["signed in: "+tt.name] = func(f *fixture) {
			f.signIn(stores, f.ending(stored))
			_, g := f.signIn(func(s *login.SignIn) { s.Tokens.Refresh, s.Tokens.RefreshExpiresAt = tt.came, at(f, tt.said) })
			f.same("end", g.RefreshExpiresAt, at(f, tt.want))
		}
	}
	return tests
}

// lapseTests are about leases that ran out.
func lapseTests() map[string]func(*fixture) {
	// takeOver leases g, which has lapsed, for a moment.
	takeOver := func(f *fixture, g grant.Grant, owner string) grant.Grant {
		f.must(f.Acquire(f.t.Context(), g, owner, time.Millisecond))
		f.eventually("the lease runs out", func() bool {
			g = f.grantOf(g.UserID)
			return g.LeaseLeft <= 0
		})
		return g
	}
	return map[string]func(*fixture){
		"a grant that was leased in good order has no lapses": func(f *fixture) {
			g := f.leased("owner")
			f.same("lapses", g.Lapses, 0)
			f.must(f.Release(f.t.Context(), g, "owner"))
			g = f.grantOf(g.UserID)
			f.same("lapses", g.Lapses, 0)
			f.same("lapsed for", g.LapsedFor, time.Duration(0))
		},
		"leases that run out are counted, from the first": func(f *fixture) {
			first := f.lapsed("first")
			f.same("lapses", first.Lapses, 1)
			f.same("lapsed for", first.LapsedFor >= 0 && first.LapsedFor < time.Minute, true)
			second := takeOver(f, first, "second")
			f.same("lapses", second.Lapses, 2)
			f.same("lapsed for longer", second.LapsedFor > first.LapsedFor, true)
		},
		"who takes over and gives back leaves the lapse counted": func(f *fixture) {
			g := f.lapsed("vanished")
			f.must(f.Acquire(f.t.Context(), g, "next", time.Minute))
			f.must(f.Release(f.t.Context(), g, "next"))
			after := f.grantOf(g.UserID)
			f.same("owner", after.LeaseOwner, "")
			f.same("lapses", after.Lapses, 1)
			third := takeOver(f, after, "third")
			f.same("lapses of the next", third.Lapses, 2)
			f.same("lapsed for longer", third.LapsedFor > g.LapsedFor, true)
		},
		"an answer clears the lapses": func(f *fixture) {
			g := takeOver(f, f.lapsed("first"), "second")
			g = f.publish(g, secret.Text{}, time.Time{})
			f.same("lapses", g.Lapses, 0)
			f.same("lapsed for", g.LapsedFor, time.Duration(0))
		},
		"a failure clears the lapses": func(f *fixture) {
			g := takeOver(f, f.lapsed("first"), "second")
			f.must(f.Acquire(f.t.Context(), g, "third", time.Minute))
			f.must(f.Fail(f.t.Context(), g, "third", &grant.Failure{Kind: grant.Later, Reason: "timeout"}, 0))
			f.same("lapses", f.grantOf(g.UserID).Lapses, 0)
		},
		"another refresh token clears the lapses": func(f *fixture) {
			takeOver(f, f.lapsed("first"), "second")
			_, g := f.signIn()
			f.same("lapses", g.Lapses, 0)
			f.same("lapsed for", g.LapsedFor, time.Duration(0))
		},
		"a sign-in that brings no refresh token leaves the lapses counted": func(f *fixture) {
			f.lapsed("first")
			_, g := f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
			f.same("lapses", g.Lapses, 1)
		},
	}
}
