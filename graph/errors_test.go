package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/budget"
	"galaxygate/internal/retry"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

func TestUpstreamTroubleBecomesACode(t *testing.T) {
	t.Parallel()
	const profile = "{ viewer { id profile { displayName } } }"
	tests := []struct {
		name, endpoint, document string
		reply                    reply
		code                     string
		want                     map[string]any // extensions
	}{
		{
			name: "Galaxy is away", endpoint: "profile", reply: reply{status: 502, body: "<html>"},
			code: "UPSTREAM_UNAVAILABLE", want: map[string]any{"service": "galaxy"},
		},
		{
			name: "Galaxy is away for a while", endpoint: "profile", reply: reply{status: 503, retryAfter: "9"},
			code: "UPSTREAM_UNAVAILABLE", want: map[string]any{"service": "galaxy", "retryAfter": 9.0},
		},
		{
			name: "Galaxy refuses the API key", endpoint: "profile",
			reply: reply{status: 401, body: `{"errors":[{"message":"Invalid API key provided."}]}`},
			code:  "UPSTREAM_UNAVAILABLE", want: map[string]any{"service": "galaxy"},
		},
		{
			name: "Galaxy limits", endpoint: "profile", reply: reply{status: 429, retryAfter: "30"},
			code: "UPSTREAM_RATE_LIMITED", want: map[string]any{"service": "galaxy", "retryAfter": 30.0},
		},
		{
			name: "Galaxy answers with an error that quotes the token", endpoint: "profile",
			reply: reply{status: 200, body: `{"errors":[{"message":"No profile for access-of-` + alice + `."}]}`},
			code:  "UPSTREAM_ERROR", want: map[string]any{"service": "galaxy", "upstreamMessage": "No profile for ***."},
		},
		{
			name: "Galaxy refuses every token", endpoint: "profile", reply: reply{status: 401},
			code: "UPSTREAM_ERROR", want: map[string]any{"service": "galaxy"},
		},
		{
			name: "Galaxy forbids", endpoint: "setExternalAppData", document: "mutation { setAppData(input: {data: 1}) { user { id } } }",
			reply: reply{status: 403, body: `{"errors":[{"message":"You are not authorized!"}]}`},
			code:  "FORBIDDEN", want: map[string]any{"upstreamMessage": "You are not authorized!"},
		},
		{
			name: "Galaxy does not confirm", endpoint: "setExternalAppData", document: "mutation { setAppData(input: {data: 1}) { user { id } } }",
			reply: reply{status: 200, body: `{"data":{"setExternalAppData":false}}`},
			code:  "UPSTREAM_ERROR", want: map[string]any{"service": "galaxy"},
		},
		{
			name: "Passport is away", endpoint: "userinfo", document: "{ viewer { name } }", reply: reply{status: 500},
			code: "UPSTREAM_UNAVAILABLE", want: map[string]any{"service": "passport"},
		},
		{
			name: "Passport limits", endpoint: "userinfo", document: "{ viewer { name } }", reply: reply{status: 429, retryAfter: "5"},
			code: "UPSTREAM_RATE_LIMITED", want: map[string]any{"service": "passport", "retryAfter": 5.0},
		},
		{
			name: "Passport wants the user to consent anew", endpoint: "userinfo", document: "{ viewer { name } }",
			reply: reply{status: 401, body: `{"code":"UNAUTHORIZED","message":"Authorized data error. Re-authorization by user required"}`},
			code:  "REAUTHENTICATION_REQUIRED", want: map[string]any{"loginUrl": "https://gate.example/auth/login"},
		},
		{
			name: "Passport refuses every token", endpoint: "userinfo", document: "{ viewer { name } }", reply: reply{status: 401},
			code: "UPSTREAM_ERROR", want: map[string]any{"service": "passport"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.rollup.set(test.endpoint, test.reply)
			if test.document == "" {
				test.document = profile
			}
			got := w.do(w.signIn(alice, allScopes()...), test.document, nil)
			w.wantCodes(got, test.code)
			for name, want := range test.want {
				if len(got.Errors) == 1 && got.Errors[0].Extensions[name] != want {
					t.Errorf("%s: got %v, want %v", name, got.Errors[0].Extensions[name], want)
				}
			}
			if all := fmt.Sprint(got.Errors, w.log); strings.Contains(all, "access-of-") || strings.Contains(all, "the-api-key") {
				t.Errorf("got a secret in %s", all)
			}
		})
	}
}

