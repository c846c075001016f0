package graph_test

import (
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/graph/generated"
)

// ours reports whether the definition is the project's, not the federation's.
func ours(position *ast.Position) bool {
	return position != nil && position.Src != nil && strings.HasSuffix(position.Src.Name, "schema.graphqls")
}

func TestEverythingInTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	described := 0
	check := func(name, description string) {
		described++
		if strings.TrimSpace(description) == "" {
			t.Errorf("%s has no description", name)
		}
	}
	arguments := func(name string, list ast.ArgumentDefinitionList) {
		for _, argument := range list {
			check(name+"("+argument.Name+")", argument.Description)
		}
	}
	for name, definition := range schema.Types {
		if !ours(definition.Position) {
			continue
		}
		check(name, definition.Description)
		for _, field := range definition.Fields {
			if strings.HasPrefix(field.Name, "_") {
				continue
			}
			check(name+"."+field.Name, field.Description)
			arguments(name+"."+field.Name, field.Arguments)
		}
		for _, value := range definition.EnumValues {
			check(name+"."+value.Name, value.Description)
		}
	}
	for name, directive := range schema.Directives {
		if ours(directive.Position) {
			check("@"+name, directive.Description)
			arguments("@"+name, directive.Arguments)
		}
	}
	if described < 150 {
		t.Errorf("looked at %d names only", described)
	}
}

func TestWhatIsNotPublicOfAUserIsTheViewersAlone(t *testing.T) {
	t.Parallel()
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for _, field := range schema.Types["User"].Fields {
		directives := field.Directives
		guarded := len(directives) > 0 && directives[len(directives)-1].Name == "viewerOnly"
		if public := field.Name == "id" || field.Name == "profile"; guarded == public {
			t.Errorf("User.%s: got @viewerOnly last %v, want %v", field.Name, guarded, !public)
		}
	}
}

func TestScopesSayWhatTheyUnlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(nobody(), "{ scopes { name description unlocks } }", nil)
	w.wantCodes(got)
	unlocks := make(map[string]string)
	for _, scope := range got.Data["scopes"].([]any) {
		s := scope.(map[string]any)
		if s["description"] == "" {
			t.Errorf("%v has no description", s["name"])
		}
		var fields []string
		for _, f := range s["unlocks"].([]any) {
			fields = append(fields, f.(string))
		}
		unlocks[s["name"].(string)] = strings.Join(fields, " ")
	}
	want := map[string]string{
		"openid":             "",
		"profile":            "User.name User.picture",
		"email":              "User.email",
		"connected_accounts": "Mutation.disconnectAccount Mutation.renameAccount User.connectedAccounts",
		"erc_4337":           "Mutation.registerSessionKey User.smartContractWallets",
	}
	for _, name := range allScopes() {
		if got, ok := unlocks[name]; !ok || got != want[name] {
			t.Errorf("%s: got %q, want %q", name, got, want[name])
		}
	}
	for _, definition := range generated.NewExecutableSchema(generated.Config{}).Schema().Types {
		for _, field := range definition.Fields {
			if d := field.Directives.ForName("consent"); d != nil {
				for _, scope := range d.Arguments.ForName("scopes").Value.Children {
					if _, ok := want[scope.Value.Raw]; !ok {
						t.Errorf("%s.%s needs %s, which is not known", definition.Name, field.Name, scope.Value.Raw)
					}
				}
			}
		}
	}
}
