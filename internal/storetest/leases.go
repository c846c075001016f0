package storetest

import (
	"errors"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// lost ends the test unless err is grant.ErrLost.
func (f *fixture) lost(err error) {
	f.t.Helper()
	if !errors.Is(err, grant.ErrLost) {
		f.t.Fatalf("got %v, want ErrLost", err)
	}
}

// ended leases Alice's grant to owner, whose lease runs out and is taken over by
// one who ends the grant for that reason.
func (f *fixture) ended(reason string) grant.Grant {
	f.t.Helper()
	g := f.lapsed("owner")
	f.must(f.Acquire(f.t.Context(), g, "next", time.Minute))
	f.must(f.Fail(f.t.Context(), g, "next", signInAgain(reason), 0))
	return g
}

func signInAgain(reason string) *grant.Failure {
	return &grant.Failure{Kind: grant.SignInAgain, Reason: reason}
}

func leaseTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"a lease is read back with its owner and what is left of it": func(f *fixture) {
			g := f.leased("owner")
			f.same("owner", g.LeaseOwner, "owner")
			f.same("left", g.LeaseLeft > 50*time.Second && g.LeaseLeft <= time.Minute, true)
		},
		"one of 50 at once gets the lease": func(f *fixture) {
			_, g := f.signIn()
			acquired := f.atOnce(50, func(i int) error {
				store := f.Store
				if i%2 == 0 {
					store = f.Replica
				}
				return store.Acquire(f.t.Context(), g, secret.Random().Reveal(), time.Minute)
			}, f.lost)
			f.same("leases", acquired, 1)
		},
		"no lease is given while one stands": func(f *fixture) {
			g := f.leased("first")
			f.lost(f.Acquire(f.t.Context(), g, "second", time.Minute))
			f.lost(f.Acquire(f.t.Context(), g, "first", time.Minute))
			f.same("owner", f.grantOf(g.UserID).LeaseOwner, "first")
		},
		"no lease is given on another version": func(f *fixture) {
			_, g := f.signIn()
			f.signIn()
			f.lost(f.Acquire(f.t.Context(), g, "owner", time.Minute))
		},
		"no lease is given on a grant that is gone": func(f *fixture) {
			_, g := f.signIn()
			_, _, err := f.Erase(f.t.Context(), g.UserID)
			f.must(err)
			f.lost(f.Acquire(f.t.Context(), g, "owner", time.Minute))
		},
		"no lease is given once the user's last session has ended": func(f *fixture) {
			first, g := f.signIn()
			second, _ := f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
			g = f.grantOf(g.UserID)
			_, err := f.End(f.t.Context(), g.UserID, first.ID, session.LoggedOut, f.now)
			f.must(err)
			f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			f.must(f.Release(f.t.Context(), g, "owner"))
			_, err = f.End(f.t.Context(), g.UserID, second.ID, session.LoggedOut, f.now)
			f.must(err)
			if err := f.Acquire(f.t.Context(), g, "owner", time.Minute); !errors.Is(err, grant.ErrSignedOut) {
				f.t.Fatalf("got %v, want ErrSignedOut", err)
			}
			f.same("owner", f.grantOf(g.UserID).LeaseOwner, "")
			f.signIn(func(s *login.SignIn) {
				s.Tokens.Refresh, s.Session.ExpiresAt = secret.Text{}, time.Now().Add(-time.Second)
			})
			if err := f.Acquire(f.t.Context(), g, "owner", time.Minute); !errors.Is(err, grant.ErrSignedOut) {
				f.t.Fatalf("with a session that has expired: got %v, want ErrSignedOut", err)
			}
		},
		"no lease is given on a dead grant": func(f *fixture) {
			g := f.leased("owner")
			f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0))
			f.lost(f.Acquire(f.t.Context(), f.grantOf(g.UserID), "owner", time.Minute))
		},
		"a lease that ran out is taken over only by who saw it": func(f *fixture) {
			g := f.lapsed("vanished")
			unaware := g
			unaware.LeaseOwner = ""
			f.lost(f.Acquire(f.t.Context(), unaware, "next", time.Minute))
			f.must(f.Acquire(f.t.Context(), g, "next", time.Minute))
			f.same("owner", f.grantOf(g.UserID).LeaseOwner, "next")
			f.lost(f.Acquire(f.t.Context(), g, "third", time.Minute))
		},
		"a lease that is given back leaves the grant as it was": func(f *fixture) {
			_, g := f.signIn()
			f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			f.must(f.Release(f.t.Context(), g, "owner"))
			f.same("grant", f.grantOf(g.UserID), g)
		},
		"any history is one that the model allows": anyHistory,
	}
	for _, more := range []map[string]func(*fixture){publishTests(), rotationTests(), failTests(), fencedTests(), lapseTests()} {
		for name, test := range more {
			tests[name] = test
		}
	}
	return tests
}

func publishTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"published tokens are stored, and returned as they are stored": func(f *fixture) {
			g := f.leased("owner")
			tokens, now := f.tokens("openid"), f.now.Add(time.Minute)
			published, err := f.Publish(f.t.Context(), g, "owner", tokens, now)
			f.must(err)
			want := g
			want.Version++
			want.Access, want.Refresh, want.Scopes = tokens.Access, tokens.Refresh, []string{"openid"}
			want.Rotation = grant.Rotates
			want.ObtainedAt, want.AccessExpiresAt, want.LastRefreshedAt = now, tokens.AccessExpiresAt, now
			want.LeaseOwner, want.LeaseLeft = "", 0
			f.same("published grant", published, want)
			f.same("stored grant", f.grantOf(g.UserID), want)
			events := f.Events(f.t)
			f.same("audit log", f.kinds(), []string{"signed_in", "refreshed"})
			f.same("event", events[1], audit.Event{Kind: audit.Refreshed, UserID: g.UserID, GrantID: g.ID, At: now})
		},
		"a silent answer keeps refresh token and scopes": func(f *fixture) {
			g := f.leased("owner")
			tokens := f.tokens()
			tokens.Refresh, tokens.Scopes = secret.Text{}, nil
			published, err := f.Publish(f.t.Context(), g, "owner", tokens, f.now)
			f.must(err)
			f.same("refresh token", published.Refresh, g.Refresh)
			f.same("scopes", published.Scopes, g.Scopes)
			f.same("access token", published.Access, tokens.Access)
			f.same("version", published.Version, g.Version+1)
		},
		"publishing clears the failures": func(f *fixture) {
			g := f.leased("owner")
			f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.Later, Reason: "timeout"}, time.Hour))
			g = f.grantOf(g.UserID)
			f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			published, err := f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
			f.must(err)
			f.same("failures", published.Failures, 0)
			f.same("last failure", published.LastFailure, (*grant.Failure)(nil))
			f.same("retry in", published.RetryIn, time.Duration(0))
		},
		"who is late but not replaced still publishes": func(f *fixture) {
			g := f.lapsed("owner")
			_, err := f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
			f.must(err)
		},
		"who is late publishes where the one who took over presented nothing": func(f *fixture) {
			g := f.ended(grant.ReasonInterrupted)
			tokens := f.tokens()
			published, err := f.Publish(f.t.Context(), g, "owner", tokens, f.now)
			f.must(err)
			f.same("stored grant", f.grantOf(g.UserID), published)
			f.same("status", published.Status, grant.Active)
			f.same("status reason", published.StatusReason, "")
			f.same("refresh token", published.Refresh, tokens.Refresh)
			f.same("version", published.Version, g.Version+1)
			f.same("failures", published.Failures, 0)
			_, err = f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
			f.lost(err)
			f.must(f.Acquire(f.t.Context(), published, "next", time.Minute))
		},
	}
}

func rotationTests() map[string]func(*fixture) {
	same := func(g grant.Grant) secret.Text { return g.Refresh }
	none := func(grant.Grant) secret.Text { return secret.Text{} }
	other := func(grant.Grant) secret.Text { return secret.Random() }
	tests := map[string]func(*fixture){}
	for _, tt := range []struct {
		name    string
		answers []func(grant.Grant) secret.Text
		want    grant.Rotation
	}{
		{"no refresh token: the provider keeps it", []func(grant.Grant) secret.Text{none}, grant.KeepsToken},
		{"the same refresh token: the provider keeps it", []func(grant.Grant) secret.Text{same}, grant.KeepsToken},
		{"another refresh token: the provider rotates", []func(grant.Grant) secret.Text{other}, grant.Rotates},
		{"one rotation is enough", []func(grant.Grant) secret.Text{other, none, same}, grant.Rotates},
		{"a rotation may come late", []func(grant.Grant) secret.Text{none, same, other}, grant.Rotates},
	} {
		tests[tt.name] = func(f *fixture) {
			_, g := f.signIn()
			for _, answer := range tt.answers {
				f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
				tokens := f.tokens()
				tokens.Refresh = answer(g)
				var err error
				g, err = f.Publish(f.t.Context(), g, "owner", tokens, f.now)
				f.must(err)
			}
			f.same("rotation", g.Rotation, tt.want)
		}
	}
	return tests
}

func failTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"failures are counted": func(f *fixture) {
			_, g := f.signIn()
			for i := range 3 {
				f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
				f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.Later, Reason: "timeout"}, 0))
				g = f.grantOf(g.UserID)
				f.same("failures", g.Failures, i+1)
			}
		},
		"an answer about the consent before ends the lease, and nothing else": func(f *fixture) {
			g := f.leased("owner")
			f.now = f.now.Add(time.Minute)
			_, anew := f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
			f.same("lease owner", anew.LeaseOwner, "owner")
			logged := f.kinds()
			f.lost(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0))
			anew.LeaseOwner, anew.LeaseLeft = "", 0
			f.same("grant", f.grantOf(g.UserID), anew)
			f.same("audit log", f.kinds(), logged)
		},
	}
	for _, tt := range []struct {
		kind    grant.Kind
		status  grant.Status
		reason  string
		retries bool
	}{
		{grant.Later, grant.Active, "", true},
		{grant.OperatorFault, grant.Active, "", true},
		{grant.SignInAgain, grant.ReauthenticationRequired, "a_reason", false},
	} {
		tests["a failure of kind "+string(tt.kind)+" is recorded"] = func(f *fixture) {
			g := f.leased("owner")
			failure := &grant.Failure{Kind: tt.kind, Reason: "a_reason", Message: "its words", Status: 400}
			f.must(f.Fail(f.t.Context(), g, "owner", failure, time.Minute))
			after := f.grantOf(g.UserID)
			f.same("last failure", after.LastFailure, failure)
			f.same("status", after.Status, tt.status)
			f.same("status reason", after.StatusReason, tt.reason)
			f.same("retry waits", after.RetryIn > 50*time.Second && after.RetryIn <= time.Minute, tt.retries)
			f.same("retry waits not", after.RetryIn <= 0, !tt.retries)
			f.same("lease owner", after.LeaseOwner, "")
			f.same("version", after.Version, g.Version)
			f.same("refresh token", after.Refresh, g.Refresh)
			f.same("audit log", f.kinds(), []string{"signed_in", "refresh_failed a_reason"})
			event := f.Events(f.t)[1]
			f.same("event's grant", event.GrantID, g.ID)
			f.same("event is recent", time.Since(event.At).Abs() < time.Minute, true)
		}
	}
	return tests
}

// fencedTests are about owners who come too late to say how it went.
func fencedTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){}
	for _, tt := range []struct {
		name   string
		before func(f *fixture) grant.Grant // returns what the owner believes
	}{
		{"who has no lease", func(f *fixture) grant.Grant {
			_, g := f.signIn()
			return g
		}},
		{"who is not the lease's owner", func(f *fixture) grant.Grant { return f.leased("another") }},
		{"whose lease was taken over", func(f *fixture) grant.Grant {
			g := f.lapsed("owner")
			f.must(f.Acquire(f.t.Context(), g, "next", time.Minute))
			return g
		}},
		{"who has published already", func(f *fixture) grant.Grant {
			g := f.leased("owner")
			_, err := f.Publish(f.t.Context(), g, "owner", f.tokens("openid", "profile"), f.now)
			f.must(err)
			return g
		}},
		{"whose version is not the stored one", func(f *fixture) grant.Grant {
			g := f.leased("owner")
			g.Version++
			return g
		}},
		{"whose lease was taken over to end the grant", func(f *fixture) grant.Grant {
			return f.ended("invalid_grant")
		}},
		{"whose grant was interrupted, and consented to since", func(f *fixture) grant.Grant {
			g := f.ended(grant.ReasonInterrupted)
			f.now = f.now.Add(time.Minute)
			f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
			return g
		}},
		{"whose grant was consented to, and interrupted since", func(f *fixture) grant.Grant {
			g := f.ended(grant.ReasonInterrupted)
			f.now = f.now.Add(time.Minute)
			_, anew := f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = secret.Text{} })
			f.must(f.Acquire(f.t.Context(), anew, "third", time.Minute))
			f.must(f.Fail(f.t.Context(), anew, "third", signInAgain(grant.ReasonInterrupted), 0))
			return g
		}},
		{"whose grant was erased", func(f *fixture) grant.Grant {
			g := f.leased("owner")
			_, _, err := f.Erase(f.t.Context(), g.UserID)
			f.must(err)
			return g
		}},
		{"whose grant was erased and made anew", func(f *fixture) grant.Grant {
			g := f.leased("owner")
			_, _, err := f.Erase(f.t.Context(), g.UserID)
			f.must(err)
			f.leased("owner")
			return g
		}},
	} {
		unchanged := func(f *fixture, write func(grant.Grant) error) {
			g := tt.before(f)
			before, beforeErr := f.Grant(f.t.Context(), g.UserID)
			logged := len(f.Events(f.t))
			f.lost(write(g))
			after, afterErr := f.Grant(f.t.Context(), g.UserID)
			before.LeaseLeft, after.LeaseLeft = 0, 0 // time goes on
			before.LapsedFor, after.LapsedFor = 0, 0
			f.same("grant", after, before)
			f.same("grant is there", afterErr == nil, beforeErr == nil)
			f.same("number of events", len(f.Events(f.t)), logged)
		}
		tests["nothing is published by one "+tt.name] = func(f *fixture) {
			unchanged(f, func(g grant.Grant) error {
				_, err := f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
				return err
			})
		}
		tests["no failure is recorded by one "+tt.name] = func(f *fixture) {
			unchanged(f, func(g grant.Grant) error {
				return f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0)
			})
		}
	}
	return tests
}
