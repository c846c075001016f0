package graph_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/audit"
	"galaxygate/internal/session"
)

func nobody() person { return person{} }

func TestViewerSeesWhatTheyShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	got := w.do(p, `{
		viewer {
			id name email picture createdAt
			profile { displayName pfp { __typename ... on NFTPFP { image isToken } } }
			smartContractWallets { nickname address }
			authorizedApps { clientId title icon authorizedAt }
			appData
			authorization { status statusReason scopes accessTokenExpiresAt lastRefreshedAt }
			sessions { nodes { id current kind } totalCount }
		}
		session { id current kind user { id } expiresAt }
	}`, nil)
	w.wantCodes(got)
	w.want(got, "viewer.id", `"`+alice+`"`)
	w.want(got, "viewer.name", `"Alice"`)
	w.want(got, "viewer.email", `"alice@example.com"`)
	w.want(got, "viewer.picture", `"https://img.example/a.png"`)
	w.want(got, "viewer.profile", `{"displayName":"Profile of `+alice+`","pfp":{"__typename":"NFTPFP","image":"https://img.example/n.png","isToken":true}}`)
	w.want(got, "viewer.smartContractWallets", `[{"address":"0x1","nickname":"Mine"}]`)
	w.want(got, "viewer.authorizedApps", `[{"authorizedAt":"2023-11-14T22:13:20Z","clientId":"app","icon":"https://img.example/app.png","title":"App"}]`)
	w.want(got, "viewer.appData", "null")
	w.want(got, "viewer.authorization.status", `"ACTIVE"`)
	w.want(got, "viewer.authorization.scopes", `["openid","profile","email","connected_accounts","erc_4337"]`)
	w.want(got, "viewer.authorization.lastRefreshedAt", "null")
	w.want(got, "viewer.sessions", fmt.Sprintf(`{"nodes":[{"current":true,"id":%q,"kind":"BROWSER"}],"totalCount":1}`, p.session.ID))
	w.want(got, "session.user.id", `"`+alice+`"`)
	if _, err := time.Parse(time.RFC3339, fmt.Sprint(got.at("viewer.createdAt"))); err != nil {
		t.Error(err)
	}
}

func TestConnectedAccountsAreLazy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, fields, want string
		galaxy             int
	}{
		{
			name: "type and identifier cost no request to Galaxy", fields: "type rawType identifier",
			want: `[{"identifier":"hidden@example.com","rawType":"email","type":"EMAIL"},` +
				`{"identifier":"0xABCDEF","rawType":"eth","type":"ETH"},` +
				`{"identifier":"alice.fc","rawType":"farcaster","type":"OTHER"},` +
				`{"identifier":"alice","rawType":"github","type":"GITHUB"}]`,
		},
		{
			name: "the ID costs one", fields: "id", galaxy: 1,
			want: `[{"id":"account:A9rUezXv46Ylw7FMXsaG7A"},{"id":"urn:rollupid:account/0xeth"},` +
				`{"id":"account:Z6aNas5HS_XhsehS9hvU_w"},{"id":"urn:rollupid:account/0xgithub"}]`,
		},
		{
			name: "title and icon cost a second", fields: "title icon", galaxy: 2,
			want: `[{"icon":null,"title":null},{"icon":"https://img.example/i.png","title":"Savings"},` +
				`{"icon":null,"title":null},{"icon":"https://img.example/i.png","title":"Code"}]`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.do(w.signIn(alice, allScopes()...), `{ viewer { connectedAccounts { nodes { `+test.fields+` } } } }`, nil)
			w.wantCodes(got)
			w.want(got, "viewer.connectedAccounts.nodes", test.want)
			if n := w.rollup.count("graphql"); n != test.galaxy || w.rollup.count("userinfo") != 1 {
				t.Errorf("got %d requests to Galaxy and %d to userinfo, want %d and 1", n, w.rollup.count("userinfo"), test.galaxy)
			}
		})
	}
}

func TestEachQuestionIsAskedOnceInAnOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	var document strings.Builder
	for i := range 40 {
		fmt.Fprintf(&document, "a%d: viewer { name email picture profile { displayName } connectedAccounts { nodes { id title icon } } } ", i)
	}
	got := w.do(p, "{"+document.String()+"}", nil)
	w.wantCodes(got)
	for _, name := range []string{"userinfo", "profile", "connectedAccounts", "accountProfiles"} {
		if n := w.rollup.count(name); n != 1 {
			t.Errorf("%s: asked %d times, want 1", name, n)
		}
	}
	w.wantCodes(w.do(p, "{ viewer { name } }", nil))
	if n := w.rollup.count("userinfo"); n != 2 {
		t.Errorf("another operation: userinfo asked %d times, want 2", n)
	}
}

