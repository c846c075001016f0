package storetest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// logout is a new logout of the test's issuer.
func (f *fixture) logout(subject, providerSession string) session.Logout {
	return session.Logout{
		Issuer: "https://issuer.example", Subject: subject, ProviderSessionID: providerSession,
		TokenID: secret.Random().Reveal(), ExpiresAt: f.now.Add(time.Hour),
	}
}

// replayed ends the test unless err is session.ErrReplayed.
func (f *fixture) replayed(err error) {
	f.t.Helper()
	if !errors.Is(err, session.ErrReplayed) {
		f.t.Fatalf("EndByProvider: got %v, want ErrReplayed", err)
	}
}

// party are five sessions: two of Alice's in one session of the provider's and
// one in another, one of Bob's, and one of Alice's namesake at another issuer.
func (f *fixture) party() map[string]session.Session {
	f.t.Helper()
	at := func(sid string) func(*login.SignIn) { return func(s *login.SignIn) { s.ProviderSessionID = sid } }
	sessions := make(map[string]session.Session)
	sessions["first"], _ = f.signIn(at("sid-a"))
	sessions["second"], _ = f.signIn(at("sid-a"))
	sessions["third"], _ = f.signIn(at("sid-b"))
	sessions["bob's"], _ = f.signInSubject("bob", at("sid-a"))
	sessions["namesake's"], _ = f.signIn(at("sid-a"), func(s *login.SignIn) { s.Issuer = "https://other.example" })
	return sessions
}

// dead returns the names of the sessions that have ended, sorted.
func (f *fixture) dead(sessions map[string]session.Session) []string {
	f.t.Helper()
	var names []string
	for name, s := range sessions {
		if !f.live(s, f.now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func logoutTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"a logout is carried out once": func(f *fixture) {
			l := f.logout("alice", "")
			first, _ := f.signIn()
			n, err := f.EndByProvider(f.t.Context(), l, f.now)
			f.must(err)
			f.same("ended", n, 1)
			f.same("event", f.Events(f.t)[1], audit.Event{
				Kind: audit.SessionEnded, UserID: first.UserID, SessionID: first.ID, Reason: "provider_logout", At: f.now,
			})
			again, _ := f.signIn()
			for _, store := range []Store{f.Store, f.Replica} {
				_, err = store.EndByProvider(f.t.Context(), l, f.now.Add(59*time.Minute))
				f.replayed(err)
			}
			f.same("the later session is live", f.live(again, f.now), true)
		},
		"one of 20 at once carries it out": func(f *fixture) {
			f.signIn()
			f.signIn()
			l := f.logout("alice", "")
			ended := make([]int, 20)
			carried := f.atOnce(len(ended), func(i int) (err error) {
				store := f.Store
				if i%2 == 0 {
					store = f.Replica
				}
				ended[i], err = store.EndByProvider(f.t.Context(), l, f.now)
				return err
			}, f.replayed)
			f.same("carried out", carried, 1)
			slices.Sort(ended)
			f.same("ended", ended[len(ended)-1], 2)
			f.same("ended by the others", ended[len(ended)-2], 0)
		},
		"different logouts at once are all carried out": func(f *fixture) {
			for range 5 {
				f.signIn()
			}
			counts := make([]int, 10)
			f.atOnce(len(counts), func(i int) (err error) {
				counts[i], err = f.EndByProvider(f.t.Context(), f.logout("alice", ""), f.now)
				return err
			}, f.must)
			sum := 0
			for _, n := range counts {
				sum += n
			}
			f.same("ended", sum, 5)
		},
		"the same ID of two issuers is two logouts": func(f *fixture) {
			l := f.logout("alice", "")
			_, err := f.EndByProvider(f.t.Context(), l, f.now)
			f.must(err)
			l.Issuer = "https://other.example"
			_, err = f.EndByProvider(f.t.Context(), l, f.now)
			f.must(err)
		},
		"a logout of nobody who is here succeeds": func(f *fixture) {
			n, err := f.EndByProvider(f.t.Context(), f.logout("carol", "sid-c"), f.now)
			f.must(err)
			f.same("ended", n, 0)
		},
		"a session that has ended ends no more": func(f *fixture) {
			s, _ := f.signIn()
			_, err := f.End(f.t.Context(), s.UserID, s.ID, session.LoggedOut, f.now)
			f.must(err)
			n, err := f.EndByProvider(f.t.Context(), f.logout("alice", ""), f.now)
			f.must(err)
			f.same("ended", n, 0)
			f.same("audit log", f.kinds(), []string{"signed_in", "signed_out logged_out"})
		},
		"the grant stays": func(f *fixture) {
			s, before := f.signIn()
			_, err := f.EndByProvider(f.t.Context(), f.logout("alice", ""), f.now)
			f.must(err)
			f.same("grant", f.grantOf(s.UserID), before)
		},
		"long IDs of the provider's are told apart": func(f *fixture) {
			long := strings.Repeat("x", 200)
			one, _ := f.signIn(func(s *login.SignIn) { s.ProviderSessionID = long + "1" })
			two, _ := f.signIn(func(s *login.SignIn) { s.ProviderSessionID = long + "2" })
			n, err := f.EndByProvider(f.t.Context(), f.logout("", long+"1"), f.now)
			f.must(err)
			f.same("ended", n, 1)
			f.same("live", []bool{f.live(one, f.now), f.live(two, f.now)}, []bool{false, true})
		},
		"the ID of a logout is not stored in clear": func(f *fixture) {
			l := f.logout("alice", "")
			_, err := f.EndByProvider(f.t.Context(), l, f.now)
			f.must(err)
			f.same("in clear", bytes.Contains(f.Dump(f.t), []byte(l.TokenID)), false)
		},
	}
	for _, tt := range []struct {
		name, subject, sid string
		want               []string
	}{
		{"a subject alone ends all of theirs", "alice", "", []string{"first", "second", "third"}},
		{"a provider session alone ends whatever belongs to it", "", "sid-a", []string{"bob's", "first", "second"}},
		{"both end what belongs to both", "alice", "sid-a", []string{"first", "second"}},
		{"another's provider session ends nothing of theirs", "bob", "sid-b", nil},
		{"an unknown provider session ends nothing", "", "sid-z", nil},
	} {
		tests[tt.name] = func(f *fixture) {
			sessions := f.party()
			n, err := f.EndByProvider(f.t.Context(), f.logout(tt.subject, tt.sid), f.now)
			f.must(err)
			f.same("dead", f.dead(sessions), tt.want)
			f.same("ended", n, len(tt.want))
		}
	}
	return tests
}
