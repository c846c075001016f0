package document_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"galaxygate/internal/document"
)

func TestVariablesAreOfTheirType(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, declared, variables string
		want                      string // the error, without its beginning; empty: none
	}{
		{"a string", "$v: String", `{"v": "5"}`, ""},
		{"a number is no string", "$v: String", `{"v": 5}`, "v: must be a string."},
		{"true is no string", "$v: String", `{"v": true}`, "v: must be a string."},
		{"an object is no string", "$v: String", `{"v": {}}`, "v: must be a string."},
		{"a list is no string", "$v: String", `{"v": ["x"]}`, "v: must be a string."},
		{"null", "$v: String", `{"v": null}`, ""},
		{"nothing", "$v: String", `{}`, ""},
		{"null where there must be something", "$v: String!", `{"v": null}`, "v: must not be null."},
		{"nothing where there must be something", "$v: String!", `{}`, "v: is required."},
		{"a default", `$v: String! = "x"`, `{}`, ""},
		{"null is no default", `$v: String! = "x"`, `{"v": null}`, "v: must not be null."},
		{"an ID", "$v: ID!", `{"v": "x"}`, ""},
		{"an ID that is a number", "$v: ID!", `{"v": 123456789012345678901234567890}`, ""},
		{"a fraction is no ID", "$v: ID!", `{"v": 1.0}`, "v: must be a string or an integer."},
		{"a power is no ID", "$v: ID!", `{"v": 1e3}`, "v: must be a string or an integer."},
		{"false is no ID", "$v: ID!", `{"v": false}`, "v: must be a string or an integer."},
		{"an Int", "$v: Int", `{"v": -2147483648}`, ""},
		{"too large an Int", "$v: Int", `{"v": 2147483648}`, "v: must be an integer of 32 bits."},
		{"a fraction is no Int", "$v: Int", `{"v": 1.5}`, "v: must be an integer of 32 bits."},
		{"a string is no Int", "$v: Int", `{"v": "5"}`, "v: must be an integer of 32 bits."},
		{"a Float", "$v: Float", `{"v": 1.5e3}`, ""},
		{"a Float that is an integer", "$v: Float", `{"v": 5}`, ""},
		{"a string is no Float", "$v: Float", `{"v": "1.5"}`, "v: must be a number."},
		{"infinity is no Float", "$v: Float", `{"v": 1e999}`, "v: must be a number."},
		{"a Boolean", "$v: Boolean", `{"v": true}`, ""},
		{"a string is no Boolean", "$v: Boolean", `{"v": "true"}`, "v: must be true or false."},
		{"1 is no Boolean", "$v: Boolean", `{"v": 1}`, "v: must be true or false."},
		{"an enum value", "$v: Color", `{"v": "RED"}`, ""},
		{"an enum value in another case", "$v: Color", `{"v": "red"}`, "v: must be a value of Color."},
		{"a number is no enum value", "$v: Color", `{"v": 0}`, "v: must be a value of Color."},
		{"anything", "$v: Anything", `{"v": {"a": [1, "x", null]}}`, ""},
		{"a list", "$v: [Int!]", `{"v": [1, 2]}`, ""},
		{"an element alone", "$v: [Int!]", `{"v": 1}`, ""},
		{"an element that is none", "$v: [Int!]", `{"v": [1, "2"]}`, "v[1]: must be an integer of 32 bits."},
		{"null in a list", "$v: [Int!]", `{"v": [null]}`, "v[0]: must not be null."},
		{"null in a list of anything", "$v: [Int]", `{"v": [null]}`, ""},
		{"a list of lists", "$v: [[Int]]", `{"v": [[1], 2]}`, ""},
		{"an object", "$v: Filter", `{"v": {"color": "RED", "limit": 3, "any": 1, "__typename": "Filter"}}`, ""},
		{"a member that nobody knows", "$v: Filter", `{"v": {"secret": 3}}`, "v: has a member that Filter has not."},
		{"a member of a member", "$v: Filter", `{"v": {"inner": [{"limit": 1}, {"limit": "1"}]}}`, "v.inner[1].limit: must be an integer of 32 bits."},
		{"a member with a default is null", "$v: Filter", `{"v": {"limit": null}}`, "v.limit: must not be null."},
		{"a member is missing", "$v: Rename", `{"v": {"id": 7}}`, "v.title: is required."},
		{"a string is no object", "$v: Rename", `{"v": "x"}`, "v: must be an object."},
		{"a list is no object", "$v: Rename", `{"v": [{"title": "x"}]}`, "v: must be an object."},
		{"what was not declared", "$v: Int", `{"w": "x"}`, ""},
	}
	schema := newSchema(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, err := parser.ParseQuery(&ast.Source{Input: "query(" + test.declared + ") { me { id } }"})
			if err != nil {
				t.Fatal(err)
			}
			var values map[string]any
			decoder := json.NewDecoder(strings.NewReader(test.variables))
			decoder.UseNumber()
			if err := decoder.Decode(&values); err != nil {
				t.Fatal(err)
			}
			got := ""
			if problem := document.CheckVariables(schema, d.Operations[0], values); problem != nil {
				got = problem.Error()
			}
			if want := strings.TrimSuffix("Variable $"+test.want, "Variable $"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
