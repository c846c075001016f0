package storetest

import (
	"strings"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/login"
)

func auditTests() map[string]func(*fixture) {
	actor := audit.Actor{SessionID: "s", IPAddress: "2001:db8::1", UserAgent: "App/2", RequestID: "r"}
	return map[string]func(*fixture){
		"an event is recorded whole": func(f *fixture) {
			e := audit.Event{
				Kind: audit.ScopeRefused, UserID: "u", GrantID: "g", SessionID: "s",
				Reason: "email", Actor: actor, At: f.now,
			}
			f.must(f.Record(audit.WithActor(f.t.Context(), audit.Actor{RequestID: "other"}), e))
			f.same("events", f.Events(f.t), []audit.Event{e})
		},
		"an event without an actor has the context's": func(f *fixture) {
			f.must(f.Record(audit.WithActor(f.t.Context(), actor), audit.Event{Kind: audit.SignInFailed, At: f.now}))
			f.same("events", f.Events(f.t), []audit.Event{{Kind: audit.SignInFailed, Actor: actor, At: f.now}})
		},
		"the events of a change have the context's actor": func(f *fixture) {
			created, err := f.SignIn(audit.WithActor(f.t.Context(), actor), f.signInOf("alice"), f.now)
			f.must(err)
			_, _, err = f.Erase(audit.WithActor(f.t.Context(), actor), created.UserID)
			f.must(err)
			for _, e := range f.Events(f.t) {
				f.same("actor of "+string(e.Kind), e.Actor, actor)
			}
		},
		"an event without a time happens now": func(f *fixture) {
			f.must(f.Record(f.t.Context(), audit.Event{Kind: audit.SignInFailed}))
			f.same("recent", time.Since(f.Events(f.t)[0].At).Abs() < time.Minute, true)
		},
		"foreign text is cut and cleaned": func(f *fixture) {
			long := strings.Repeat("é", 5000)
			f.must(f.Record(f.t.Context(), audit.Event{
				Kind: audit.SignInFailed, Reason: "a\x00b\xff" + long, At: f.now,
				Actor: audit.Actor{IPAddress: long, UserAgent: "\xffx" + long, RequestID: long},
			}))
			e := f.Events(f.t)[0]
			f.same("reason", strings.HasPrefix(e.Reason, "abé"), true)
			for _, text := range []string{e.Reason, e.Actor.IPAddress, e.Actor.UserAgent, e.Actor.RequestID} {
				f.same("bounded: "+text, len(text) <= 256, true)
				f.same("valid: "+text, strings.ToValidUTF8(text, "?"), text)
			}
		},
		"a browser with a strange name can sign in": func(f *fixture) {
			s, _ := f.signIn(func(s *login.SignIn) { s.Session.UserAgent = "Mo\xffzilla" })
			f.same("user agent", s.UserAgent, "Mozilla")
			f.same("live", f.live(s, f.now), true)
		},
	}
}
