package document_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/internal/document"
)

const sdl = `
directive @cost(weight: Int!) on ARGUMENT_DEFINITION | FIELD_DEFINITION
directive @listSize(
	assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], requireOneSlicingArgument: Boolean = true
) on FIELD_DEFINITION
interface Node { id: ID! name: String }
type Query {
	me: User
	node(id: ID!): Node
	pet(name: String): Pet
	users(filter: Filter, flags: [Boolean!]): [User!]! @listSize(assumedSize: 7)
	byID(ids: [ID!] @cost(weight: 3)): [User!]! @cost(weight: 10) @listSize(assumedSize: 50)
}
type Mutation { rename(input: Rename!): User @cost(weight: 10) }
union Pet = Cat | Dog
type Cat implements Node { id: ID! name: String age: Int legs: Int! owner: User }
type Dog implements Node { id: ID! name: String age: String legs: Int owner: User @cost(weight: 20) }
type User implements Node {
	id: ID!
	name: String
	friends(first: Int = 20, after: String): Friends @listSize(assumedSize: 30, slicingArguments: ["first"], sizedFields: ["nodes"])
	pets: [Pet!] @listSize(assumedSize: 4)
	other: User
}
type Friends { nodes: [User!]! total: Int! }
enum Color { RED GREEN }
scalar Anything
input Filter { color: Color limit: Int! = 3 any: Anything inner: [Filter!] }
input Rename { title: String! id: ID score: Float on: Boolean filter: Filter }
`

