package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/graph"
)

// usualLimits are those of the settings' defaults.
func usualLimits() graph.Limits {
	return graph.Limits{Depth: 15, Cost: 10_000, Aliases: 100, RootFields: 50, Tokens: 5000}
}

func TestAnOperationThatAsksForTooMuchIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *graph.Config) { c.Introspection, c.Limits = true, usualLimits() })
	p := w.signIn(alice, allScopes()...)
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct{ name, document, want string }{
		{"aliases", "{ viewer {" + many(101, " a%d: id") + " } }", "The operation has 101 aliases; 100 are allowed: ask in several operations."},
		{"aliases in fragments", "{ viewer { ...f } session { user { ...f } } } fragment f on User {" + many(51, " a%d: id") + " }", "The operation has 102 aliases; 100 are allowed: ask in several operations."},
		{"aliases in introspection", "{ __schema { types {" + many(101, " a%d: name") + " } } }", "The operation has 101 aliases; 100 are allowed: ask in several operations."},
		{"fields of introspection", "{ __schema {" + many(250, " types { name #%d\n}") + " x: types { name } } }", "The operation selects 502 fields of the schema; 500 are allowed."},
		{"root fields", "{" + many(51, " scopes { name #%d\n}") + " }", "The operation selects 51 fields of the root; 50 are allowed: ask in several operations."},
		{"root fields of a mutation", "mutation {" + many(51, " logout { sessionId #%d\n}") + " }", "The operation selects 51 fields of the root; 50 are allowed: ask in several operations."},
		{"depth", "{ viewer" + strings.Repeat(" { sessions(first: 1) { nodes { user", 5) + " { id }" + strings.Repeat(" } } }", 5) + " }", "The operation is 17 fields deep; 15 are allowed: ask for what is deeper in another one."},
		{"cost", "{ viewer { sessions(first: 100) { nodes { user { name email profile { displayName } connectedAccounts { nodes { id title } } } } } } }", "The operation costs 14312; 10000 is allowed: ask for fewer items with `first`, or for fewer fields."},
		{"tokens", "{ viewer {" + strings.Repeat(" id", 5000) + " } }", "The document has more than 5000 tokens, which is the limit: ask for less, or in several operations."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := w.do(p, test.document, nil)
			w.wantCodes(got, "QUERY_TOO_COMPLEX")
			if len(got.Errors) == 1 && got.Errors[0].Message != test.want {
				t.Errorf("got %q, want %q", got.Errors[0].Message, test.want)
			}
		})
	}
}

func TestAClosedSchemaIsNotGivenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *graph.Config) { c.Introspection = false })
	tests := []struct{ name, document string }{
		{"a field", "{ viewr { id } }"},
		{"a field of a field", "{ viewer { emai } }"},
		{"an argument", "{ viewer { sessions(frist: 1) { totalCount } } }"},
		{"an argument of a directive", "{ viewer { id @skip(iff: true) } }"},
		{"a directive", "{ viewer { id @skp(if: true) } }"},
		{"a type", "{ viewer { ... on Usr { id } } }"},
		{"a variable's type", "query($v: Accounttype) { viewer { id } }"},
		{"a fragment's type", "{ ...f } fragment f on Qury { scopes { name } }"},
		{"an enum value", "{ viewer { connectedAccounts(types: [GITHB]) { totalCount } } }"},
		{"an enum value as a string", `{ viewer { connectedAccounts(types: ["GITHB"]) { totalCount } } }`},
		{"a name for a string", "{ node(id: GITHUB) { id } }"},
		{"a member", `mutation { setAppData(input: {data: 1, dat: 2}) { user { id } } }`},
		{"no selection", "{ viewer }"},
		{"a field of an interface that only its objects have", `{ node(id: "x") { email } }`},
	}
	for _, test := range tests {
		got := w.do(nobody(), test.document, nil)
		if len(got.Errors) == 0 || got.codes()[0] != "GRAPHQL_VALIDATION_FAILED" {
			t.Errorf("%s: got %v", test.name, got.Errors)
		}
		for _, e := range got.Errors {
			if strings.Contains(e.Message, "Did you mean") {
				t.Errorf("%s: got %q", test.name, e.Message)
			}
		}
	}
	got := w.do(nobody(), "query($t: [AccountType!]) { viewer { connectedAccounts(types: $t) { totalCount } } }", map[string]any{"t": []string{"GITHB"}})
	w.wantCodes(got, "BAD_USER_INPUT")
	if len(got.Errors) == 1 && got.Errors[0].Message != "Variable $t[0]: must be a value of AccountType." {
		t.Errorf("a variable: got %q", got.Errors[0].Message)
	}
	w.wantCodes(w.do(nobody(), "{ __typename _service { sdl } }", nil))
}

func TestTheCostIsToldWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *graph.Config) {
		c.TellCost = true
		c.Limits.Cost = 20
	})
	for document, want := range map[string]float64{
		"{ viewer { id } }":                 2,
		"{ viewer { name email picture } }": 31, // and so it is refused
	} {
		got := w.do(nobody(), document, nil)
		if diff := cmp.Diff(map[string]any{"operation": want, "limit": 20.0}, got.Extensions["cost"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", document, diff)
		}
	}
}

func TestEveryErrorOfADocumentIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(nobody(), "{ viewr { id } scope { name } }", nil)
	w.wantCodes(got, "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_VALIDATION_FAILED")
	for range 2 {
		w.wantCodes(w.do(nobody(), "{ scopes { nam } }", nil), "GRAPHQL_VALIDATION_FAILED")
	}
}

// TestTheSchemaSaysWhatThingsCost looks for what was forgotten when a field was added.
func TestTheSchemaSaysWhatThingsCost(t *testing.T) {
	t.Parallel()
	schema := graph.Schema()
	for _, definition := range schema.Types {
		if !ours(definition.Position) || definition.Kind != ast.Object {
			continue
		}
		for _, f := range definition.Fields {
			name := definition.Name + "." + f.Name
			upstream := f.Directives.ForName("galaxy") != nil && schema.Types["AuthorizedApp"] != definition || definition.Name == "GalaxyQuery"
			if upstream && f.Directives.ForName("cost") == nil {
				t.Errorf("%s is asked for upstream, and has no @cost", name)
			}
			sized := f.Directives.ForName("listSize") != nil
			connection := strings.HasSuffix(f.Type.Name(), "Connection")
			list := f.Type.Elem != nil && !schema.Types[f.Type.Name()].IsLeafType() && !strings.HasSuffix(definition.Name, "Connection")
			if (list || connection) != sized {
				t.Errorf("%s: @listSize is there: %v, want %v", name, sized, list || connection)
			}
		}
	}
}
