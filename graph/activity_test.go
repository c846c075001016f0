package graph_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"galaxygate/graph/model"
	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/session"
)

const activityDocument = `query($first: Int, $after: String) { viewer { authorization { activity(first: $first, after: $after) {
	edges { cursor node { id } }
	nodes { id kind at reason sessionId actorSessionId ipAddress userAgent }
	pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
} } } }`

const activityPath = "viewer.authorization.activity"

// entries are the entries of the page, in short, and its cursors.
func entries(r result) (kinds, cursors []string) {
	nodes, _ := r.at(activityPath + ".nodes").([]any)
	for _, node := range nodes {
		n := node.(map[string]any)
		kind := fmt.Sprint(n["kind"])
		if n["reason"] != nil {
			kind += " " + fmt.Sprint(n["reason"])
		}
		kinds = append(kinds, kind)
	}
	edges, _ := r.at(activityPath + ".edges").([]any)
	for _, edge := range edges {
		cursors = append(cursors, fmt.Sprint(edge.(map[string]any)["cursor"]))
	}
	return kinds, cursors
}

func TestUsersSeeWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, p := w.signIn(alice, "openid"), w.signIn(alice, "openid")
	w.signIn(bob, "openid")
	actor := audit.Actor{SessionID: p.session.ID, IPAddress: "192.0.2.1", UserAgent: "App/2"}
	ctx := audit.WithActor(t.Context(), actor)
	if _, err := w.manager.End(ctx, p.session.UserID, other.session.ID, session.EndedByUser); err != nil {
		t.Fatal(err)
	}
	g, err := w.db.Grant(t.Context(), p.session.UserID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.Acquire(t.Context(), g, "owner", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := w.db.Fail(t.Context(), g, "owner", &grant.Failure{Kind: grant.SignInAgain, Reason: "invalid_grant"}, 0); err != nil {
		t.Fatal(err)
	}

	got := w.do(p, activityDocument, nil)
	w.wantCodes(got)
	kinds, _ := entries(got)
	want := []string{"REFRESH_FAILED invalid_grant", "SESSION_ENDED revoked", "SIGNED_IN", "SIGNED_IN"}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %q, want %q", kinds, want)
	}
	node := got.at(activityPath + ".nodes").([]any)[1].(map[string]any)
	for name, want := range map[string]any{
		"sessionId": other.session.ID, "actorSessionId": p.session.ID, "ipAddress": "192.0.2.1", "userAgent": "App/2",
	} {
		if node[name] != want {
			t.Errorf("%s: got %v, want %v", name, node[name], want)
		}
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(node["at"])); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("at: got %v", node["at"])
	}
	got = w.do(p, `{ viewer { authorization { status statusReason } } }`, nil)
	w.want(got, "viewer.authorization", `{"status":"REAUTHENTICATION_REQUIRED","statusReason":"invalid_grant"}`)
}

func TestActivityIsPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, b := w.signIn(alice, "openid"), w.signIn(bob, "openid")
	for i := range 24 {
		for _, user := range []string{p.session.UserID, b.session.UserID} {
			record(t, w.db, audit.Event{Kind: audit.Refreshed, UserID: user, Reason: strconv.Itoa(i)})
		}
	}
	got := w.do(p, activityDocument, nil)
	first, cursors := entries(got)
	if len(first) != 20 || first[0] != "REFRESHED 23" || first[19] != "REFRESHED 4" {
		t.Errorf("the first page: got %q", first)
	}
	w.want(got, activityPath+".pageInfo", fmt.Sprintf(
		`{"endCursor":%q,"hasNextPage":true,"hasPreviousPage":false,"startCursor":%q}`, cursors[19], cursors[0]))
	rest := w.do(p, activityDocument, map[string]any{"first": 5, "after": cursors[19]})
	kinds, _ := entries(rest)
	if want := []string{"REFRESHED 3", "REFRESHED 2", "REFRESHED 1", "REFRESHED 0", "SIGNED_IN"}; !slices.Equal(kinds, want) {
		t.Errorf("the second page: got %q, want %q", kinds, want)
	}
	w.want(rest, activityPath+".pageInfo.hasNextPage", "false")
	w.want(rest, activityPath+".pageInfo.hasPreviousPage", "true")

	_, bobs := entries(w.do(b, activityDocument, map[string]any{"first": 1}))
	kinds, _ = entries(w.do(p, activityDocument, map[string]any{"after": bobs[0], "first": 100}))
	if len(kinds) != 25 {
		t.Errorf("after Bob's cursor: got %d of Alice's entries, want 25", len(kinds))
	}
	w.want(w.do(p, activityDocument, map[string]any{"first": 0}), activityPath,
		`{"edges":[],"nodes":[],"pageInfo":{"endCursor":null,"hasNextPage":true,"hasPreviousPage":false,"startCursor":null}}`)
	for name, variables := range map[string]map[string]any{
		"a page too large":      {"first": 101},
		"less than nothing":     {"first": -1},
		"no cursor":             {"after": "%%%"},
		"another list's cursor": {"after": "MTpzZXNzaW9uczp4"},
	} {
		got := w.do(p, activityDocument, variables)
		if !slices.Equal(got.codes(), []string{"BAD_USER_INPUT"}) {
			t.Errorf("%s: got %v", name, got.Errors)
		}
		w.want(got, "viewer", `{"authorization":{"activity":null}}`) // and not null as a whole
	}
}

func TestActivityIsNobodyElses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(alice, "openid")
	b := w.signIn(bob, "openid")
	got := w.do(b, fmt.Sprintf(`{ node(id: %q) { ... on User { authorization { activity { nodes { id } } } } } }`, alice), nil)
	w.wantCodes(got, "FORBIDDEN")
	kinds, _ := entries(w.do(b, activityDocument, nil))
	if !slices.Equal(kinds, []string{"SIGNED_IN"}) {
		t.Errorf("Bob's: got %q", kinds)
	}
}

func record(t *testing.T, log audit.Log, e audit.Event) {
	t.Helper()
	if err := log.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// Every kind of event is on the schema's list, but the one that has no user.
func TestActivityKindsAreKnown(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/audit/audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "Kind" {
			return true
		}
		kinds++
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if kind != string(audit.SignInFailed) && !model.ActivityKind(strings.ToUpper(kind)).IsValid() {
			t.Errorf("%s is no ActivityKind", kind)
		}
		return true
	})
	if kinds < 8 {
		t.Errorf("found only %d kinds", kinds)
	}
}
