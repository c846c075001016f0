package graph_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/session"
)

func TestWhatAClientWritesItReadsBackAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	got := w.do(p, `mutation($data: JSON!) {
		one: setAppData(input: {data: 1}) { user { appData } }
		two: setAppData(input: {data: $data}) { user { appData id } }
		before: renameAccount(input: {accountId: "urn:rollupid:account/0xeth", title: " Spending "}) { account { id title type } }
		after: renameAccount(input: {accountId: "urn:rollupid:account/0xeth", title: "Gifts"}) { account { title } }
	}`, map[string]any{"data": map[string]any{"big": 9007199254740991, "list": []any{nil, true}}})
	w.wantCodes(got)
	w.want(got, "one.user.appData", "1")
	w.want(got, "two.user", `{"appData":{"big":9007199254740991,"list":[null,true]},"id":"`+alice+`"}`)
	w.want(got, "before.account", `{"id":"urn:rollupid:account/0xeth","title":"Spending","type":"ETH"}`)
	w.want(got, "after.account.title", `"Gifts"`)
	w.want(w.do(p, "{ viewer { appData } }", nil), "viewer.appData", `{"big":9007199254740991,"list":[null,true]}`)
}

func TestAccountMutations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	const (
		disconnect = `mutation($id: ID!) { disconnectAccount(input: {accountId: $id}) { disconnectedAccountId user { id } } }`
		rename     = `mutation($id: ID!, $title: String!) { renameAccount(input: {accountId: $id, title: $title}) { account { id } } }`
	)
	got := w.do(p, disconnect, map[string]any{"id": "urn:rollupid:account/0xgithub"})
	w.wantCodes(got)
	w.want(got, "disconnectAccount", `{"disconnectedAccountId":"urn:rollupid:account/0xgithub","user":{"id":"`+alice+`"}}`)

	for _, document := range []string{disconnect, rename} {
		for id, message := range map[string]string{
			"account:A9rUezXv46Ylw7FMXsaG7A": "Galaxy does not show this account",
			"urn:rollupid:account/0xprivate": "no such account",
			"urn:rollupid:account/0x0":       "no such account",
			p.session.ID:                     "no such account",
		} {
			got := w.do(p, document, map[string]any{"id": id, "title": "t"})
			w.wantCodes(got, "NOT_FOUND")
			if !strings.Contains(got.Errors[0].Message, message) {
				t.Errorf("%s: got %q, want %q", id, got.Errors[0].Message, message)
			}
		}
	}
	for _, title := range []string{"", "  ", strings.Repeat("x", 101)} {
		w.wantCodes(w.do(p, rename, map[string]any{"id": "urn:rollupid:account/0xeth", "title": title}), "BAD_USER_INPUT")
	}
	if n := w.rollup.count("updateAccountNickname") + w.rollup.count("disconnectAccount"); n != 1 {
		t.Errorf("got %d changes, want 1", n)
	}
}

func TestNothingIsDoneForASessionThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	got := w.do(p, `mutation {
		logout { sessionId }
		setAppData(input: {data: 1}) { user { id } }
	}`, nil)
	w.wantCodes(got, "UNAUTHENTICATED")
	if n := w.rollup.count("setExternalAppData"); n != 0 {
		t.Errorf("Galaxy was asked %d times after the logout", n)
	}
}

// interrupted is a Manager with something that happens after a session was ended by it.
type interrupted struct {
	graph.SessionManager

	then func()
}

func (i interrupted) End(ctx context.Context, userID, id string, reason session.EndReason) (session.Session, error) {
	defer i.then()
	return i.SessionManager.End(ctx, userID, id, reason)
}

// TestWhoIsSignedOutMeanwhileSignsNobodyOut ends the session of a mutation between two
// of its fields.
func TestWhoIsSignedOutMeanwhileSignsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, field := range []string{
		"revokeOtherSessions { revokedCount }", "revokeAuthorization { revokedSessions }", "revokeSession(input: {sessionId: $id}) { session { id } }",
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			thief, old, owner := w.signIn(alice, "openid"), w.signIn(alice, "openid"), w.signIn(alice, "openid")
			w.resolver.Manager = interrupted{w.manager, func() {
				if _, err := w.db.End(t.Context(), thief.session.UserID, thief.session.ID, session.EndedByUser, time.Now()); err != nil {
					t.Errorf("end: %v", err)
				}
			}}
			got := w.do(thief, strings.NewReplacer("$old", strconv.Quote(old.session.ID), "$id", strconv.Quote(owner.session.ID)).Replace(
				"mutation { first: revokeSession(input: {sessionId: $old}) { session { id } } "+field+" }"), nil)
			w.wantCodes(got, "UNAUTHENTICATED")
			w.want(w.do(owner, "{ viewer { id } }", nil), "viewer.id", `"`+alice+`"`)
		})
	}
}

func TestRegisterSessionKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	const document = `mutation($w: String!) { registerSessionKey(input: {walletAddress: $w, sessionPublicKey: "k"}) { sessionKey } }`
	w.want(w.do(p, document, map[string]any{"w": "0x1"}), "registerSessionKey.sessionKey", `"key for 0x1"`)
	w.wantCodes(w.do(p, document, map[string]any{"w": ""}), "BAD_USER_INPUT")
}

func TestLogoutEndsTheSessionAndClearsTheCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, "openid")
	got := w.do(p, "mutation { logout { sessionId } }", nil)
	w.want(got, "logout.sessionId", fmt.Sprintf("%q", p.session.ID))
	if cookie := got.header.Get("Set-Cookie"); !strings.Contains(cookie, "Max-Age=0") {
		t.Errorf("got Set-Cookie %q, want it cleared", cookie)
	}
	w.want(w.do(p, "{ viewer { id } }", nil), "viewer", "null")
}

func TestSessionsAreRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, phone := w.signIn(alice, "openid"), w.signIn(alice, "openid")
	stranger := w.signIn(bob, "openid")
	w.signIn(alice, "openid")
	const document = `mutation($id: ID!) { revokeSession(input: {sessionId: $id}) { session { id current } } }`
	got := w.do(p, document, map[string]any{"id": phone.session.ID})
	w.want(got, "revokeSession.session", fmt.Sprintf(`{"current":false,"id":%q}`, phone.session.ID))
	if got.header.Get("Set-Cookie") != "" {
		t.Error("got this browser's cookie cleared for another session")
	}
	w.wantCodes(w.do(p, document, map[string]any{"id": phone.session.ID}), "NOT_FOUND")
	w.wantCodes(w.do(p, document, map[string]any{"id": stranger.session.ID}), "NOT_FOUND")
	w.want(w.do(stranger, "{ viewer { id } }", nil), "viewer.id", `"`+bob+`"`)
	w.want(w.do(p, "mutation { revokeOtherSessions { revokedCount } }", nil), "revokeOtherSessions.revokedCount", "1")
	got = w.do(p, document, map[string]any{"id": p.session.ID})
	w.want(got, "revokeSession.session.current", "true")
	if got.header.Get("Set-Cookie") == "" {
		t.Error("got this browser's cookie left with its session ended")
	}
}

func TestRevokeAuthorization(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		reply *reply
		want  string
	}{
		{"confirmed", nil, `{"revokedSessions":2,"revokedUpstream":true}`},
		{"not confirmed", &reply{status: 502}, `{"revokedSessions":2,"revokedUpstream":false}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, phone := w.signIn(alice, "openid"), w.signIn(alice, "openid")
			if test.reply != nil {
				w.rollup.set("revokeAppAuthorization", *test.reply)
			}
			got := w.do(p, "mutation { revokeAuthorization { revokedSessions revokedUpstream } }", nil)
			w.wantCodes(got)
			w.want(got, "revokeAuthorization", test.want)
			if got.header.Get("Set-Cookie") == "" {
				t.Error("got the cookie left")
			}
			for _, p := range []person{p, phone} {
				w.want(w.do(p, "{ viewer { id } }", nil), "viewer", "null")
			}
		})
	}
}

func TestWhatIsReadBackBeneathAListIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	const seen = `{ user { sessions { nodes { user { appData profile { displayName } authorizedApps { clientId } } } } } }`
	got := w.do(p, `mutation { one: setAppData(input: {data: 1})`+seen+` two: setAppData(input: {data: 2})`+seen+` }`, nil)
	w.wantCodes(got)
	for field, data := range map[string]string{"one": "1", "two": "2"} {
		if read := got.json(field); !strings.Contains(read, `"appData":`+data) {
			t.Errorf("%s: got %s, want the data %s", field, read, data)
		}
	}
	if n := w.rollup.count("graphql"); n != 4 {
		t.Errorf("got %d requests, want one for each change and one for what is read after it", n)
	}
}
