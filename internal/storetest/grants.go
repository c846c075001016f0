package storetest

import (
	"errors"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

func grantTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"grants are counted by status": func(f *fixture) {
			f.signInSubject("bob")
			g := f.leased("owner")
			f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0))
			counts, err := f.GrantsByStatus(f.t.Context())
			f.must(err)
			f.same("counts", counts, map[string]int{"active": 1, "reauthentication_required": 1})
		},
		"a user without a grant has none": func(f *fixture) {
			_, err := f.Grant(f.t.Context(), "nobody")
			f.same("not found", errors.Is(err, grant.ErrNotFound), true)
			_, _, err = f.Erase(f.t.Context(), "nobody")
			f.same("not found", errors.Is(err, grant.ErrNotFound), true)
			f.same("number of events", len(f.Events(f.t)), 0)
		},
		"a grant is erased with the user's sessions": func(f *fixture) {
			first, _ := f.signIn()
			second, before := f.signIn()
			bobs, bobsGrant := f.signInSubject("bob")
			logged := len(f.Events(f.t))
			erased, ended, err := f.Erase(f.t.Context(), first.UserID)
			f.must(err)
			f.same("erased grant", erased.GrantID, before.ID)
			f.same("sessions ended", ended, 2)
			_, err = f.Grant(f.t.Context(), first.UserID)
			f.same("grant is gone", errors.Is(err, grant.ErrNotFound), true)
			left, err := f.Sessions(f.t.Context(), first.UserID, f.now)
			f.must(err)
			f.same("sessions left", left, []session.Session{})
			f.same("Bob's grant", f.grantOf(bobs.UserID), bobsGrant)
			ids := map[string]string{first.ID: "authorization_revoked", second.ID: "authorization_revoked"}
			for _, e := range f.Events(f.t)[logged:] {
				switch e.Kind {
				case audit.SessionEnded:
					f.same("reason", e.Reason, ids[e.SessionID])
					delete(ids, e.SessionID)
				case audit.Revoked:
					f.same("revoked grant", e.GrantID, before.ID)
				default:
					f.t.Errorf("unexpected event %s", e.Kind)
				}
				f.same("event is recent", time.Since(e.At).Abs() < time.Minute, true)
				f.same("user", e.UserID, first.UserID)
			}
			f.same("sessions without an event", len(ids), 0)
			f.same("number of events", len(f.Events(f.t)), logged+3)
		},
		"after an erasure the user can sign in again": func(f *fixture) {
			s, before := f.signIn()
			_, _, err := f.Erase(f.t.Context(), s.UserID)
			f.must(err)
			again, after := f.signIn()
			f.same("user", again.UserID, s.UserID)
			f.same("one grant", after.ID == before.ID, false)
		},
		"one of 10 who erase at once gets the grant": func(f *fixture) {
			s, _ := f.signIn()
			erased := f.atOnce(10, func(int) error {
				_, _, err := f.Erase(f.t.Context(), s.UserID)
				return err
			}, func(err error) { f.same("not found", errors.Is(err, grant.ErrNotFound), true) })
			f.same("erasures", erased, 1)
		},
		"writes are counted, each of those at once, and nothing else changes": func(f *fixture) {
			_, bobs := f.signInSubject("bob")
			want := f.leased("owner")
			logged := len(f.Events(f.t))
			f.atOnce(20, func(i int) error {
				return []Store{f.Store, f.Replica}[i%2].Wrote(f.t.Context(), want.UserID)
			}, f.must)
			got := f.grantOf(want.UserID)
			f.same("the lease stands", got.LeaseLeft > 50*time.Second, true)
			want.Writes, want.LeaseLeft = 20, got.LeaseLeft
			f.same("grant", got, want)
			f.same("Bob's grant", f.grantOf(bobs.UserID), bobs)
			f.same("number of events", len(f.Events(f.t)), logged)
		},
		"a write of a user who has given the consent back is no error, and no grant": func(f *fixture) {
			s, _ := f.signIn()
			_, _, err := f.Erase(f.t.Context(), s.UserID)
			f.must(err)
			f.must(f.Wrote(f.t.Context(), s.UserID))
			_, err = f.Grant(f.t.Context(), s.UserID)
			f.same("not found", errors.Is(err, grant.ErrNotFound), true)
		},
		"neither a refresh nor a sign-in at the same time loses a write": func(f *fixture) {
			g := f.leased("owner")
			var published grant.Grant
			f.atOnce(12, func(i int) error {
				switch i {
				case 5:
					var err error
					published, err = f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
					return err
				case 8:
					again := f.signInOf("alice")
					again.Tokens.Refresh = secret.Text{} // the stored one stays
					_, err := f.SignIn(f.t.Context(), again, f.now)
					return err
				default:
					return f.Replica.Wrote(f.t.Context(), g.UserID)
				}
			}, f.must)
			got := f.grantOf(g.UserID)
			f.same("writes", got.Writes, int64(10))
			f.same("the refresh is stored", got.Version == published.Version && got.LeaseOwner == "", true)
			_, replaced := f.signIn()
			f.same("writes after a sign-in with another refresh token", replaced.Writes, int64(10))
		},
		"every change of a grant wakes its watchers on every replica": func(f *fixture) {
			_, g := f.signIn()
			here, stopHere := f.Watch(g.ID)
			defer stopHere()
			there, stopThere := f.Replica.Watch(g.ID)
			defer stopThere()
			lease := func() {
				g = f.grantOf(g.UserID)
				f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			}
			changes := []struct {
				by     string
				change func()
			}{
				{"Acquire", lease},
				{"Publish", func() {
					_, err := f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
					f.must(err)
				}},
				{"Acquire", lease},
				{"Fail", func() { f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.Later}, 0)) }},
				{"Wrote", func() { f.must(f.Wrote(f.t.Context(), g.UserID)) }},
				{"SignIn", func() { f.signIn() }},
				{"Erase", func() {
					_, _, err := f.Erase(f.t.Context(), g.UserID)
					f.must(err)
				}},
			}
			for _, c := range changes {
				c.change()
				f.woken(here, c.by)
				f.woken(there, c.by)
			}
		},
		"all watchers of a grant are woken, and none that has stopped": func(f *fixture) {
			_, g := f.signIn()
			stopped, stop := f.Watch(g.ID)
			first, stopFirst := f.Watch(g.ID)
			defer stopFirst()
			second, stopSecond := f.Watch(g.ID)
			defer stopSecond()
			stop()
			select {
			case <-stopped: // spurious, from before
			default:
			}
			f.must(f.Acquire(f.t.Context(), g, "owner", time.Minute))
			f.woken(first, "Acquire")
			f.woken(second, "Acquire")
			select {
			case <-stopped:
				f.t.Fatal("a watch that has stopped was woken")
			default:
			}
		},
	}
}
