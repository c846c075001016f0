package storetest

import (
	"bytes"
	"errors"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// coded signs Alice in for an app, with changes, and returns the code and its session.
func (f *fixture) coded(changes ...func(*login.SignIn)) (login.Code, session.Session) {
	f.t.Helper()
	return f.codedSubject("alice", changes...)
}

func (f *fixture) codedSubject(subject string, changes ...func(*login.SignIn)) (login.Code, session.Session) {
	f.t.Helper()
	code := login.Code{
		Code: secret.Random(), Client: "native", RedirectURI: "com.example.app:/in", Challenge: secret.Random().Reveal(),
	}
	created, _ := f.signInSubject(subject, append(changes, func(s *login.SignIn) {
		s.Code = &code
		s.Session.Kind, s.Session.ExpiresAt = session.Native, f.now.Add(time.Minute)
	})...)
	return code, created
}

// redemption is the use of the code by an app, a second after the sign-in.
func (f *fixture) redemption(code login.Code) login.Redemption {
	at := f.now.Add(time.Second)
	return login.Redemption{
		Code: code,
		Session: session.Session{
			UserAgent: "App/1.0", IPAddress: "192.0.2.2", CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(time.Hour),
		},
		SessionToken: secret.Random(),
	}
}

// redeem uses the code rightly, at that time, and returns the session's token.
func (f *fixture) redeem(code login.Code, now time.Time) (login.Redeemed, secret.Text, error) {
	f.t.Helper()
	r := f.redemption(code)
	redeemed, err := f.RedeemCode(f.t.Context(), r, now)
	return redeemed, r.SessionToken, err
}

// refused ends the test unless err is want, one of those of a bad code.
func (f *fixture) refused(err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) || !errors.Is(err, login.ErrNoCode) {
		f.t.Fatalf("RedeemCode: got %v, want %v", err, want)
	}
}

func codeTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"a code gives its session a token and a life": func(f *fixture) {
			code, pending := f.coded()
			f.same("the session is there", f.live(pending, f.now), true)
			r := f.redemption(code)
			got, err := f.RedeemCode(f.t.Context(), r, f.now.Add(time.Second))
			f.must(err)
			want := r.Session
			want.ID, want.UserID, want.Subject, want.UserSince = pending.ID, pending.UserID, "alice", f.now
			want.Kind = session.Native
			f.same("redeemed", got, login.Redeemed{Session: want, Scopes: []string{"openid", "profile"}})
			stored, err := f.Replica.Session(f.t.Context(), r.SessionToken.Hash(), f.now.Add(time.Minute))
			f.must(err)
			f.same("stored session", stored, want)
			f.same("audit log", f.kinds(), []string{"signed_in"})
		},
		"the token of the sign-in leads nowhere once the code is redeemed": func(f *fixture) {
			token := secret.Random()
			code, _ := f.coded(func(s *login.SignIn) { s.SessionToken = token })
			_, _, err := f.redeem(code, f.now)
			f.must(err)
			_, err = f.Session(f.t.Context(), token.Hash(), f.now)
			f.noSession(err)
		},
		"an unknown code is none": func(f *fixture) {
			code, pending := f.coded()
			unknown := code
			unknown.Code = secret.Random()
			_, _, err := f.redeem(unknown, f.now)
			f.refused(err, login.ErrNoCode)
			unknown.Code = secret.Text{}
			_, _, err = f.redeem(unknown, f.now)
			f.refused(err, login.ErrNoCode)
			f.same("the session is there", f.live(pending, f.now), true)
		},
		"a code ends with the time of its session": func(f *fixture) {
			code, pending := f.coded()
			_, _, err := f.redeem(code, pending.ExpiresAt)
			f.refused(err, login.ErrNoCode)
			_, _, err = f.redeem(code, pending.ExpiresAt.Add(-time.Microsecond))
			f.must(err)
		},
		"a code that comes again ends the session that it made": func(f *fixture) {
			code, _ := f.coded()
			first, _, err := f.redeem(code, f.now)
			f.must(err)
			later := f.now.Add(30 * time.Minute) // long after the code's own time
			_, token, err := f.redeem(code, later)
			f.refused(err, login.ErrCodeReplayed)
			_, err = f.Session(f.t.Context(), token.Hash(), later)
			f.noSession(err)
			f.same("the session lives", f.live(first.Session, later), false)
			f.same("event", f.Events(f.t)[1], audit.Event{
				Kind: audit.SessionEnded, UserID: first.Session.UserID, SessionID: first.Session.ID, Reason: "code_replayed", At: later,
			})
			_, _, err = f.redeem(code, later)
			f.refused(err, login.ErrNoCode)
			f.same("audit log", f.kinds(), []string{"signed_in", "session_ended code_replayed"})
		},
		"a replay need not be right": func(f *fixture) {
			code, _ := f.coded()
			first, _, err := f.redeem(code, f.now)
			f.must(err)
			code.Challenge = "another"
			_, _, err = f.redeem(code, f.now)
			f.refused(err, login.ErrCodeReplayed)
			f.same("the session lives", f.live(first.Session, f.now), false)
		},
		"a replay ends no other session": func(f *fixture) {
			bobs, _ := f.signInSubject("bob")
			browsers, _ := f.signIn()
			other, _ := f.coded()
			code, _ := f.coded()
			for range 2 {
				_, _, _ = f.redeem(code, f.now)
			}
			f.same("live", []bool{f.live(bobs, f.now), f.live(browsers, f.now)}, []bool{true, true})
			_, _, err := f.redeem(other, f.now)
			f.must(err)
		},
		"of 20 uses at once one at most gets a session, and it ends": func(f *fixture) {
			code, pending := f.coded()
			redeemed := f.atOnce(20, func(i int) error {
				store := f.Store
				if i%2 == 0 {
					store = f.Replica
				}
				_, err := store.RedeemCode(f.t.Context(), f.redemption(code), f.now)
				return err
			}, func(err error) { f.refused(err, login.ErrNoCode) })
			f.same("redeemed", redeemed, 1)
			f.same("the session lives", f.live(pending, f.now), false)
			f.same("audit log", f.kinds(), []string{"signed_in", "session_ended code_replayed"})
		},
		"a code is not stored in clear, nor what it is bound to": func(f *fixture) {
			code, _ := f.coded()
			dump := f.Dump(f.t)
			for _, value := range []string{code.Code.Reveal(), code.Challenge, code.RedirectURI} {
				f.same(value+" is in clear", bytes.Contains(dump, []byte(value)), false)
			}
		},
		"a sign-in whose code is there already leaves nothing": func(f *fixture) {
			code, created := f.coded()
			s := f.signInOf("alice")
			s.Code = &code
			if _, err := f.SignIn(f.t.Context(), s, f.now); err == nil {
				f.t.Fatal("SignIn: got no error for a code that is there")
			}
			sessions, err := f.Sessions(f.t.Context(), created.UserID, f.now)
			f.must(err)
			f.same("sessions", sessions, []session.Session{created})
		},
	}
	for name, change := range map[string]func(*login.Code){
		"another client":          func(c *login.Code) { c.Client = "other" },
		"another redirect URI":    func(c *login.Code) { c.RedirectURI += "/" },
		"another challenge":       func(c *login.Code) { c.Challenge = secret.Random().Reveal() },
		"no challenge":            func(c *login.Code) { c.Challenge = "" },
		"its parts cut elsewhere": func(c *login.Code) { c.Client, c.RedirectURI = c.Client+c.RedirectURI[:1], c.RedirectURI[1:] },
	} {
		tests["a code with "+name+" is spent, and its session ends"] = func(f *fixture) {
			code, pending := f.coded()
			wrong := code
			change(&wrong)
			_, token, err := f.redeem(wrong, f.now)
			f.refused(err, login.ErrCodeMisused)
			_, err = f.Session(f.t.Context(), token.Hash(), f.now)
			f.noSession(err)
			f.same("the session lives", f.live(pending, f.now), false)
			_, _, err = f.redeem(code, f.now)
			f.refused(err, login.ErrNoCode)
			f.same("audit log", f.kinds(), []string{"signed_in", "session_ended code_misused"})
		}
	}
	for name, end := range map[string]func(*fixture, session.Session) error{
		"ended": func(f *fixture, s session.Session) error {
			_, err := f.End(f.t.Context(), s.UserID, s.ID, session.EndedByUser, f.now)
			return err
		},
		"ended as another's": func(f *fixture, s session.Session) error {
			_, err := f.EndOthers(f.t.Context(), s.UserID, "", session.EndedByUser, f.now)
			return err
		},
		"ended by the provider": func(f *fixture, _ session.Session) error {
			_, err := f.EndByProvider(f.t.Context(), f.logout("", "sid-1"), f.now)
			return err
		},
		"ended with the consent": func(f *fixture, s session.Session) error {
			_, _, err := f.Erase(f.t.Context(), s.UserID)
			return err
		},
	} {
		tests["a code whose session is "+name+" is none"] = func(f *fixture) {
			code, pending := f.coded()
			f.must(end(f, pending))
			_, _, err := f.redeem(code, f.now)
			f.refused(err, login.ErrNoCode)
			f.same("the session lives", f.live(pending, f.now), false)
		}
	}
	return tests
}
