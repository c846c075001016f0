package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"pgregory.net/rapid"

	"galaxygate/internal/devrollup"
)

// writer makes up an operation, with its variables. What it writes is mostly valid:
// a field under the same name in the response always has the same arguments, so that
// selections that overlap can be merged.
type writer struct {
	t         *rapid.T
	schema    *ast.Schema
	sessionID string

	fields    map[string]string // by "Type.name in the response field": with its arguments
	variables []string          // their definitions
	values    map[string]any
	fragments map[string][]string // names of fragments, by their type
	bodies    []string            // their definitions
	left      int                 // how many fields may still be written
}

// drawOperation makes up an operation of the schema's.
func drawOperation(t *rapid.T, schema *ast.Schema, sessionID string) (document string, variables map[string]any) {
	w := &writer{
		t: t, schema: schema, sessionID: sessionID, left: rapid.IntRange(12, 60).Draw(t, "size"),
		fields: map[string]string{}, values: map[string]any{}, fragments: map[string][]string{},
	}
	body := "{ viewer " + w.selection(schema.Types["User"], 1) + strings.TrimPrefix(w.selection(schema.Query, 0), "{")
	head := "query"
	if len(w.variables) > 0 {
		head += "(" + strings.Join(w.variables, ", ") + ")"
	}
	return head + " " + body + "\n" + strings.Join(w.bodies, "\n"), w.values
}

// fieldsOf are the fields that are written: those that the reference has.
func fieldsOf(typename string) []string {
	switch typename {
	case "Query":
		return []string{"viewer", "viewer", "viewer", "viewer", "viewer", "session", "node", "node"}
	case "User":
		return []string{
			"id", "profile", "profile", "email", "name", "picture", "connectedAccounts", "connectedAccounts", "connectedAccounts",
			"smartContractWallets", "authorizedApps", "appData", "authorization", "sessions", "galaxy", "galaxy", "galaxy", "galaxy",
		}
	case "Session":
		return []string{"id", "current", "kind", "user"}
	case "SessionConnection":
		return []string{"totalCount", "nodes", "edges"}
	case "SessionEdge", "ConnectedAccountEdge":
		return []string{"node"}
	case "ConnectedAccountConnection":
		return []string{"totalCount", "nodes", "nodes", "edges", "edges", "pageInfo"}
	case "ConnectedAccount":
		return []string{"id", "type", "rawType", "identifier", "title", "title", "icon", "icon"}
	case "PageInfo":
		return []string{"hasNextPage", "hasPreviousPage"}
	case "Authorization":
		return []string{"status", "scopes"}
	case "AuthorizedApp":
		return []string{"clientId", "title", "icon"}
	case "Node":
		return []string{"id"}
	}
	return nil // all
}

func (w *writer) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(w.t, label)
}

func (w *writer) chance(of int, label string) bool {
	numbers := make([]bool, of) // of which rapid picks each as often
	numbers[of-1] = true
	return rapid.SampledFrom(numbers).Draw(w.t, label)
}

// selection is what is selected of an object of that type.
func (w *writer) selection(of *ast.Definition, depth int) string {
	var parts []string
	for range rapid.SampledFrom([]int{1, 2, 2, 3, 3, 4, 5}).Draw(w.t, "fields") {
		switch {
		case w.chance(6, "inline fragment"):
			on := w.condition(of)
			head := "..."
			if on != of || w.chance(2, "with its type") {
				head += " on " + on.Name
			}
			parts = append(parts, head+w.directives()+" "+w.selection(on, depth+1))
		case w.chance(7, "fragment"):
			on := w.condition(of)
			parts = append(parts, "..."+w.fragment(on, depth)+w.directives())
		default:
			parts = append(parts, w.field(of, depth))
		}
	}
	return "{ " + strings.Join(parts, " ") + " }"
}

// condition is a type that a fragment within an object of that type may be on.
func (w *writer) condition(of *ast.Definition) *ast.Definition {
	names := []string{of.Name}
	if of.IsAbstractType() {
		for _, possible := range w.schema.GetPossibleTypes(of) {
			names = append(names, possible.Name, possible.Name)
		}
	}
	names = append(names, of.Interfaces...)
	return w.schema.Types[w.pick("on", names...)]
}

// fragment is the name of a fragment on that type, an old one or a new one.
func (w *writer) fragment(on *ast.Definition, depth int) string {
	if known := w.fragments[on.Name]; len(known) > 0 && w.chance(2, "known fragment") {
		return w.pick("fragment name", known...)
	}
	body := w.selection(on, depth+1)
	name := fmt.Sprintf("F%d", len(w.bodies))
	w.bodies = append(w.bodies, "fragment "+name+" on "+on.Name+" "+body)
	w.fragments[on.Name] = append(w.fragments[on.Name], name) // now: it must not spread itself
	return name
}

