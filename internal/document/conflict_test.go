package document_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
	"pgregory.net/rapid"

	"galaxygate/internal/document"
)

func TestFieldsOfOneName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       string // how they differ; empty: they do not
	}{
		{"the same", "{ me { id } me { id name } }", ""},
		{"another field", "{ me { a: id a: name } }", "types"},
		{"another field of one type", "{ users { id } me { friends { total } x: other { id } x: friends { total } } }", "different fields"},
		{"another argument", `{ a: node(id: "1") { id } a: node(id: "2") { id } }`, "arguments"},
		{"an argument of one alone", `{ pet { ... on Cat { id } } pet(name: "x") { ... on Cat { id } } }`, "arguments"},
		{"arguments in another order", `{ me { friends(first: 1, after: "a") { total } friends(after: "a", first: 1) { total } } }`, ""},
		{"members in another order", `{ users(filter: {color: RED, limit: 1}) { id } users(filter: {limit: 1, color: RED}) { id } }`, ""},
		{"another member", `{ users(filter: {color: RED}) { id } users(filter: {color: GREEN}) { id } }`, "arguments"},
		{"another element", `{ users(flags: [true]) { id } users(flags: [true, false]) { id } }`, "arguments"},
		{"a string and a name", `query($a: ID!) { a: node(id: $a) { id } a: node(id: "a") { id } }`, "arguments"},
		{"other fields of objects that differ", "{ pet { ... on Cat { x: id } ... on Dog { x: id } } }", ""},
		{"other names of objects that differ", "{ node(id: 1) { ... on Cat { x: name } ... on User { x: name } } }", ""},
		{"other types of objects that differ", "{ pet { ... on Cat { age } ... on Dog { age } } }", "types"},
		{"null or not in objects that differ", "{ pet { ... on Cat { legs } ... on Dog { legs } } }", "types"},
		{"the type's name in one of objects that differ", "{ pet { ... on Cat { x: __typename } ... on Dog { x: legs } } }", ""},
		{"the type's name and another field", "{ pet { ... on Cat { x: __typename x: name } } }", "different fields"},
		{"types beside the type's name", "{ node(id: 1) { ... on User { x: __typename } ... on Cat { x: age } ... on Dog { x: age } } }", "types"},
		{"of the interface and of the object", "{ node(id: 1) { x: id ... on Cat { x: name } } }", "types"},
		{"beneath objects that differ", "{ pet { ... on Cat { owner { x: id } } ... on Dog { owner { x: name } } } }", "types"},
		{"of one shape beneath objects that differ", "{ pet { ... on Cat { owner { x: friends { total } } } ... on Dog { owner { x: other { id } } } } }", ""},
		{"in a fragment", "{ me { ...F x: id } } fragment F on User { x: name }", "types"},
		{"in two fragments", "{ me { ...F ...G } } fragment F on User { x: id } fragment G on User { x: name }", "types"},
		{"in an operation that is not run", "query A { me { id } } query B { me { x: id x: name } }", "types"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, refusal := document.NewReader(newSchema(t), 0, false).Read(test.text, false)
			got := ""
			if refusal != nil {
				got = refusal.Errors[0].Message
			}
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestConflictsAreThoseOfThePairs holds what is found against the parser's own rule,
// which compares each pair.
func TestConflictsAreThoseOfThePairs(t *testing.T) {
	t.Parallel()
	schema := newSchema(t)
	conflicts, both := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := writer{T: t, left: 25, used: make(map[int]bool)}
		text := "{" + w.set("Query", 0) + "}"
		for i, on := range fragmentTypes {
			if w.used[i] {
				text += fmt.Sprintf(" fragment F%d on %s {%s}", i, on, w.set(on, i+1))
			}
		}
		d, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		pairs := validator.ValidateWithRules(schema, d, rules.NewRules(rules.OverlappingFieldsCanBeMergedRule))
		_, refusal := document.NewReader(schema, 0, false).Read(text, false)
		if refusal != nil && !strings.Contains(refusal.Errors[0].Message, "cannot be one") {
			t.Fatalf("%s: got %v", text, refusal.Errors)
		}
		if (refusal != nil) != (len(pairs) > 0) {
			t.Fatalf("%s: got %+v, want %v", text, refusal, pairs)
		}
		both++
		if refusal != nil {
			conflicts++
		}
	})
	if conflicts < both/20 || conflicts > both*19/20 {
		t.Errorf("got %d conflicts in %d documents", conflicts, both)
	}
}

// fragmentTypes are what the fragments F0, F1, … are on. Each spreads later ones alone.
var fragmentTypes = []string{"User", "Cat", "Dog", "User", "Node"}

// leaves and objects are the fields that a writer writes.
func leaves(of string) []string {
	switch of {
	case "Query", "Pet":
		return nil
	case "Cat", "Dog":
		return []string{"id", "name", "age", "legs"}
	default:
		return []string{"id", "name"}
	}
}

func objects(of string) map[string]string {
	switch of {
	case "Query":
		return map[string]string{"me": "User", `node(id: "1")`: "Node", `node(id: "2")`: "Node", "pet": "Pet"}
	case "Cat", "Dog":
		return map[string]string{"owner": "User"}
	case "User":
		return map[string]string{"other": "User", "pets": "Pet"}
	default:
		return nil
	}
}

// writer writes any document of the schema that is valid but for conflicts.
type writer struct {
	*rapid.T

	left int
	used map[int]bool // fragments
}

func (w *writer) pick(of []string) string { return rapid.SampledFrom(of).Draw(w.T, "one") }

func (w *writer) set(of string, after int) string {
	var b strings.Builder
	for range rapid.IntRange(1, 4).Draw(w.T, "size") {
		w.left--
		alias := w.pick([]string{"", "", "x: ", "y: "})
		fields := slices.Sorted(maps.Keys(objects(of)))
		switch kind := rapid.IntRange(0, 3).Draw(w.T, "kind"); {
		case kind == 0 && w.left > 0 && len(fields) > 0:
			f := w.pick(fields)
			b.WriteString(" " + alias + f + " {" + w.set(objects(of)[f], after) + "}")
		case kind == 1 && w.left > 0 && (of == "Pet" || of == "Node"):
			on := w.pick([]string{"Cat", "Dog"})
			b.WriteString(" ... on " + on + " {" + w.set(on, after) + "}")
		case kind == 2 && after < len(fragmentTypes) && of != "Query" && of != "Pet":
			i := rapid.IntRange(after, len(fragmentTypes)-1).Draw(w.T, "fragment")
			if on := fragmentTypes[i]; on == of || on == "Node" || of == "Node" {
				w.used[i] = true
				fmt.Fprintf(&b, " ...F%d", i)
				continue
			}
			b.WriteString(" __typename")
		case len(leaves(of)) > 0:
			b.WriteString(" " + alias + w.pick(leaves(of)))
		default:
			b.WriteString(" __typename")
		}
	}
	return b.String()
}
