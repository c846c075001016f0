package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// InputError means that an argument has a value that Galaxy would not take. Its
// refusal would be of the whole document.
type InputError struct {
	Argument string
	// Problem says what the value is not.
	Problem string
}

// Error implements error.
func (e *InputError) Error() string { return "argument " + e.Argument + " " + e.Problem }

// input is a value of that type as Galaxy is to be sent it (GraphQL, section 6.1.2).
// The parser has seen to the rest of what makes it valid.
func input(schema *ast.Schema, t *ast.Type, value any) (any, error) {
	switch {
	case value == nil:
		return nil, nil //nolint:nilnil // null is a value
	case t.Elem != nil:
		return inputList(schema, t, value)
	case schema.Types[t.NamedType].Kind == ast.InputObject:
		return inputObject(schema, schema.Types[t.NamedType], value)
	}
	if _, isNumber := value.(json.Number); isNumber && t.NamedType == "String" {
		return nil, errors.New("is no String")
	}
	if t.NamedType == "Int" {
		i, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
		if err != nil || i < math.MinInt32 || i > math.MaxInt32 {
			return nil, errors.New("is no Int")
		}
	}
	return value, nil
}

// inputList is also a list of one that is written without its brackets, and one of
// none, of which the parser makes nil.
func inputList(schema *ast.Schema, t *ast.Type, value any) (any, error) {
	elements := reflect.ValueOf(value)
	if elements.Kind() != reflect.Slice {
		elements = reflect.ValueOf([]any{value})
	}
	list := make([]any, elements.Len())
	for i := range list {
		var err error
		if list[i], err = input(schema, t.Elem, elements.Index(i).Interface()); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func inputObject(schema *ast.Schema, of *ast.Definition, value any) (any, error) {
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is no " + of.Name)
	}
	object := make(map[string]any, len(fields))
	for name, field := range fields {
		definition := of.Fields.ForName(name)
		if definition == nil {
			continue // __typename, which a client may send along
		}
		var err error
		if object[name], err = input(schema, definition.Type, field); err != nil {
			return nil, fmt.Errorf("has a %s that %w", name, err)
		}
	}
	return object, nil
}