func TestAGrantThatCannotBeRefreshed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rollup.set("token", reply{status: 400, body: `{"error":"invalid_grant"}`})
	p := w.signInUntil(time.Now().Add(-time.Minute), alice, allScopes()...)
	got := w.do(p, "{ viewer { id name } }", nil)
	w.wantCodes(got, "REAUTHENTICATION_REQUIRED")
	w.want(got, "viewer.id", `"`+alice+`"`)
	got = w.do(p, "{ viewer { authorization { status statusReason } } }", nil)
	w.wantCodes(got)
	w.want(got, "viewer.authorization", `{"status":"REAUTHENTICATION_REQUIRED","statusReason":"invalid_grant"}`)
}

func TestPartialDataIsKeptWithItsError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rollup.set("profile", reply{
		status: 200,
		body:   `{"data":{"profile":{"displayName":"Alice","pfp":null}},"errors":[{"message":"No picture.","path":["profile","pfp"]}]}`,
	})
	got := w.do(w.signIn(alice, "openid"), "{ viewer { profile { displayName pfp { __typename } } } }", nil)
	w.wantCodes(got, "UPSTREAM_ERROR")
	w.want(got, "viewer.profile", `{"displayName":"Alice","pfp":null}`)
}

// brokenSessions fails as a store might, quoting what it should not.
type brokenSessions struct {
	graph.SessionManager

	panics bool
}

func (b brokenSessions) List(context.Context, string) ([]session.Session, error) {
	if b.panics {
		panic("boom eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl")
	}
	return nil, errors.New("pq: password authentication failed for eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl")
}

func TestUnknownErrorsAreMaskedAndFoundInTheLog(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprintf("panics: %v", panics), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world, _ *graph.Config) { w.resolver.Manager = brokenSessions{panics: panics} })
			got := w.do(w.signIn(alice, "openid"), "{ viewer { sessions { totalCount } } scopes { name } }", nil)
			w.wantCodes(got, "INTERNAL_SERVER_ERROR")
			id, _ := got.Errors[0].Extensions["errorId"].(string)
			if got.Errors[0].Message != "Internal error. Error ID: "+id || id == "" {
				t.Errorf("got %q", got.Errors[0].Message)
			}
			if got.at("scopes") == nil {
				t.Error("got no answer from the sibling")
			}
			if log := w.log.String(); strings.Count(log, `"error_id":"`+id+`"`) != 1 || strings.Contains(log, "eyJ") {
				t.Errorf("got log %s", log)
			}
		})
	}
}

// awaySessions are in a store that is away.
type awaySessions struct{ graph.SessionManager }

func (awaySessions) List(context.Context, string) ([]session.Session, error) {
	return nil, fmt.Errorf("select sessions: %w: connection refused", retry.ErrLater)
}

func TestAStoreThatIsAwayIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world, _ *graph.Config) { w.resolver.Manager = awaySessions{} })
	got := w.do(w.signIn(alice, "openid"), "{ viewer { a: sessions { totalCount } b: sessions { totalCount } } }", nil)
	w.wantCodes(got, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVER_ERROR")
	for _, e := range got.Errors {
		if e.Message != "The service is not available right now. You are not signed out." || e.Extensions["retryAfter"] != 1.0 || e.Extensions["errorId"] != nil {
			t.Errorf("got %+v", e)
		}
	}
	if log := w.log.String(); strings.Count(log, `"level":"WARN"`) != 1 || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("got log %s", log)
	}
}

func TestBadDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *graph.Config) {
		c.Introspection, c.Limits = false, graph.Limits{Depth: 6, Cost: 500, Tokens: 1000}
	})
	p := w.signIn(alice, allScopes()...)
	bomb := "query { viewer { ...f0 } } "
	for i := range 40 {
		bomb += fmt.Sprintf("fragment f%d on User { ...f%d ...f%d } ", i, i+1, i+1)
	}
	bomb += "fragment f40 on User { id }"
	tests := []struct{ name, document, code string }{
		{"not GraphQL", "{", "GRAPHQL_PARSE_FAILED"},
		{"too many tokens", "{" + strings.Repeat(" viewer{id}", 400) + "}", "QUERY_TOO_COMPLEX"},
		{"an unknown field", "{ viewr { id } }", "GRAPHQL_VALIDATION_FAILED"},
		{"no such operation", "", "GRAPHQL_VALIDATION_FAILED"},
		{"introspection", "{ __schema { types { name } } }", "GRAPHQL_VALIDATION_FAILED"},
		{"introspection in a fragment", `{ ...f } fragment f on Query { __type(name: "User") { name } }`, "GRAPHQL_VALIDATION_FAILED"},
		{"too deep", "{ viewer { sessions(first: 1) { nodes { user { sessions(first: 1) { nodes { id } } } } } } }", "QUERY_TOO_COMPLEX"},
		{"too deep in fragments", "{ viewer { ...a } } fragment a on User { sessions(first: 1) { nodes { user { sessions(first: 1) { nodes { id } } } } } }", "QUERY_TOO_COMPLEX"},
		{"too much in a list", "{ viewer { sessions(first: 100) { nodes { id kind createdAt userAgent ipAddress } } } }", "QUERY_TOO_COMPLEX"},
		{"too many fields in fragments of fragments", bomb, "QUERY_TOO_COMPLEX"},
		{"too much in an activity", "{ viewer { authorization { activity(first: 100) { nodes { id kind at reason userAgent } } } } }", "QUERY_TOO_COMPLEX"},
		{"too long an alias", "{ viewer { " + strings.Repeat("a", 129) + ": id } }", "QUERY_TOO_COMPLEX"},
		{"too long an alias in a fragment", "{ viewer { ...f } } fragment f on User { " + strings.Repeat("a", 129) + ": id }", "QUERY_TOO_COMPLEX"},
		{"a number out of range", "{ viewer { sessions(first: 99999999999999999999) { totalCount } } }", "GRAPHQL_VALIDATION_FAILED"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := w.do(p, test.document, nil)
			if len(got.codes()) == 0 || got.codes()[0] != test.code {
				t.Errorf("got %v, want %s", got.Errors, test.code)
			}
			for _, e := range got.Errors {
				if strings.Contains(e.Message, "Did you mean") || strings.Contains(e.Message, "panic") {
					t.Errorf("got %q", e.Message)
				}
			}
		})
	}
	got := w.do(nobody(), "{ _service { sdl } __typename }", nil)
	w.wantCodes(got)
	if sdl := fmt.Sprint(got.at("_service.sdl")); !strings.Contains(sdl, "federation/v2.9") || !strings.Contains(sdl, "@shareable") {
		t.Errorf("got sdl %.200s", sdl)
	}
}

