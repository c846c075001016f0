package plan

import (
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// conditions are the directives that decide whether a selection is in the
// operation, as their variables stand.
type conditions map[string]any

// hold reports whether @skip and @include leave the selection in (GraphQL,
// section 3.13).
func (c conditions) hold(directives ast.DirectiveList) bool {
	return !c.is(directives, "skip", false) && c.is(directives, "include", true)
}

func (c conditions) is(directives ast.DirectiveList, name string, absent bool) bool {
	directive := directives.ForName(name)
	if directive == nil {
		return absent
	}
	value, _ := directive.Arguments.ForName("if").Value.Value(c)
	set, _ := value.(bool)
	return set
}

// collected is a field of the response: its first appearance in the operation,
// and what all of its appearances select.
type collected struct {
	*ast.Field
	selections ast.SelectionSet
}

// collector collects the fields that a selection has for an object of one type
// (GraphQL, section 6.3.2).
type collector struct {
	schema     *ast.Schema
	conditions conditions
}

func (c collector) fields(of *ast.Definition, set ast.SelectionSet) []collected {
	var fields []collected
	c.into(&fields, of, set, map[string]bool{})
	return fields
}

func (c collector) into(fields *[]collected, of *ast.Definition, set ast.SelectionSet, visited map[string]bool) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if c.conditions.hold(s.Directives) {
				add(fields, s)
			}
		case *ast.InlineFragment:
			if c.conditions.hold(s.Directives) && c.applies(s.TypeCondition, of) {
				c.into(fields, of, s.SelectionSet, visited)
			}
		case *ast.FragmentSpread:
			if visited[s.Name] || !c.conditions.hold(s.Directives) {
				continue
			}
			visited[s.Name] = true
			if c.applies(s.Definition.TypeCondition, of) {
				c.into(fields, of, s.Definition.SelectionSet, visited)
			}
		}
	}
}

func add(fields *[]collected, f *ast.Field) {
	i := slices.IndexFunc(*fields, func(other collected) bool { return other.Alias == f.Alias })
	if i < 0 {
		*fields = append(*fields, collected{Field: f, selections: slices.Clone(f.SelectionSet)})
		return
	}
	(*fields)[i].selections = append((*fields)[i].selections, f.SelectionSet...)
}

// applies reports whether a fragment on the named type is about objects of that
// one; a fragment without a type is.
func (c collector) applies(condition string, of *ast.Definition) bool {
	return condition == "" || condition == of.Name ||
		slices.Contains(c.schema.GetPossibleTypes(c.schema.Types[condition]), of)
}

// Conditions returns the names of the variables that decide what is in the
// operation, in the order of their appearance.
func Conditions(operation *ast.OperationDefinition) []string {
	var names []string
	visited := map[string]bool{}
	var search func(ast.SelectionSet)
	read := func(directives ast.DirectiveList) {
		for _, d := range directives {
			if d.Name != "skip" && d.Name != "include" {
				continue
			}
			if value := d.Arguments.ForName("if").Value; value.Kind == ast.Variable && !slices.Contains(names, value.Raw) {
				names = append(names, value.Raw)
			}
		}
	}
	search = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				read(s.Directives)
				search(s.SelectionSet)
			case *ast.InlineFragment:
				read(s.Directives)
				search(s.SelectionSet)
			case *ast.FragmentSpread:
				read(s.Directives)
				if !visited[s.Name] {
					visited[s.Name] = true
					search(s.Definition.SelectionSet)
				}
			}
		}
	}
	search(operation.SelectionSet)
	return names
}
