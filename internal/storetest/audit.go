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
				want := actor
				if e.Kind == audit.SignedIn {
					want.SessionID = "" // it may be another user's
				}
				f.same("actor of "+string(e.Kind), e.Actor, want)
			}
		},
		"a user's events are read newest first, page by page": func(f *fixture) {
			s, _ := f.signIn()
			for i := range 7 {
				f.must(f.Record(f.t.Context(), audit.Event{
					Kind: audit.ScopeRefused, UserID: s.UserID, Reason: string(rune('a' + i)), Actor: actor,
					At: f.now.Add(-time.Duration(i) * time.Hour), // clocks differ: the order is the log's
				}))
				f.must(f.Record(f.t.Context(), audit.Event{Kind: audit.ScopeRefused, UserID: "bob", Reason: "bob's"}))
			}
			var reasons string
			before := ""
			for range 4 {
				page, err := f.Replica.UserEvents(f.t.Context(), s.UserID, before, 2)
				f.must(err)
				f.same("size", len(page), 2)
				for _, e := range page {
					reasons += e.Reason
					f.same("user", e.UserID, s.UserID)
				}
				before = page[1].ID
			}
			f.same("reasons", reasons, "gfedcba")
			rest, err := f.UserEvents(f.t.Context(), s.UserID, before, 2)
			f.must(err)
			f.same("rest", len(rest), 0)
		},
		"a user's events are read whole": func(f *fixture) {
			e := audit.Event{
				Kind: audit.RefreshFailed, UserID: "u", GrantID: "g", SessionID: "s", Reason: "invalid_grant",
				Actor: actor, At: f.now,
			}
			f.must(f.Record(f.t.Context(), e))
			got, err := f.UserEvents(f.t.Context(), "u", "", 10)
			f.must(err)
			e.ID = got[0].ID
			f.same("events", got, []audit.Event{e})
			f.same("has an ID", e.ID != "", true)
		},
		"a place in the log that is none shows nobody else's events": func(f *fixture) {
			alice, _ := f.signIn()
			bob, _ := f.signInSubject("bob")
			bobs, err := f.UserEvents(f.t.Context(), bob.UserID, "", 1)
			f.must(err)
			for _, before := range []string{bobs[0].ID, "~", "0", "\x00", "\xff", "' OR ''='", "é", strings.Repeat("x", 1000)} {
				got, err := f.UserEvents(f.t.Context(), alice.UserID, before, 10)
				f.must(err)
				for _, e := range got {
					f.same("user", e.UserID, alice.UserID)
				}
			}
			got, err := f.UserEvents(f.t.Context(), alice.UserID, bobs[0].ID, 10)
			f.must(err)
			f.same("number of events before Bob's", len(got), 1)
			got, err = f.UserEvents(f.t.Context(), "", "", 10)
			f.must(err)
			f.same("number of nobody's events", len(got), 0)
		},
		"a user's events outlive their consent": func(f *fixture) {
			s, _ := f.signIn()
			_, _, err := f.Erase(f.t.Context(), s.UserID)
			f.must(err)
			f.signIn()
			got, err := f.UserEvents(f.t.Context(), s.UserID, "", 10)
			f.must(err)
			var kinds []audit.Kind
			for _, e := range got {
				kinds = append(kinds, e.Kind)
			}
			f.same("kinds", kinds, []audit.Kind{audit.SignedIn, audit.Revoked, audit.SessionEnded, audit.SignedIn})
		},
		"what a user does in another's browser is not in the other's log": func(f *fixture) {
			alices, _ := f.signIn()
			ctx := audit.WithActor(f.t.Context(), audit.Actor{SessionID: alices.ID, IPAddress: "192.0.2.7"})
			s := f.signInOf("bob")
			s.EndSessionID = alices.ID
			bobs, err := f.SignIn(ctx, s, f.now)
			f.must(err)
			got, err := f.UserEvents(f.t.Context(), bobs.UserID, "", 10)
			f.must(err)
			f.same("Bob's events", len(got), 1)
			f.same("Bob's actor", got[0].Actor, audit.Actor{IPAddress: "192.0.2.7"})
			got, err = f.UserEvents(f.t.Context(), alices.UserID, "", 10)
			f.must(err)
			f.same("Alice's events", len(got), 2)
			f.same("Alice's actor", got[0].Actor, audit.Actor{SessionID: alices.ID, IPAddress: "192.0.2.7"})
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
