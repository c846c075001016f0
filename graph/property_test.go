package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/validator"
	"pgregory.net/rapid"

	"galaxygate/graph"
	"galaxygate/internal/devrollup"
)

// Any operation is answered as the reference answers it: the data exactly, but for
// the order of its fields; the errors by their places and codes. It costs one
// request to Galaxy, a second one only where it selects a title or an icon of an
// account, and one to userinfo. Run again, it is answered the same from memory: it
// costs nothing but for what has failed.
//
// -rapid.checks=10000 tries that many.
func TestAnyOperationIsAnsweredAsByTheReference(t *testing.T) {
	t.Parallel()
	rollup := newLookalike(t)
	w := rollup.world(t, time.Hour)
	tries := []*reference{
		rollup.reference(w, devrollup.AliceURN, allScopes()...),
		rollup.reference(w, devrollup.BobURN, "openid", "profile"),
	}
	rapid.Check(t, func(t *rapid.T) {
		ref := *rapid.SampledFrom(tries).Draw(t, "caller")
		ref.people = rollup.Directory().People()
		document, variables := drawOperation(t, ref.schema, ref.sessionID)
		query, errs := gqlparser.LoadQueryWithRules(ref.schema, document, nil)
		if len(errs) > 0 {
			t.Skip(errs)
		}
		coerced, err := validator.VariableValues(ref.schema, query.Operations[0], variables)
		if err != nil {
			t.Fatalf("%v: %s %v", err, document, variables)
		}
		ref.variables = coerced
		ref.failing = drawFailing(t)
		rollup.Set(func(s *devrollup.Switches) { s.FailingFields = ref.failing })
		// What other tries have left in memory is old.
		if err := w.db.Wrote(t.Context(), ref.person.session.UserID); err != nil {
			t.Fatal(err)
		}
		c := &comparison{t: t, rollup: rollup, world: w, reference: &ref, document: document, variables: variables}
		c.first()
		c.again()
	})
}

// drawFailing makes up which fields fail: mostly none.
func drawFailing(t *rapid.T) []string {
	if rapid.IntRange(0, 2).Draw(t, "failing") > 0 {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		"profile", "connectedAccounts", "authorizedApps", "identityFromAlias", "accountProfile", "accountProfiles",
		"scopes", "getExternalAppData", "getAuthorizedIdentities", "AccountProfile.id", "AccountProfile.title",
		"AccountProfile.icon", "Profile.displayName", "Profile.pfp", "NFTPFP.image", "Node.urn", "Node.qc",
		"App.title", "Scope.permission", "AuthorizationIdentity.name",
	}), 1, 3, rapid.ID).Draw(t, "failing fields")
}

// reference is one for the person, who signs in.
func (l *lookalike) reference(w *world, urn string, scopes ...string) *reference {
	p := l.signIn(w, urn, scopes...)
	who, err := l.Directory().Person(urn)
	if err != nil {
		w.t.Fatal(err)
	}
	var data any
	if err := json.Unmarshal(l.Directory().AppData(devrollup.AliceURN, "app"), &data); err != nil {
		w.t.Fatal(err)
	}
	return &reference{
		schema: graph.Schema(), person: p, caller: who, scopes: scopes, sessionID: p.session.ID, url: l.url,
		appData: map[string]any{devrollup.AliceURN: data},
	}
}

// comparison compares the gateway with the reference.
type comparison struct {
	t         *rapid.T
	rollup    *lookalike
	world     *world
	reference *reference
	document  string
	variables map[string]any
	data      any
	errors    []string
}

// run runs the operation at the gateway, and returns what it cost.
func (c *comparison) run() (data any, errs []string, galaxy, userinfo int) {
	c.rollup.forget()
	variables, err := json.Marshal(c.variables)
	if err != nil {
		c.t.Fatal(err)
	}
	var response struct {
		Data   any `json:"data"`
		Errors []struct {
			Path       []any          `json:"path"`
			Extensions map[string]any `json:"extensions"`
		} `json:"errors"`
	}
	raw := c.world.execute(c.reference.person, c.document, "", variables)
	if err := json.Unmarshal(raw, &response); err != nil {
		c.t.Fatalf("%v: %s", err, raw)
	}
	for _, e := range response.Errors {
		path := make([]string, len(e.Path))
		for i, step := range e.Path {
			path[i] = fmt.Sprint(step)
		}
		errs = append(errs, fmt.Sprint(strings.Join(path, "."), " ", e.Extensions["code"]))
	}
	slices.Sort(errs)
	counts := c.rollup.Counters()
	return response.Data, errs, counts["galaxy"], counts["userinfo"]
}

func (c *comparison) first() {
	query, _ := gqlparser.LoadQueryWithRules(c.reference.schema, c.document, nil)
	c.data, c.errors = c.reference.execute(query.Operations[0])
	galaxy, userinfo := c.compare("first")
	allowed := 1
	if c.reference.cards {
		allowed = 2
	}
	if galaxy > allowed || userinfo > 1 {
		c.t.Errorf("%d requests to Galaxy, %d to userinfo for\n%s\n%v:\n%v", galaxy, userinfo, c.document, c.variables, c.rollup.requests())
	}
}

func (c *comparison) again() {
	galaxy, userinfo := c.compare("again")
	// What failed may have been foreseen and then not shown, as of an empty list.
	failed := len(c.reference.failing) > 0 || c.reference.lost
	if userinfo > 0 || galaxy > 0 && !failed {
		c.t.Errorf("again: %d requests to Galaxy, %d to userinfo for\n%s\n%v:\n%v", galaxy, userinfo, c.document, c.variables, c.rollup.requests())
	}
}

func (c *comparison) compare(when string) (galaxy, userinfo int) {
	data, errs, galaxy, userinfo := c.run()
	if diff := cmp.Diff(c.data, data); diff != "" {
		c.t.Errorf("%s: data (-want +got):\n%s\nof %s\n%v, failing %v", when, diff, c.document, c.variables, c.reference.failing)
	}
	if diff := cmp.Diff(c.errors, errs); diff != "" {
		c.t.Errorf("%s: errors (-want +got):\n%s\nof %s\n%v, failing %v", when, diff, c.document, c.variables, c.reference.failing)
	}
	return galaxy, userinfo
}

func asInt(number any) int64 {
	switch n := number.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case float64:
		return int64(n)
	case json.Number:
		i, _ := n.Int64()
		return i
	}
	return 0
}
