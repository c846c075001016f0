package storetest

import (
	"slices"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

func signInTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"a first sign-in makes a user, a grant and a session": func(f *fixture) {
			s := f.signInOf("alice")
			created, err := f.SignIn(f.t.Context(), s, f.now)
			f.must(err)
			want := s.Session
			want.UserID, want.Subject, want.UserSince = created.UserID, "alice", f.now
			f.same("session", created, want)
			f.same("a user's ID is there", created.UserID != "", true)
			stored, err := f.Session(f.t.Context(), s.SessionToken.Hash(), f.now)
			f.must(err)
			f.same("stored session", stored, created)
			g := f.grantOf(created.UserID)
			f.same("grant", g, grant.Grant{
				ID: g.ID, UserID: created.UserID, Subject: "alice", Status: grant.Active, Version: g.Version,
				Scopes: []string{"openid", "profile"}, Access: s.Tokens.Access, Refresh: s.Tokens.Refresh, Refreshable: true,
				Rotation: grant.RotationUnknown, AuthorizedAt: f.now, ObtainedAt: f.now,
				AccessExpiresAt: s.Tokens.AccessExpiresAt,
			})
			events := f.Events(f.t)
			f.same("audit log", f.kinds(), []string{"signed_in"})
			f.same("audit event", events[0], audit.Event{
				Kind: audit.SignedIn, UserID: created.UserID, GrantID: g.ID, SessionID: created.ID, At: f.now,
			})
		},
		"twenty sign-ins leave one user and one grant": func(f *fixture) {
			first, before := f.signIn()
			var last session.Session
			for range 19 {
				last, _ = f.signIn()
			}
			after := f.grantOf(first.UserID)
			f.same("user", last.UserID, first.UserID)
			f.same("grant", after.ID, before.ID)
			f.same("version", after.Version, before.Version+19)
			sessions, err := f.Sessions(f.t.Context(), first.UserID, f.now)
			f.must(err)
			f.same("number of sessions", len(sessions), 20)
		},
		"the same subject of two issuers is two users": func(f *fixture) {
			first, _ := f.signIn()
			second, _ := f.signIn(func(s *login.SignIn) { s.Issuer = "https://other.example" })
			f.same("one user", first.UserID == second.UserID, false)
		},
		"first sign-ins of one user at once all succeed": func(f *fixture) {
			users := make([]string, 10)
			succeeded := f.atOnce(len(users), func(i int) error {
				store := f.Store
				if i%2 == 0 {
					store = f.Replica
				}
				s, err := store.SignIn(f.t.Context(), f.signInOf("alice"), f.now)
				users[i] = s.UserID
				return err
			}, f.must)
			f.same("succeeded", succeeded, len(users))
			for _, user := range users {
				f.same("user", user, users[0])
			}
			g := f.grantOf(users[0])
			f.same("version", g.Version, int64(len(users)))
		},
		"the browser's old session ends as replaced": func(f *fixture) {
			old, _ := f.signInSubject("bob") // whoever it belonged to
			created, g := f.signIn(func(s *login.SignIn) { s.EndSessionID = old.ID })
			left, err := f.Sessions(f.t.Context(), old.UserID, f.now)
			f.must(err)
			f.same("sessions left", left, []session.Session{})
			left, err = f.Sessions(f.t.Context(), created.UserID, f.now)
			f.must(err)
			f.same("sessions made", left, []session.Session{created})
			var ended []audit.Event
			for _, e := range f.Events(f.t) {
				if e.Kind == audit.SessionEnded {
					ended = append(ended, e)
				}
			}
			f.same("events of the end", ended, []audit.Event{{
				Kind: audit.SessionEnded, UserID: old.UserID, SessionID: old.ID, Reason: "replaced", At: f.now,
			}})
			f.same("grant's owner", g.UserID, created.UserID)
		},
		"an old session that is gone is no obstacle": func(f *fixture) {
			f.signIn(func(s *login.SignIn) { s.EndSessionID = "gone" })
			f.same("audit log", f.kinds(), []string{"signed_in"})
		},
		"a sign-in that fails leaves nothing": func(f *fixture) {
			created, before := f.signIn()
			again := f.signInOf("alice")
			again.Session.ID = created.ID // taken
			again.EndSessionID = created.ID
			if _, err := f.SignIn(f.t.Context(), again, f.now); err == nil {
				f.t.Fatal("SignIn: got no error for a session's ID that is there")
			}
			f.same("grant", f.grantOf(created.UserID), before)
			f.same("audit log", f.kinds(), []string{"signed_in"})
			sessions, err := f.Sessions(f.t.Context(), created.UserID, f.now)
			f.must(err)
			f.same("sessions", sessions, []session.Session{created})
		},
		"a silent answer keeps the scopes": func(f *fixture) {
			f.signIn()
			_, g := f.signIn(func(s *login.SignIn) { s.Tokens.Scopes = nil })
			f.same("scopes", g.Scopes, []string{"openid", "profile"})
			_, g = f.signIn(func(s *login.SignIn) { s.Tokens.Scopes = []string{} })
			f.same("number of scopes", len(g.Scopes), 0)
		},
		"a sign-in mends a dead grant": func(f *fixture) {
			g := f.leased("owner")
			f.must(f.Fail(f.t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0))
			f.same("status", f.grantOf(g.UserID).Status, grant.ReauthenticationRequired)
			f.now = f.now.Add(time.Minute)
			_, mended := f.signIn()
			f.same("status", mended.Status, grant.Active)
			f.same("reason", mended.StatusReason, "")
			f.same("failures", mended.Failures, 0)
			f.same("last failure", mended.LastFailure, (*grant.Failure)(nil))
			f.same("authorized at", mended.AuthorizedAt, f.now)
		},
		"what was learnt about rotation stays": func(f *fixture) {
			g := f.leased("owner")
			_, err := f.Publish(f.t.Context(), g, "owner", f.tokens(), f.now)
			f.must(err)
			_, again := f.signIn()
			f.same("rotation", again.Rotation, grant.Rotates)
			f.same("refreshed since", again.LastRefreshedAt.IsZero(), true)
		},
	}
	for name, test := range replacementTests() {
		tests[name] = test
	}
	return tests
}

