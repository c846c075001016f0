package document

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// VariableError says what is wrong with a variable. It never quotes a value.
type VariableError struct {
	// Variable is the way to the value: the variable's name and the members and
	// indices within it, as in "input.titles[3]".
	Variable string
	// Problem is a sentence's end, as in "must be a string".
	Problem string
}

// Error implements error.
func (e *VariableError) Error() string { return "Variable $" + e.Variable + ": " + e.Problem + "." }

// CheckVariables returns nil where each of the operation's variables has a value of its
// type in JSON, strictly (GraphQL, sections 3.5 and 6.1.2): a String is a string, an ID
// is a string or an integer, an Int an integer of 32 bits, an enum the name of one of
// its values. Custom scalars are anything. Numbers are json.Number. What no variable
// of the operation's is called is ignored.
func CheckVariables(schema *ast.Schema, operation *ast.OperationDefinition, values map[string]any) *VariableError {
	for _, v := range operation.VariableDefinitions {
		value, given := values[v.Variable]
		var problem *VariableError
		switch {
		case given:
			problem = check(schema, v.Type, value)
		case v.DefaultValue == nil && v.Type.NonNull:
			problem = wrong("is required")
		}
		if problem != nil {
			problem.Variable = v.Variable + problem.Variable
			return problem
		}
	}
	return nil
}

func wrong(problem string) *VariableError { return &VariableError{Problem: problem} }

// within puts a step before the way of an error, if there is one.
func within(step string, e *VariableError) *VariableError {
	if e != nil {
		e.Variable = step + e.Variable
	}
	return e
}

func check(schema *ast.Schema, t *ast.Type, value any) *VariableError {
	switch {
	case value == nil && t.NonNull:
		return wrong("must not be null")
	case value == nil:
		return nil
	case t.Elem != nil:
		return checkList(schema, t.Elem, value)
	}
	definition := schema.Types[t.NamedType]
	switch definition.Kind {
	case ast.InputObject:
		return checkObject(schema, definition, value)
	case ast.Enum:
		name, ok := value.(string)
		if !ok || definition.EnumValues.ForName(name) == nil {
			return wrong("must be a value of " + definition.Name)
		}
		return nil
	default:
		return checkScalar(definition.Name, value)
	}
}

// checkList is also for a list of one that is written without its brackets.
func checkList(schema *ast.Schema, element *ast.Type, value any) *VariableError {
	list, ok := value.([]any)
	if !ok {
		return check(schema, element, value)
	}
	for i, v := range list {
		if problem := check(schema, element, v); problem != nil {
			return within("["+strconv.Itoa(i)+"]", problem)
		}
	}
	return nil
}

func checkObject(schema *ast.Schema, of *ast.Definition, value any) *VariableError {
	object, ok := value.(map[string]any)
	if !ok {
		return wrong("must be an object")
	}
	known := 0
	for _, member := range of.Fields {
		v, given := object[member.Name]
		if given {
			known++
			if problem := check(schema, member.Type, v); problem != nil {
				return within("."+member.Name, problem)
			}
		} else if member.Type.NonNull && member.DefaultValue == nil {
			return within("."+member.Name, wrong("is required"))
		}
	}
	if _, given := object["__typename"]; given {
		known++ // a client may send along what it was answered
	}
	if known < len(object) {
		return wrong("has a member that " + of.Name + " has not")
	}
	return nil
}

func checkScalar(name string, value any) *VariableError {
	number, isNumber := value.(json.Number)
	_, isText := value.(string)
	switch name {
	case "String":
		if !isText {
			return wrong("must be a string")
		}
	case "ID":
		if !isText && (!isNumber || !isInteger(number.String())) {
			return wrong("must be a string or an integer")
		}
	case "Int":
		if !isNumber || !isInt32(number.String()) {
			return wrong("must be an integer of 32 bits")
		}
	case "Float":
		f, err := number.Float64()
		if !isNumber || err != nil || math.IsInf(f, 0) {
			return wrong("must be a number")
		}
	case "Boolean":
		if _, ok := value.(bool); !ok {
			return wrong("must be true or false")
		}
	}
	return nil // a custom scalar reads its own values
}

func isInt32(text string) bool {
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil
}

func isInteger(number string) bool { return !strings.ContainsAny(number, ".eE") }

// listLength returns how many elements a list has that was coerced; what is none is a
// list of one.
func listLength(value any) int64 {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Slice {
		return int64(v.Len())
	}
	return 1
}
