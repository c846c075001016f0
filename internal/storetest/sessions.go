package storetest

import (
	"errors"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// live reports whether the session is, at that time.
func (f *fixture) live(s session.Session, at time.Time) bool {
	f.t.Helper()
	sessions, err := f.Sessions(f.t.Context(), s.UserID, at)
	f.must(err)
	for _, other := range sessions {
		if other.ID == s.ID {
			return true
		}
	}
	return false
}

// noSession ends the test unless err is session.ErrNotFound.
func (f *fixture) noSession(err error) {
	f.t.Helper()
	if !errors.Is(err, session.ErrNotFound) {
		f.t.Fatalf("got %v, want session.ErrNotFound", err)
	}
}

func sessionTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"a token finds its session alone": func(f *fixture) {
			tokens := []secret.Text{secret.Random(), secret.Random()}
			for _, token := range tokens {
				created, _ := f.signIn(func(s *login.SignIn) { s.SessionToken, s.Session.Kind = token, session.Native })
				got, err := f.Session(f.t.Context(), token.Hash(), f.now)
				f.must(err)
				f.same("session", got, created)
			}
			_, err := f.Session(f.t.Context(), secret.Random().Hash(), f.now)
			f.noSession(err)
			_, err = f.Session(f.t.Context(), nil, f.now)
			f.noSession(err)
		},
		"a session ends at its time": func(f *fixture) {
			token := secret.Random()
			s, _ := f.signIn(func(s *login.SignIn) { s.SessionToken = token })
			_, err := f.Session(f.t.Context(), token.Hash(), s.ExpiresAt.Add(-time.Microsecond))
			f.must(err)
			_, err = f.Session(f.t.Context(), token.Hash(), s.ExpiresAt)
			f.noSession(err)
			f.same("listed", f.live(s, s.ExpiresAt), false)
			_, err = f.End(f.t.Context(), s.UserID, s.ID, session.LoggedOut, s.ExpiresAt)
			f.noSession(err)
			n, err := f.EndOthers(f.t.Context(), s.UserID, "", session.EndedByUser, s.ExpiresAt)
			f.must(err)
			f.same("ended", n, 0)
		},
		"sessions are listed newest first, each user's alone": func(f *fixture) {
			var want []session.Session
			for i := range 3 {
				s, _ := f.signIn(func(s *login.SignIn) { s.Session.CreatedAt = f.now.Add(time.Duration(i) * time.Second) })
				want = append([]session.Session{s}, want...)
			}
			f.signInSubject("bob")
			got, err := f.Sessions(f.t.Context(), want[0].UserID, f.now)
			f.must(err)
			f.same("sessions", got, want)
			got, err = f.Sessions(f.t.Context(), "nobody", f.now)
			f.must(err)
			f.same("number of nobody's sessions", len(got), 0)
		},
		"a touch moves last seen and end": func(f *fixture) {
			s, _ := f.signIn()
			s.LastSeenAt, s.ExpiresAt = f.now.Add(time.Minute), f.now.Add(2*time.Hour)
			f.must(f.Touch(f.t.Context(), s.ID, s.LastSeenAt, s.ExpiresAt))
			got, err := f.Sessions(f.t.Context(), s.UserID, f.now)
			f.must(err)
			f.same("sessions", got, []session.Session{s})
		},
		"a touch does not revive a session": func(f *fixture) {
			s, _ := f.signIn()
			_, err := f.End(f.t.Context(), s.UserID, s.ID, session.LoggedOut, f.now)
			f.must(err)
			f.must(f.Touch(f.t.Context(), s.ID, f.now, f.now.Add(time.Hour)))
			f.same("live", f.live(s, f.now), false)
			expired, _ := f.signIn()
			f.must(f.Touch(f.t.Context(), expired.ID, expired.ExpiresAt, expired.ExpiresAt.Add(time.Hour)))
			f.same("live", f.live(expired, expired.ExpiresAt), false)
			f.must(f.Touch(f.t.Context(), "unknown", f.now, f.now.Add(time.Hour)))
		},
		"how sessions stand is told of any number at once": func(f *fixture) {
			live, _ := f.signIn()
			ended, _ := f.signInSubject("bob")
			endedAt := f.now.Add(time.Second)
			_, err := f.End(f.t.Context(), ended.UserID, ended.ID, session.EndedByUser, endedAt)
			f.must(err)
			used := f.now.Add(2 * time.Hour)
			f.must(f.Touch(f.t.Context(), live.ID, f.now, used))
			ids := []string{live.ID, ended.ID}
			for range 600 {
				ids = append(ids, secret.Random().Reveal()) // of sessions that there are not
			}
			got, err := f.Replica.Standings(f.t.Context(), ids)
			f.must(err)
			f.same("standings", got, map[string]session.Standing{
				live.ID: {ExpiresAt: used},
				ended.ID: {
					ExpiresAt: ended.ExpiresAt,
					End:       &session.End{Reason: session.EndedByUser, At: endedAt},
				},
			})
			got, err = f.Standings(f.t.Context(), nil)
			f.must(err)
			f.same("standings of none", got, map[string]session.Standing{})
		},
		"a session is ended once, by its user": func(f *fixture) {
			token := secret.Random()
			s, _ := f.signIn(func(s *login.SignIn) { s.SessionToken = token })
			bobs, _ := f.signInSubject("bob")
			_, err := f.End(f.t.Context(), bobs.UserID, s.ID, session.EndedByUser, f.now)
			f.noSession(err)
			f.same("live", f.live(s, f.now), true)
			ended, err := f.End(f.t.Context(), s.UserID, s.ID, session.EndedByUser, f.now)
			f.must(err)
			f.same("ended session", ended, s)
			_, err = f.Session(f.t.Context(), token.Hash(), f.now)
			f.noSession(err)
			_, err = f.End(f.t.Context(), s.UserID, s.ID, session.EndedByUser, f.now)
			f.noSession(err)
			_, err = f.End(f.t.Context(), s.UserID, "unknown", session.EndedByUser, f.now)
			f.noSession(err)
			f.same("audit log", f.kinds(), []string{"signed_in", "signed_in", "session_ended revoked"})
		},
		"one of 10 who end a session at once does": func(f *fixture) {
			s, _ := f.signIn()
			ended := f.atOnce(10, func(int) error {
				_, err := f.End(f.t.Context(), s.UserID, s.ID, session.LoggedOut, f.now)
				return err
			}, f.noSession)
			f.same("ended", ended, 1)
		},
		"all others end, and are counted once": func(f *fixture) {
			keep, _ := f.signIn()
			for range 9 {
				f.signIn()
			}
			bobs, _ := f.signInSubject("bob")
			counts := make([]int, 5)
			f.atOnce(len(counts), func(i int) (err error) {
				counts[i], err = f.EndOthers(f.t.Context(), keep.UserID, keep.ID, session.EndedByUser, f.now)
				return err
			}, f.must)
			sum := 0
			for _, n := range counts {
				sum += n
			}
			f.same("ended", sum, 9)
			left, err := f.Sessions(f.t.Context(), keep.UserID, f.now)
			f.must(err)
			f.same("left", left, []session.Session{keep})
			f.same("Bob's is live", f.live(bobs, f.now), true)
			recorded := 0
			for _, kind := range f.kinds() {
				if kind == "session_ended revoked" {
					recorded++
				}
			}
			f.same("ends recorded", recorded, 9)
		},
	}
	for reason, kind := range map[session.EndReason]audit.Kind{
		session.LoggedOut:            audit.SignedOut,
		session.EndedByUser:          audit.SessionEnded,
		session.AuthorizationRevoked: audit.SessionEnded,
		session.EndedByProvider:      audit.SessionEnded,
		session.CodeReplayed:         audit.SessionEnded,
	} {
		tests["an end with reason "+string(reason)+" is recorded"] = func(f *fixture) {
			s, _ := f.signIn()
			_, err := f.End(f.t.Context(), s.UserID, s.ID, reason, f.now)
			f.must(err)
			f.same("event", f.Events(f.t)[1], audit.Event{
				Kind: kind, UserID: s.UserID, SessionID: s.ID, Reason: string(reason), At: f.now,
			})
		}
	}
	return tests
}