// replacementTests are about a sign-in while someone refreshes the grant.
func replacementTests() map[string]func(*fixture) {
	old, other := secret.New("old-refresh-token"), secret.New("other-refresh-token")
	tests := map[string]func(*fixture){}
	for _, tt := range []struct {
		name                  string
		stored, came          secret.Text
		want, replaced        secret.Text
		newVersion, keepLease bool
	}{
		{"another refresh token replaces the stored one and ends the lease", old, other, other, old, true, false},
		{"no refresh token keeps the stored one, its version and lease", old, secret.Text{}, old, secret.Text{}, false, true},
		{"the stored refresh token once more keeps version and lease", old, old, old, secret.Text{}, false, true},
		{"a first refresh token ends the lease and replaces none", secret.Text{}, other, other, secret.Text{}, true, false},
		{"no refresh token where there is none ends the lease", secret.Text{}, secret.Text{}, secret.Text{}, secret.Text{}, true, false},
	} {
		tests[tt.name] = func(f *fixture) {
			_, before := f.signIn(func(s *login.SignIn) { s.Tokens.Refresh = tt.stored })
			f.must(f.Acquire(f.t.Context(), before, "owner", time.Minute))
			again := f.signInOf("alice")
			again.Tokens.Refresh = tt.came
			_, err := f.SignIn(f.t.Context(), again, f.now)
			f.must(err)
			after := f.grantOf(before.UserID)
			if tt.replaced.IsZero() {
				f.pending(0)
			} else {
				f.same("token to be revoked", f.claimed(grant.RevokeTokens).Tokens.Refresh, tt.replaced)
			}
			f.same("recorded as revoked", slices.Contains(f.kinds(), "revoked replaced"), !tt.replaced.IsZero())
			f.same("stored refresh token", after.Refresh, tt.want)
			f.same("stored access token", after.Access, again.Tokens.Access)
			f.same("version grew", after.Version == before.Version+1, tt.newVersion)
			f.same("version stayed", after.Version == before.Version, !tt.newVersion)
			f.same("lease stands", after.LeaseOwner == "owner" && after.LeaseLeft > 0, tt.keepLease)
			_, err = f.Publish(f.t.Context(), before, "owner", f.tokens(), f.now)
			if tt.keepLease {
				f.must(err)
			} else {
				f.lost(err)
			}
		}
	}
	return tests
}
