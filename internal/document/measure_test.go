package document_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/validator"

	"galaxygate/internal/document"
)

// measure returns the size of the document's one operation.
func measure(t *testing.T, text, variables string) document.Size {
	t.Helper()
	schema := newSchema(t)
	d, refusal := document.NewReader(schema, 0, false).Read(text, false)
	if refusal != nil {
		t.Fatalf("%s: %v", text, refusal.Errors)
	}
	raw := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(variables))
	decoder.UseNumber()
	if variables != "" && decoder.Decode(&raw) != nil {
		t.Fatal(variables)
	}
	coerced, err := validator.VariableValues(schema, d.Operations[0], raw)
	if err != nil {
		t.Fatal(err)
	}
	prices := document.NewPrices(schema, 100)
	size := prices.Measure(d, d.Operations[0], coerced)
	if again := prices.Measure(d, d.Operations[0], coerced); again != size {
		t.Errorf("measured again: got %+v, want %+v", again, size)
	}
	return size
}

func TestCost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, variables string
		want                  int64
	}{
		{"each field costs 1", "{ me { id name other { id } } }", "", 5},
		{"but where the schema says otherwise", "mutation { rename(input: {title: \"x\"}) { id } }", "", 11},
		{"a list costs as often as is assumed", "{ users { id name } }", "", 1 + 7*2},
		{"a page as often as is asked for", "{ me { friends(first: 5) { nodes { id name } total } } }", "", 1 + 1 + 1 + 1 + 5*2},
		{"or by the argument's default", "{ me { friends { nodes { id } } } }", "", 3 + 20},
		{"or as is assumed where it is null", "{ me { friends(first: null) { nodes { id } } } }", "", 3 + 30},
		{"or as often as anything is answered", "{ me { friends(first: 2000000000) { nodes { id } } } }", "", 3 + 100},
		{"an empty page costs an item", "{ me { friends(first: 0) { nodes { id name } } } }", "", 3 + 2},
		{"so does less than one", "{ me { friends(first: -5) { nodes { id } } } }", "", 3 + 1},
		{"by a variable", "query($n: Int) { me { friends(first: $n) { nodes { id } } } }", `{"n": 6}`, 3 + 6},
		{"by a variable's default", "query($n: Int = 8) { me { friends(first: $n) { nodes { id } } } }", "", 3 + 8},
		{"by a variable that is null", "query($n: Int) { me { friends(first: $n) { nodes { id } } } }", `{"n": null}`, 3 + 30},
		{"by a variable that is not given", "query($n: Int) { me { friends(first: $n) { nodes { id } } } }", "", 3 + 20},
		{"pages of pages", "{ me { friends(first: 5) { nodes { friends(first: 4) { nodes { id } } } } } }", "", 3 + 5*(2+4)},
		{"the list in a fragment", "{ me { friends(first: 5) { ...F } } } fragment F on Friends { nodes { ...G } } fragment G on User { id name }", "", 3 + 5*2},
		{"one fragment on two pages", "{ me { a: friends(first: 5) { ...F } b: friends(first: 7) { ...F } } } fragment F on Friends { nodes { id } }", "", 1 + 2 + 5 + 2 + 7},
		{"one list twice", "{ me { friends(first: 5) { a: nodes { id } b: nodes { id } } } }", "", 2 + 2 + 10},
		{"an argument's elements, which are as many as there are items", `{ byID(ids: ["a", "b"]) { id } }`, "", 10 + 2*3 + 2},
		{"as a variable", `query($i: [ID!]) { byID(ids: $i) { id name } }`, `{"i": ["a", "b", "c"]}`, 10 + 3*3 + 3*2},
		{"as a variable of one", `query($i: [ID!]) { byID(ids: $i) { id } }`, `{"i": "a"}`, 10 + 3 + 1},
		{"without brackets", `{ byID(ids: "a") { id } }`, "", 10 + 3 + 1},
		{"without the argument", `{ byID { id } }`, "", 10 + 50},
		{"with null", `{ byID(ids: null) { id } }`, "", 10 + 50},
		{"of a union the most", "{ pet { ... on Cat { id name age } ... on Dog { owner { id } } } }", "", 1 + 21},
		{"of an interface too", "{ node(id: 1) { id ... on Cat { name age } ... on Dog { name } ... on User { other { id } } } }", "", 1 + 3},
		{"in a fragment on the interface", "{ node(id: 1) { ...F ... on Dog { owner { id } } } } fragment F on Node { id name }", "", 1 + 2 + 21},
		{"a list of a union", "{ me { pets { ... on Cat { id age } ... on Dog { id } __typename } } }", "", 1 + 1 + 4*3},
		{"of all that are skipped", "{ me { id @skip(if: true) name @include(if: false) } }", "", 3},
		{"a long argument", `{ node(id: "` + strings.Repeat("a", 1000) + `") { id } }`, "", 2 + 3},
		{"a long variable, as often as it is used", "query($i: ID!) { a: node(id: $i) { id } b: node(id: $i) { id } }", `{"i": "` + strings.Repeat("a", 1000) + `"}`, 2 * (2 + 3)},
		{"written many times into one", "query($i: Anything) { users(filter: {any: [$i, $i, [$i]]}) { id } }", `{"i": "` + strings.Repeat("a", 1000) + `"}`, 1 + 7 + 3024/256},
		{"a long list", "query($f: [Boolean!]) { users(flags: $f) { id } }", `{"f": [true` + strings.Repeat(",true", 999) + `]}`, 1 + 7 + 8008/256},
		{"a long name of a member", "query($f: Filter) { users(filter: $f) { id } }", `{"f": {"any": {"` + strings.Repeat("a", 1000) + `": 1}}}`, 1 + 7 + 1031/256},
		{"a long list of one without brackets", "query($i: [ID!]) { byID(ids: $i) { id } }", `{"i": "` + strings.Repeat("a", 1000) + `"}`, 10 + 3 + 1 + 3},
		{"small ones many times", "query($i: Anything) { users(filter: {any: [" + strings.Repeat("$i ", 20) + "]}) { id } }", `{"i": 1}`, 1 + 7 + 20*128/256},
		{"in a fragment", "query($i: ID!) { ...F a: me { id } } fragment F on Query { node(id: $i) { id } }", `{"i": "` + strings.Repeat("a", 1000) + `"}`, 2 + 2 + 3},
		{"of one operation of many", "query A { me { id } } query B { users { id } }", "", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := measure(t, test.text, test.variables).Cost; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]document.Size{
		"{ a: me { b: id id } c: users { id } ...F } fragment F on Query { d: me { id ...G } } fragment G on User { e: name other { id } }": {
			Depth: 3, Cost: 3 + 8 + 5, Aliases: 5, RootFields: 3, LongestAlias: 5,
		},
		"{ __schema { types { name fields { name } } } __type(name: \"User\") { ...F } me { id } } fragment F on __Type { name kind }": {
			Depth: 2, Cost: 2, RootFields: 3, Introspected: 4 + 2, Introspects: true, LongestAlias: 2,
		},
		"{ s: __schema { types { a: name ...F } types { ...F } } } fragment F on __Type { b: name kind }": {
			Aliases: 4, RootFields: 1, Introspected: 7, Introspects: true,
		},
		"{ me { __typename: name } pet { __typename } }": {Depth: 2, Cost: 4, Aliases: 1, RootFields: 2, LongestAlias: 10, Masked: true},
	} {
		if diff := cmp.Diff(want, measure(t, text, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// TestALongVariableIsMeasuredAnew measures with a small one before, which is remembered.
func TestALongVariableIsMeasuredAnew(t *testing.T) {
	t.Parallel()
	schema := newSchema(t)
	d, refusal := document.NewReader(schema, 0, false).Read("query($i: ID!) { node(id: $i) { id } }", false)
	if refusal != nil {
		t.Fatal(refusal.Errors)
	}
	prices := document.NewPrices(schema, 100)
	for _, test := range []struct {
		length int
		want   int64
	}{{1, 2}, {100, 2}, {1000, 2 + 3}, {1, 2}} {
		got := prices.Measure(d, d.Operations[0], map[string]any{"i": strings.Repeat("a", test.length)}).Cost
		if got != test.want {
			t.Errorf("%d bytes: got %d, want %d", test.length, got, test.want)
		}
	}
}

// TestAVariableThatTellsASizeIsMeasuredAnew lets nobody in with a small page who then
// asks for a large one.
func TestAVariableThatTellsASizeIsMeasuredAnew(t *testing.T) {
	t.Parallel()
	schema := newSchema(t)
	prices := document.NewPrices(schema, 100)
	for text, variables := range map[string][2]map[string]any{
		"query($n: Int) { me { friends(first: $n) { nodes { id } } } }": {{"n": int64(1)}, {"n": int64(90)}},
		"query($i: [ID!]) { byID(ids: $i) { id } }":                     {{"i": []string{"a"}}, {"i": []string{"a", "b"}}},
	} {
		d, refusal := document.NewReader(schema, 0, false).Read(text, false)
		if refusal != nil {
			t.Fatal(refusal.Errors)
		}
		small, large := prices.Measure(d, d.Operations[0], variables[0]), prices.Measure(d, d.Operations[0], variables[1])
		if small.Cost >= large.Cost {
			t.Errorf("%s: got %d, then %d", text, small.Cost, large.Cost)
		}
	}
}

// TestWhatDoublesIsMeasuredOnce would not end, nor say anything sensible, were each
// spread of a fragment followed.
func TestWhatDoublesIsMeasuredOnce(t *testing.T) {
	t.Parallel()
	text := "{ me { ...F0 } node(id: 1) { ...N } } fragment N on Node { ... on User { ...F0 } }"
	for i := range 60 {
		text += fmt.Sprintf(" fragment F%d on User { a: other { ...F%d } b: other { ...F%d } friends(first: 100) { nodes { ...F%d } } }", i, i+1, i+1, i+1)
	}
	got := measure(t, text+" fragment F60 on User { id }", "")
	if want := (document.Size{Depth: 122, Cost: 1 << 30, Aliases: 1 << 30, RootFields: 2, LongestAlias: 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