func TestAClientWhoLeavesIsNoError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, "openid")
	w.rollup.hold, w.rollup.held = "profile", make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.gateway.URL, strings.NewReader(`{"query":"{ viewer { profile { displayName } } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.token.Reveal())
	go func() {
		<-w.rollup.held
		leave()
	}()
	if _, err := w.gateway.Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	w.gateway.Close() // waits for the request to end
	if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("got log %s", log)
	}
}

func TestAnAnswerThatIsReadLenientlyIsNotHandedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	const app = `[{"timestamp": 1700000000000, "clientId": "app", "title": "App", "icon": null, "own": true}]` // the icon is never null
	w.rollup.set("authorizedApps", reply{status: 200, body: `{"data": {"q0": ` + app + `, "q1": ` + app + `}}`})
	const ours, theirs = " authorizedApps { clientId title icon authorizedAt }", " galaxy { authorizedApps { clientId title icon timestamp } }"
	for _, fields := range []string{ours + theirs, theirs + ours} { // the same to Galaxy
		got := w.do(p, "{ viewer {"+fields+" } }", nil)
		w.wantCodes(got, "UPSTREAM_UNAVAILABLE")
		w.want(got, "viewer.galaxy.authorizedApps", "null")
		w.want(got, "viewer.authorizedApps", `[{"authorizedAt":"2023-11-14T22:13:20Z","clientId":"app","icon":null,"title":"App"}]`)
	}
}

func TestIntrospectionIsNotLookedAheadOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const doublings = 40
	document := "{ __schema { types { ...F0 } } }"
	for i := range doublings {
		document += fmt.Sprintf(" fragment F%d on __Type { a: ofType { ...F%d } b: ofType { ...F%d } }", i, i+1, i+1)
	}
	w.wantCodes(w.do(nobody(), document+fmt.Sprintf(" fragment F%d on __Type { name }", doublings), nil))
}

func TestOfAGrantThatIsAnothersNothingKeptIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world, _ *graph.Config) {
		answers := upstream.NewAnswers(time.Minute, 1<<20, nil, time.Now)
		w.t.Cleanup(answers.Close)
		w.resolver.Upstream.Answers = answers
	})
	p := w.signIn(alice, allScopes()...)
	w.rollup.appData = "another person's"
	w.want(w.do(p, "{ viewer { appData } }", nil), "viewer.appData", `"another person's"`)
	w.rollup.set("userinfo", reply{status: 200, body: `{"sub": "urn:rollupid:identity/0xother"}`})
	w.wantCodes(w.do(p, "{ viewer { name } }", nil), "REAUTHENTICATION_REQUIRED")
	got := w.do(p, "{ viewer { appData } }", nil)
	w.wantCodes(got, "REAUTHENTICATION_REQUIRED")
	w.want(got, "viewer.appData", "null")
}

func TestOneVariableIsNotRepeatedAtLength(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	w.rollup.set("identityFromAlias", reply{status: 200, body: `{"data": {"q0": "urn"}}`})
	const document = `query($v: String!) { viewer { galaxy { identityFromAlias(provider: "github", alias: $v) } } }`
	w.wantCodes(w.do(p, document, map[string]any{"v": strings.Repeat("a", 16_000)}))
	w.wantCodes(w.do(p, document, map[string]any{"v": strings.Repeat("a", 17_000)}), "BAD_USER_INPUT")
	if n := w.rollup.count("graphql"); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

func TestWhoCannotBeAskedForSpendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world, _ *graph.Config) {
		w.resolver.Upstream.Budget = budget.New(budget.Config{PerMinute: 2})
	})
	w.rollup.set("token", reply{status: 400, body: `{"error": "invalid_grant"}`})
	gone, p := w.signInUntil(time.Now().Add(-time.Second), bob, "openid"), w.signIn(alice, "openid")
	for range 3 {
		w.wantCodes(w.do(gone, "{ viewer { appData } }", nil), "REAUTHENTICATION_REQUIRED")
	}
	w.wantCodes(w.do(p, "{ viewer { appData } }", nil))
}

func TestAnAnswerOfAnotherFormIsTheUpstreamsFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ endpoint, body, fields, service string }{
		"userinfo": {"userinfo", `{"sub": "` + alice + `", "name": 5}`, "name", "passport"},
		"accounts": {"connectedAccounts", `{"data": {"q0": [{"qc": "x"}]}}`, "connectedAccounts(first: 1) { nodes { id } }", "galaxy"},
		"apps":     {"authorizedApps", `{"data": {"q0": {"a": 1}}}`, "authorizedApps { clientId }", "galaxy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.rollup.set(test.endpoint, reply{status: 200, body: test.body})
			got := w.do(w.signIn(alice, allScopes()...), "{ viewer { "+test.fields+" } }", nil)
			w.wantCodes(got, "UPSTREAM_UNAVAILABLE")
			if service := got.Errors[0].Extensions["service"]; service != test.service {
				t.Errorf("got service %v, want %s", service, test.service)
			}
		})
	}
}

func TestTheSchemaIsNotSelectedWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, cfg *graph.Config) { cfg.Limits.Cost = 1000 })
	const doublings = 40
	document := `{ __type(name: "User") { ...F0 } }`
	for i := range doublings {
		document += fmt.Sprintf(" fragment F%d on __Type { a: ofType { ...F%d } b: ofType { ...F%d } }", i, i+1, i+1)
	}
	w.wantCodes(w.do(nobody(), document+fmt.Sprintf(" fragment F%d on __Type { name }", doublings), nil), "QUERY_TOO_COMPLEX")
	w.wantCodes(w.do(nobody(), `{ __schema { types { name fields { name type { name ofType { name } } } } } }`, nil))
}

func TestNoOtherFieldIsCalledTypename(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	w.wantCodes(w.do(p, `{ viewer { profile { pfp { ... on NFTPFP { __typename: image } } } } }`, nil), "GRAPHQL_VALIDATION_FAILED")
	w.wantCodes(w.do(p, `{ viewer { profile { pfp { __typename kind: __typename } } } }`, nil))
}