func newSchema(t testing.TB) *ast.Schema {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestDocumentsAreReadOrRefused(t *testing.T) {
	t.Parallel()
	schema := newSchema(t)
	tests := []struct {
		name, text string
		tokens     int
		trusted    bool
		want       string // the refusal; empty: none
	}{
		{name: "a document", text: "{ me { id } }"},
		{name: "a document of as many tokens as are allowed", text: "{ me { id } }", tokens: 6},
		{name: "one token too many", text: "{ me { id name } }", tokens: 6, want: "2 The document has more than 6 tokens"},
		{name: "comments are tokens", text: "{ me { id } } # much", tokens: 6, want: "2 The document has more than 6 tokens"},
		{name: "a trusted one has no limit", text: "{ me { id name } }", tokens: 6, trusted: true},
		{name: "no GraphQL", text: "{ me { id }", want: "0 Expected Name"},
		{name: "nothing", text: "", want: "1 The document has no operation."},
		{name: "fragments alone", text: "fragment f on User { id }", want: "1 The document has no operation."},
		{name: "an unknown field", text: "{ me { idd } }", want: `1 Cannot query field "idd" on type "User".`},
		{name: "an unknown argument", text: "{ node(idd: 1) { id } }", want: `1 Unknown argument "idd" on field "Query.node".`},
		{name: "an unknown type", text: "{ node(id: 1) { ... on Usr { id } } }", want: `1 Unknown type "Usr".`},
		{name: "an unknown enum value", text: "{ users(filter: {color: RAD}) { id } }", want: `1 Value "RAD" does not exist in "Color" enum.`},
		{name: "an unknown member", text: "{ users(filter: {colour: RED}) { id } }", want: `1 Field "colour" is not defined by type "Filter".`},
		{name: "no selection", text: "{ me }", want: `1 Field "me" of type "User" must have a selection of subfields.`},
		{name: "an Int that is larger than 32 bits", text: "{ users(filter: {limit: 2147483648}) { id } }", want: "1 An Int has 32 bits."},
		{name: "an object where an enum belongs", text: "{ users(filter: {color: {}}) { id } }", want: `1 Expected value of type "Color", found an object.`},
		{name: "an object where an Int belongs", text: "{ users(filter: {limit: {}}) { id } }", want: `1 Expected value of type "Int", found an object.`},
		{name: "the largest Int", text: "{ users(filter: {limit: 2147483647}) { id } }"},
		{name: "such an Int as a variable's value", text: "query($n: Int = 2147483648) { me { friends(first: $n) { total } } }", want: "1 An Int has 32 bits."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := document.NewReader(schema, test.tokens, false)
			d, refusal := r.Read(test.text, test.trusted)
			got := ""
			if refusal != nil {
				got = fmt.Sprintf("%d %s", refusal.Kind, refusal.Errors[0].Message)
			}
			if (test.want == "") != (got == "") || !strings.HasPrefix(got, test.want) || strings.Contains(got, "Did you mean") {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			if again, _ := r.Read(test.text, test.trusted); again != d {
				t.Error("the document was not remembered")
			}
		})
	}
}

func TestNamesAreSuggestedWhereTheSchemaIsOpen(t *testing.T) {
	t.Parallel()
	r := document.NewReader(newSchema(t), 0, true)
	for text, want := range map[string]string{
		"{ me { nam } }":                          `Did you mean "name"?`,
		"{ node(idd: 1) { id } }":                 `Did you mean "id"?`,
		"{ users(filter: {color: RAD}) { id } }":  `Did you mean the enum value "RED"?`,
		"{ users(filter: {colour: RED}) { id } }": `Did you mean "color"?`,
	} {
		_, refusal := r.Read(text, false)
		if refusal == nil || !strings.Contains(refusal.Errors.Error(), want) {
			t.Errorf("%s: got %+v, want %s", text, refusal, want)
		}
	}
}

// hostile are documents of about 5000 tokens which take long to validate, the number of
// their tokens squared or more, unless something is done about it.
func hostile() map[string]string {
	each := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i, i+1)
		}
		return b.String()
	}
	list := func(n int, format string) string {
		return strings.Repeat(format, n)
	}
	return map[string]string{
		"the same leaf":         "{ me {" + list(4990, " id") + "} }",
		"the same object":       "{" + list(1240, " me { id }") + "}",
		"the same deep object":  "{" + list(550, " me { other { other { id } } }") + "}",
		"conflicts":             "{ me {" + list(830, " a: id a: name") + "} }",
		"unknown fields":        "{ me {" + list(4990, " unknown") + "} }",
		"a chain of fragments":  "{ me { ...F0 } }" + each(600, " fragment F%d on User { ...F%d }") + " fragment F600 on User { id }",
		"a circle of fragments": "{ me { ...F0 } }" + each(600, " fragment F%d on User { ...F%d }") + " fragment F600 on User { ...F0 }",
		"fragments that double": "{ me { ...F0 } }" + each(400, " fragment F%[1]d on User { ...F%[2]d ...F%[2]d }") + " fragment F400 on User { id }",
		"fragments that double in objects": "{ me { ...F0 } }" + each(100, " fragment F%[1]d on User { a: other { ...F%[2]d } b: other { ...F%[2]d } }") +
			" fragment F100 on User { id }",
		"many fragments":            "{ me {" + each(500, " ...F%d #%d\n") + "} }" + each(500, " fragment F%d on User { id } #%d\n"),
		"many operations":           each(300, " query Q%d { ...F0 } #%d\n") + each(300, " fragment F%d on Query { ...F%d }") + " fragment F300 on Query { me { id } }",
		"directives":                "{ me { id" + list(700, " @include(if: true)") + "} }",
		"unknown directives":        "{ me { id" + list(2480, " @x") + "} }",
		"variables":                 "query(" + each(1200, " $v%d: Int #%d\n") + ") { me { id } }",
		"inline fragments":          "{" + list(600, " ... { me { id } }") + "}",
		"inline fragments, deep":    "{" + list(900, "... {") + " me { id }" + list(900, "}") + "}",
		"arguments that differ":     "{ me {" + each(500, " friends(first: %d) { total } #%d\n") + "} }",
		"a long list, again":        "{" + list(10, " users(flags: ["+list(480, "true ")+"]) { id }") + "}",
		"unknown arguments":         "{ node(" + each(1500, " a%d: 1 #%d\n") + ") { id } }",
		"a list of lists":           "{ users(flags: " + list(2400, "[") + list(2400, "]") + ") { id } }",
		"a list of long strings":    "{ users(flags: " + list(900, `["`+strings.Repeat("n", 270)+`" `) + list(900, "]") + ") { id } }",
		"one in a directive":        "{ users { id @skip(if: " + list(900, `["`+strings.Repeat("n", 270)+`" `) + list(900, "]") + ") } }",
		"one by default":            "query($f: [Boolean!] = " + list(900, `["`+strings.Repeat("n", 270)+`" `) + list(900, "]") + ") { users(flags: $f) { id } }",
		"a very long name":          "{ me { " + list(1, strings.Repeat("n", 250_000)) + " } }",
		"very long names":           "{ me { " + list(9, " "+strings.Repeat("n", 25_000)) + " } }",
		"a very long string":        `{ node(id: "` + strings.Repeat("n", 250_000) + `") { id } }`,
		"an object with many of it": "{ users(filter: {" + each(1500, " a%d: 1 #%d\n") + "}) { id } }",
	}
}