func TestConsentIsAskedFieldByField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := time.Now()
	w.now = func() time.Time { return clock }
	p := w.signIn(alice, "openid", "profile")
	const document = `{ viewer { name email smartContractWallets { address } connectedAccounts { totalCount } } }`
	got := w.do(p, document, nil)
	w.wantCodes(got, "INSUFFICIENT_SCOPE", "INSUFFICIENT_SCOPE", "INSUFFICIENT_SCOPE")
	w.want(got, "viewer", `{"connectedAccounts":null,"email":null,"name":"Alice","smartContractWallets":null}`)
	for _, e := range got.Errors {
		if e.Path[1] != "email" {
			continue
		}
		if got := fmt.Sprint(e.Extensions["requiredScopes"], e.Extensions["missingScopes"]); got != "[email] [email]" {
			t.Errorf("got scopes %s", got)
		}
		u, err := url.Parse(fmt.Sprint(e.Extensions["consentUrl"]))
		if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://gate.example/auth/login" || u.Query().Get("scope") != "openid profile email" {
			t.Errorf("got consentUrl %v, %v", u, err)
		}
	}
	if n := len(w.audit.events); n != 3 {
		t.Fatalf("got %d events, want 3", n)
	}
	e := w.audit.events[0]
	if e.Kind != audit.ScopeRefused || e.UserID != p.session.UserID || e.SessionID != p.session.ID || e.GrantID == "" || e.Reason == "" {
		t.Errorf("got event %+v", e)
	}
	w.do(p, document, nil)
	if n := len(w.audit.events); n != 3 {
		t.Errorf("within the minute: got %d events, want 3", n)
	}
	clock = clock.Add(61 * time.Second)
	w.do(p, document, nil)
	if n := len(w.audit.events); n != 6 {
		t.Errorf("after the minute: got %d events, want 6", n)
	}
}

func TestNothingIsSentWithoutConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, "openid")
	got := w.do(p, `{ viewer { name email picture smartContractWallets { address } connectedAccounts { nodes { id } } }
		node(id: "urn:rollupid:account/0xeth") { id } }`, nil)
	if len(got.codes()) != 6 || got.codes()[0] != "INSUFFICIENT_SCOPE" || got.codes()[5] != "INSUFFICIENT_SCOPE" {
		t.Errorf("got %v", got.codes())
	}
	for _, mutation := range []string{
		`disconnectAccount(input: {accountId: "a"}) { disconnectedAccountId }`,
		`renameAccount(input: {accountId: "a", title: "t"}) { account { id } }`,
		`registerSessionKey(input: {walletAddress: "a", sessionPublicKey: "b"}) { sessionKey }`,
	} {
		w.wantCodes(w.do(p, "mutation { "+mutation+" }", nil), "INSUFFICIENT_SCOPE")
	}
	if n := w.rollup.asked(); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
	if _, err := w.db.Grant(t.Context(), p.session.UserID); err != nil {
		t.Error(err)
	}
	again := w.signIn(alice, "openid", "email")
	w.want(w.do(again, "{ viewer { email } }", nil), "viewer.email", `"alice@example.com"`)
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(nobody(), `{ viewer { id } session { id } node(id: "`+alice+`") { id } scopes { name } }`, nil)
	w.wantCodes(got)
	w.want(got, "viewer", "null")
	w.want(got, "session", "null")
	w.want(got, "node", "null")
	for _, mutation := range []string{
		`logout { sessionId }`,
		`revokeSession(input: {sessionId: "s"}) { session { id } }`,
		`revokeOtherSessions { revokedCount }`,
		`revokeAuthorization { revokedSessions }`,
		`disconnectAccount(input: {accountId: "a"}) { disconnectedAccountId }`,
		`renameAccount(input: {accountId: "a", title: "t"}) { account { id } }`,
		`setAppData(input: {data: 1}) { user { id } }`,
		`registerSessionKey(input: {walletAddress: "a", sessionPublicKey: "b"}) { sessionKey }`,
	} {
		got := w.do(nobody(), "mutation { "+mutation+" }", nil)
		w.wantCodes(got, "UNAUTHENTICATED")
		if got.Errors[0].Extensions["loginUrl"] != "https://gate.example/auth/login" {
			t.Errorf("got loginUrl %v", got.Errors[0].Extensions["loginUrl"])
		}
	}
	if n := w.rollup.asked(); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}

func TestOtherUsersShowTheirProfileAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, "openid", "profile")
	got := w.do(p, `{ node(id: "`+bob+`") { id ... on User {
		profile { displayName } name email picture connectedAccounts { totalCount } smartContractWallets { address }
		authorizedApps { title } appData } } }`, nil)
	w.wantCodes(got, "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN")
	w.want(got, "node.id", `"`+bob+`"`)
	w.want(got, "node.profile.displayName", `"Profile of `+bob+`"`)
	for _, field := range []string{"authorization { status }", "sessions { totalCount }", "createdAt"} {
		got := w.do(p, `{ node(id: "`+bob+`") { ... on User { `+field+` } } }`, nil)
		w.wantCodes(got, "FORBIDDEN")
		w.want(got, "node", "null")
	}
	if len(w.audit.events) != 0 || w.rollup.count("userinfo") != 0 {
		t.Errorf("got %d events and %d requests, want none", len(w.audit.events), w.rollup.count("userinfo"))
	}
}

func TestNodeFindsWhatIsTheViewers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	other := w.signIn(bob, "openid")
	tests := []struct{ name, id, want string }{
		{"the viewer", alice, `{"__typename":"User","id":"` + alice + `"}`},
		{"another user", bob, `{"__typename":"User","id":"` + bob + `"}`},
		{"an own session", p.session.ID, `{"__typename":"Session","id":"` + p.session.ID + `"}`},
		{"someone else's session", other.session.ID, "null"},
		{"an own account", "urn:rollupid:account/0xeth", `{"__typename":"ConnectedAccount","id":"urn:rollupid:account/0xeth"}`},
		{"an own account that Galaxy does not show", "account:A9rUezXv46Ylw7FMXsaG7A", `{"__typename":"ConnectedAccount","id":"account:A9rUezXv46Ylw7FMXsaG7A"}`},
		{"an own account that was not shared", "urn:rollupid:account/0xprivate", "null"},
		{"an account of nobody's", "urn:rollupid:account/0x0", "null"},
		{"nothing", "", "null"},
		{"no identity", "urn:rollupid:identity/", "null"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := w.do(p, `query($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": test.id})
			if len(got.Errors) != 0 || got.json("node") != test.want {
				t.Errorf("got %s, %v; want %s", got.json("node"), got.Errors, test.want)
			}
		})
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	const document = `query($first: Int, $after: String, $types: [AccountType!]) { viewer {
		connectedAccounts(first: $first, after: $after, types: $types) {
			nodes { identifier } edges { cursor } totalCount
			pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`
	const list = "viewer.connectedAccounts"
	one := w.do(p, document, map[string]any{"first": 2})
	w.want(one, list+".nodes", `[{"identifier":"hidden@example.com"},{"identifier":"0xABCDEF"}]`)
	w.want(one, list+".totalCount", "4")
	w.want(one, list+".pageInfo.hasNextPage", "true")
	w.want(one, list+".pageInfo.hasPreviousPage", "false")
	cursor := one.at(list + ".pageInfo.endCursor")

	w.rollup.mu.Lock() // the item that the cursor names goes away
	w.rollup.claims["connected_accounts"] = []map[string]string{
		{"type": "github", "identifier": "alice"}, {"type": "email", "identifier": "hidden@example.com"},
	}
	w.rollup.mu.Unlock()
	two := w.do(p, document, map[string]any{"first": 2, "after": cursor})
	w.want(two, list+".nodes", `[{"identifier":"alice"}]`)
	w.want(two, list+".pageInfo.hasNextPage", "false")
	w.want(two, list+".pageInfo.hasPreviousPage", "true")

	w.want(w.do(p, document, map[string]any{"first": 0}), list, `{"edges":[],"nodes":[],"pageInfo":`+
		`{"endCursor":null,"hasNextPage":true,"hasPreviousPage":false,"startCursor":null},"totalCount":2}`)
	w.want(w.do(p, document, map[string]any{"types": []string{"GITHUB"}}), list+".totalCount", "1")
	w.want(w.do(p, document, map[string]any{"types": []string{}}), list+".totalCount", "0")

	for _, bad := range []map[string]any{
		{"first": -1}, {"first": 101}, {"after": ""}, {"after": "nonsense"}, {"after": "MTpzZXNzaW9uczo"},
	} {
		w.wantCodes(w.do(p, document, bad), "BAD_USER_INPUT")
	}
}

func TestSessionsArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var people []person
	for range 3 {
		people = append(people, w.signIn(alice, "openid"))
	}
	p := people[2]
	after, seen := any(nil), ""
	for range 3 {
		got := w.do(p, `query($after: String) { viewer { sessions(first: 1, after: $after) { nodes { id current } pageInfo { endCursor } } } }`,
			map[string]any{"after": after})
		w.wantCodes(got)
		seen += got.json("viewer.sessions.nodes")
		after = got.at("viewer.sessions.pageInfo.endCursor")
	}
	want := ""
	for i := 2; i >= 0; i-- {
		want += fmt.Sprintf(`[{"current":%v,"id":%q}]`, i == 2, people[i].session.ID)
	}
	if seen != want {
		t.Errorf("got %s, want %s", seen, want)
	}
}

func TestAnOperationThatTakesTooLongIsEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, cfg *graph.Config) { cfg.Timeout = 50 * time.Millisecond })
	var p person
	for range 4 {
		p = w.signIn(alice, "openid")
	}
	const depth = 10 // a million sessions, where nothing ends it
	got := w.do(p, "{ viewer { "+strings.Repeat("sessions { nodes { user { ", depth)+"id"+strings.Repeat(" } } }", depth)+" } }", nil)
	if len(got.Errors) == 0 || !strings.Contains(got.Errors[0].Message, "took too long") {
		t.Fatalf("got %d errors, want that it took too long", len(got.Errors))
	}
}

func TestConsentURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, "openid", "email")
	const document = `query($scopes: [String!]!, $to: URL) { viewer { authorization { consentUrl(scopes: $scopes, returnTo: $to) } } }`
	got := w.do(p, document, map[string]any{"scopes": []string{"email", "profile"}, "to": "/here?a=b"})
	w.wantCodes(got)
	u, err := url.Parse(fmt.Sprint(got.at("viewer.authorization.consentUrl")))
	if err != nil || u.Query().Get("scope") != "openid email profile" || u.Query().Get("return_to") != "/here?a=b" {
		t.Errorf("got %v, %v", u, err)
	}
	for _, bad := range []map[string]any{
		{"scopes": []string{"a b"}}, {"scopes": []string{""}}, {"scopes": []string{"a"}, "to": "nowhere"}, {"scopes": []string{"a"}, "to": "//evil.example"},
	} {
		w.wantCodes(w.do(p, document, bad), "BAD_USER_INPUT")
	}
}

func TestAnExpiredTokenIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signInUntil(time.Now().Add(-time.Minute), alice, allScopes()...)
	got := w.do(p, `{ a: viewer { name profile { displayName } appData } b: viewer { email authorizedApps { title } } }`, nil)
	w.wantCodes(got)
	if n := w.rollup.count("token"); n != 1 {
		t.Errorf("got %d refreshes, want 1", n)
	}
}

func TestARejectedTokenIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	w.rollup.refuse = "access-of-" + alice
	got := w.do(p, `{ viewer { profile { displayName } } }`, nil)
	w.wantCodes(got)
	if n := w.rollup.count("token"); n != 1 || w.rollup.count("profile") != 2 {
		t.Errorf("got %d refreshes and %d calls, want 1 and 2", n, w.rollup.count("profile"))
	}
}

func TestAnEndedSessionIsAnonymous(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, "openid")
	if _, err := w.manager.End(t.Context(), p.session.UserID, p.session.ID, session.EndedByUser); err != nil {
		t.Fatal(err)
	}
	w.want(w.do(p, "{ viewer { id } }", nil), "viewer", "null")
	w.wantCodes(w.do(p, "mutation { logout { sessionId } }", nil), "UNAUTHENTICATED")
}

func TestAConditionThatIsNullIsTheClientsMistake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	const document = `query($with: Boolean = true) { viewer { id profile @include(if: $with) { displayName } } }`
	got := w.do(p, document, map[string]any{"with": nil})
	w.wantCodes(got, "BAD_USER_INPUT")
	if strings.Contains(w.log.String(), "panic") {
		t.Error("there was a panic")
	}
	w.wantCodes(w.do(p, document, nil))
}