func (w *writer) field(of *ast.Definition, depth int) string {
	names := fieldsOf(of.Name)
	if names == nil {
		for _, f := range of.Fields {
			names = append(names, f.Name)
		}
	}
	w.left--
	if depth > 9 || w.left < 0 || of.Kind == ast.Union {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return !w.schema.Types[of.Fields.ForName(name).Type.Name()].IsLeafType()
		})
	}
	if len(names) == 0 || w.chance(9, "__typename") {
		return w.pick("typename", "__typename", "t: __typename") + w.directives()
	}
	definition := of.Fields.ForName(w.pick("field", names...))
	alias := definition.Name + w.pick("alias", "", "", "A", "B")
	if w.chance(40, "alias of ours") {
		alias = "q0"
	}
	key := of.Name + "." + alias + " " + definition.Name
	if _, ok := w.fields[key]; !ok {
		head := alias + ": " + definition.Name
		if alias == definition.Name {
			head = alias
		}
		w.fields[key] = head + w.arguments(definition)
	}
	text := w.fields[key] + w.directives()
	if result := w.schema.Types[definition.Type.Name()]; !result.IsLeafType() {
		text += " " + w.selection(result, depth+1)
	}
	return text
}

// directives are @skip and @include, now and then.
func (w *writer) directives() string {
	text := ""
	for _, name := range []string{"skip", "include"} {
		if !w.chance(12, name) {
			continue
		}
		condition := w.pick("condition", "true", "false", "$")
		if condition == "$" {
			condition = w.variable("Boolean!", w.chance(2, "set"))
		}
		text += " @" + name + "(if: " + condition + ")"
	}
	return text
}

// variable declares a variable of that type, which has that value, as given or by
// default.
func (w *writer) variable(of string, value any) string {
	name := fmt.Sprintf("v%d", len(w.variables))
	definition := "$" + name + ": " + of
	if value == nil || w.chance(2, "given") {
		w.values[name] = value
	} else {
		definition += " = " + literal(value)
	}
	w.variables = append(w.variables, definition)
	return "$" + name
}

// literal writes a value in a document; enums are strings that are all capitals.
func literal(value any) string {
	switch v := value.(type) {
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = literal(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		return fmt.Sprintf("{offset: %v, limit: %v}", v["offset"], v["limit"])
	case string:
		if v != "" && strings.ToUpper(v) == v {
			return v
		}
	}
	text, _ := json.Marshal(value)
	return string(text)
}

// arguments are those of a field, each a literal or a variable, or absent.
func (w *writer) arguments(f *ast.FieldDefinition) string {
	var parts []string
	for _, a := range f.Arguments {
		value, ok := w.argument(f.Name, a)
		if !ok {
			continue
		}
		text := literal(value)
		switch options, object := value.(map[string]any); {
		case object && w.chance(3, "variable within"):
			text = fmt.Sprintf("{limit: %s, offset: %v}", w.variable("Int!", options["limit"]), options["offset"])
		case w.chance(2, "variable"):
			text = w.variable(a.Type.String(), value)
		}
		parts = append(parts, a.Name+": "+text)
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// The accounts that are asked about: what is beyond them does not exist.
const (
	aliceEth    = "urn:rollupid:account/0x1a00000000000000000000000000000000000001"
	aliceMail   = "urn:rollupid:account/0x1a00000000000000000000000000000000000002"
	aliceGitHub = "urn:rollupid:account/0x1a00000000000000000000000000000000000003"
	bobEth      = "urn:rollupid:account/0xb000000000000000000000000000000000000002"
	noAccount   = "urn:rollupid:account/0x0"
)

func (w *writer) argument(field string, a *ast.ArgumentDefinition) (value any, given bool) {
	urns := func(label string) string {
		if w.chance(40, "unknown account") { // it takes all the rest with it
			return noAccount
		}
		return w.pick(label, aliceEth, aliceGitHub, bobEth)
	}
	switch a.Name {
	case "targetIdentityURN":
		who := w.pick("who", "absent", "null", devrollup.AliceURN, devrollup.BobURN, "urn:rollupid:identity/0x0")
		if who == "null" {
			return nil, true
		}
		return who, who != "absent"
	case "id":
		return w.pick("node", devrollup.AliceURN, devrollup.BobURN, w.sessionID, aliceGitHub, aliceEth, aliceMail, hidden["alice@example.com"]), true
	case "provider":
		return "github", true
	case "alias":
		if w.chance(20, "unknown alias") {
			return "nobody", true
		}
		return "alice-example", true
	case "accountURN":
		return urns("account"), true
	case "accountURNList":
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(w.t, "accounts") {
			list = append(list, urns("account"))
		}
		return list, !w.chance(4, "no accounts")
	case "clientId":
		return w.pick("client", "app", "ticket-booth", "recipe-box", "no-such-app"), true
	case "opts":
		return map[string]any{"offset": rapid.IntRange(0, 2).Draw(w.t, "offset"), "limit": rapid.IntRange(0, 2).Draw(w.t, "limit")}, true
	case "first":
		return rapid.IntRange(1, 4).Draw(w.t, "first"), field == "connectedAccounts" && w.chance(3, "some")
	case "types":
		types := []any{}
		for range rapid.IntRange(1, 3).Draw(w.t, "types") {
			types = append(types, w.pick("type", "ETH", "EMAIL", "GITHUB", "GOOGLE"))
		}
		return types, w.chance(4, "some types")
	}
	return nil, false
}