// BenchmarkHostile is what the worst documents of the usual limit cost.
func BenchmarkHostile(b *testing.B) {
	for name, text := range hostile() {
		b.Run(name, func(b *testing.B) {
			r := document.NewReader(newSchema(b), 0, true)
			for i := 0; b.Loop(); i++ {
				_, _ = r.Read(fmt.Sprint(text, "#", i), false) // never the one that is remembered
			}
		})
	}
}

func TestNoErrorQuotesAValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{`{ users(filter: {limit: "hush"}) { id } }`, "Int cannot represent non-integer value: …"},
		{`{ users(filter: {limit: 1.0987}) { id } }`, "Int cannot represent non-integer value: …"},
		{`{ users(filter: {color: "hush"}) { id } }`, `Enum "Color" cannot represent non-enum value: …`},
		{`{ users(filter: {color: """hush"""}) { id } }`, `Enum "Color" cannot represent non-enum value: …`},
		{`{ users(filter: "hush") { id } }`, `Expected value of type "Filter", found …`},
		{`{ pet(name: ["hush"]) { __typename } }`, "String cannot represent a non string value: …"},
		{`{ users(flags: ["hush\nhush"]) { id } }`, "Boolean cannot represent a non boolean value: …"},
		{`query($n: Int = "hush") { me { friends(first: $n) { total } } }`, "Int cannot represent non-integer value: …"},
		{`{ me("hush": 1) { id } }`, "Expected Name, found String"},
		{`{ me { id } } 10987`, "Unexpected Int …"},
		{`{ users(filter: {color: BLUE}) { id } }`, `Value "BLUE" does not exist in "Color" enum.`},
		{`{ me { id(`, "Expected Name, found <EOF>"},
		{`{ me { ( } }`, "Expected Name, found ("},
		{`{ found }`, `Cannot query field "found" on type "Query".`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			_, refusal := document.NewReader(newSchema(t), 0, false).Read(tt.text, false)
			if refusal == nil || refusal.Errors[0].Message != tt.want {
				t.Errorf("got %+v, want %s", refusal, tt.want)
			}
		})
	}
}

func TestNoDocumentHasManyErrors(t *testing.T) {
	t.Parallel()
	for _, suggest := range []bool{false, true} {
		r := document.NewReader(newSchema(t), 0, suggest)
		for name, text := range hostile() {
			if _, refusal := r.Read(text, false); refusal != nil && len(refusal.Errors.Error()) > 10_000 {
				t.Errorf("%s: got %d errors, of %d bytes", name, len(refusal.Errors), len(refusal.Errors.Error()))
			}
		}
	}
}

func TestWhatWouldBeValidatedForLongIsRefused(t *testing.T) {
	t.Parallel()
	r := document.NewReader(newSchema(t), 0, false)
	for _, name := range []string{"a chain of fragments", "a circle of fragments", "many operations", "a list of long strings", "one in a directive", "one by default"} {
		if _, refusal := r.Read(hostile()[name], false); refusal == nil || refusal.Kind != document.TooComplex {
			t.Errorf("%s: got %+v, want that it is too complex", name, refusal)
		}
	}
	for _, name := range []string{"the same leaf", "the same object", "fragments that double in objects", "many fragments", "inline fragments"} {
		if _, refusal := r.Read(hostile()[name], false); refusal != nil {
			t.Errorf("%s: got %v %v, want none", name, refusal.Kind, refusal.Errors)
		}
	}
}
