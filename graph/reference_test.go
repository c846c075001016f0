package graph_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/internal/devrollup"
)

// reference executes an operation as GraphQL, section 6, says, over plain values
// and one field after the other. It shares no code with the planner. What it knows
// beyond the specification is how the gateway is to behave: whom a field is for,
// what was consented to, and what the failure of a field of Galaxy's takes along.
type reference struct {
	schema    *ast.Schema
	variables map[string]any
	people    []devrollup.Person
	caller    devrollup.Person
	scopes    []string
	sessionID string
	person    person
	appData   map[string]any // by identity URN
	url       string
	failing   []string // devrollup's FailingFields

	errors []string // "path code"
	// rootFailed says that a field of Galaxy's root failed that cannot be null. Then
	// Galaxy's data is null, and everything that was asked with it fails (lost).
	rootFailed, lost bool
	cards            bool // whether a title or an icon was selected
}

// refObject is an object: its fields, by name.
type refObject struct {
	typename string
	fields   map[string]refField
}

// refField returns nil, a value as in JSON, a *refObject or a []any, or a refError.
type refField func(arguments map[string]any, selected []refSelection) (any, error)

// refError is an error by its code.
type refError string

func (e refError) Error() string { return string(e) }

const upstreamError = refError("UPSTREAM_ERROR")

// refSelection is a field of the response, with all that is selected of it.
type refSelection struct {
	field *ast.Field
	sets  []ast.SelectionSet
}

// execute returns the data and the errors, ordered.
func (r *reference) execute(operation *ast.OperationDefinition) (any, []string) {
	run := func() any {
		r.errors = nil
		data, _ := r.object(r.query(), []ast.SelectionSet{operation.SelectionSet}, "")
		return data
	}
	data := run()
	if r.rootFailed {
		r.lost = true
		data = run()
	}
	slices.Sort(r.errors)
	return data, r.errors
}

func (r *reference) fail(path string, err error) {
	r.errors = append(r.errors, strings.TrimPrefix(path, ".")+" "+err.Error())
}

// collect is CollectFields (GraphQL, section 6.3.2).
func (r *reference) collect(typename string, sets []ast.SelectionSet) []refSelection {
	var fields []refSelection
	visited := map[string]bool{}
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				if !r.included(s.Directives) {
					continue
				}
				i := slices.IndexFunc(fields, func(f refSelection) bool { return f.field.Alias == s.Alias })
				if i < 0 {
					i, fields = len(fields), append(fields, refSelection{field: s})
				}
				fields[i].sets = append(fields[i].sets, s.SelectionSet)
			case *ast.InlineFragment:
				if r.included(s.Directives) && r.isA(typename, s.TypeCondition) {
					walk(s.SelectionSet)
				}
			case *ast.FragmentSpread:
				if r.included(s.Directives) && !visited[s.Name] {
					visited[s.Name] = true
					if r.isA(typename, s.Definition.TypeCondition) {
						walk(s.Definition.SelectionSet)
					}
				}
			}
		}
	}
	for _, set := range sets {
		walk(set)
	}
	return fields
}

func (r *reference) included(directives ast.DirectiveList) bool {
	for _, d := range directives {
		if set := d.ArgumentMap(r.variables)["if"] == true; d.Name == "skip" && set || d.Name == "include" && !set {
			return false
		}
	}
	return true
}

func (r *reference) isA(typename, condition string) bool {
	if condition == "" || condition == typename {
		return true
	}
	for _, possible := range r.schema.PossibleTypes[condition] {
		if possible.Name == typename {
			return true
		}
	}
	return false
}

// object is ExecuteSelectionSet; not ok where a field that cannot be null is.
func (r *reference) object(o *refObject, sets []ast.SelectionSet, path string) (data any, ok bool) {
	result, ok := map[string]any{}, true
	for _, s := range r.collect(o.typename, sets) {
		name, at := s.field.Name, path+"."+s.field.Alias
		if name == "__typename" {
			result[s.field.Alias] = o.typename
			continue
		}
		if o.typename == "ConnectedAccount" && (name == "title" || name == "icon") {
			r.cards = true
		}
		value, err := o.fields[name](s.field.ArgumentMap(r.variables), r.collect(s.field.Definition.Type.Name(), s.sets))
		if err != nil {
			r.fail(at, err)
		}
		completed, fine := r.complete(s.field.Definition.Type, value, s.sets, at)
		if !fine {
			ok = false
			r.rootFailed = r.rootFailed || o.typename == "GalaxyQuery"
		}
		result[s.field.Alias] = completed
	}
	if !ok {
		return nil, false
	}
	return result, true
}

// complete is CompleteValue; not ok where the value is null and must not be.
func (r *reference) complete(t *ast.Type, value any, sets []ast.SelectionSet, path string) (any, bool) {
	var completed any
	switch v := value.(type) {
	case nil:
	case *refObject:
		if data, ok := r.object(v, sets, path); ok {
			completed = data
		}
	case []any:
		if t.Elem == nil { // JSON
			completed = v
			break
		}
		list, whole := make([]any, len(v)), true
		for i := range v {
			fine := false
			list[i], fine = r.complete(t.Elem, v[i], sets, fmt.Sprint(path, ".", i))
			whole = whole && fine
		}
		if whole {
			completed = list
		}
	default:
		completed = v
	}
	return completed, completed != nil || !t.NonNull
}

// value is a field without arguments.
func value(v any) refField {
	return func(map[string]any, []refSelection) (any, error) { return v, nil }
}

// fallible is a field of Galaxy's that the switches may let fail by that name.
func (r *reference) fallible(name string, v any) refField {
	return func(map[string]any, []refSelection) (any, error) {
		if slices.Contains(r.failing, name) {
			return nil, upstreamError
		}
		return v, nil
	}
}

// root is a field that a field of Galaxy's root answers.
func (r *reference) root(name string, f refField) refField {
	return func(arguments map[string]any, selected []refSelection) (any, error) {
		if r.lost || slices.Contains(r.failing, name) {
			return nil, upstreamError
		}
		return f(arguments, selected)
	}
}

// list is a list of what make makes of each.
func list[T any](items []T, make func(T) any) []any {
	all := []any{}
	for _, item := range items {
		all = append(all, make(item))
	}
	return all
}
