package graph_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"

	"galaxygate/graph/generated"
)

// TestExamplesOfThePlaygroundAreValid wants what people are shown first to be what the
// schema allows, of everything that can be asked and changed.
func TestExamplesOfThePlaygroundAreValid(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "internal", "playground", "web", "examples")
	files, err := filepath.Glob(filepath.Join(folder, "*.graphql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	kinds := make(map[string]int)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s has no title", file)
		}
		document, errs := gqlparser.LoadQueryWithRules(schema, string(text), nil)
		if len(errs) > 0 {
			t.Errorf("%s: %v", file, errs)
			continue
		}
		for _, operation := range document.Operations {
			kinds[string(operation.Operation)]++
			if operation.Name == "" {
				t.Errorf("%s: an operation has no name, which its tab would have", file)
			}
		}
		variables, err := os.ReadFile(strings.TrimSuffix(file, ".graphql") + ".json")
		if err == nil && !json.Valid(variables) {
			t.Errorf("%s: the variables are no JSON", file)
		}
	}
	if kinds["query"] == 0 || kinds["mutation"] == 0 || kinds["subscription"] == 0 {
		t.Errorf("got %v", kinds)
	}
}
