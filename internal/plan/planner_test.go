package plan

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func TestPlansAreBoundedByWhatTheyTake(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	planner := New(schema)
	var fields strings.Builder
	for i := range 700 {
		fmt.Fprintf(&fields, " x%d: profile { displayName }", i)
	}
	var made int
	for i := range 40 {
		document := fmt.Sprintf("query Q%d($a: Boolean!, $b: Boolean!) { viewer { id @skip(if: $a) createdAt @skip(if: $b) %s } }", i, fields.String())
		parsed, errs := gqlparser.LoadQueryWithRules(schema, document, nil)
		if errs != nil {
			t.Fatal(errs)
		}
		for _, variables := range []map[string]any{{}, {"a": true}, {"b": true}, {"a": true, "b": true}} {
			made += planner.Plan(parsed.Operations[0], variables).weight()
		}
	}
	planner.operations.CleanUp()
	var kept int
	for _, o := range planner.operations.All() {
		for _, p := range o.plans {
			kept += p.weight()
		}
	}
	if made < maxWeight || kept == 0 || kept > maxWeight {
		t.Errorf("got %d bytes kept of %d, want some and at most %d", kept, made, maxWeight)
	}
}

func loadSchema(t *testing.T) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	const federation = `
		directive @link(url: String!, import: [String!]) repeatable on SCHEMA
		directive @shareable on OBJECT
		directive @inaccessible on FIELD_DEFINITION`
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: federation}, &ast.Source{Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
