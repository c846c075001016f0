package plan

import (
	"reflect"

	"github.com/vektah/gqlparser/v2/ast"
)

// InputError means that an argument has a value that is too long to be sent to Galaxy.
// Whatever else Galaxy would refuse, and with it the whole document, package document
// has let nobody in with.
type InputError struct {
	Argument string
}

// Error implements error.
func (e *InputError) Error() string { return "argument " + e.Argument + " is too long" }

// input is a value of that type as Galaxy is to be sent it. It is coerced already
// (GraphQL, section 6.1.2), but for lists of one and what a client may send along.
func input(schema *ast.Schema, t *ast.Type, value any) any {
	switch {
	case value == nil:
		return nil
	case t.Elem != nil:
		return inputList(schema, t, value)
	}
	if object, ok := value.(map[string]any); ok && schema.Types[t.NamedType].Kind == ast.InputObject {
		return inputObject(schema, schema.Types[t.NamedType], object)
	}
	return value
}

// inputList is also a list of one that is written without its brackets, and one of
// none, of which the parser makes nil.
func inputList(schema *ast.Schema, t *ast.Type, value any) any {
	elements := reflect.ValueOf(value)
	if elements.Kind() != reflect.Slice {
		elements = reflect.ValueOf([]any{value})
	}
	list := make([]any, elements.Len())
	for i := range list {
		list[i] = input(schema, t.Elem, elements.Index(i).Interface())
	}
	return list
}

func inputObject(schema *ast.Schema, of *ast.Definition, members map[string]any) any {
	object := make(map[string]any, len(members))
	for name, member := range members {
		if definition := of.Fields.ForName(name); definition != nil { // it is none of __typename
			object[name] = input(schema, definition.Type, member)
		}
	}
	return object
}
