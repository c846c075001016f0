package plan

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// mark stands in a Field's text where the alias goes that it has in a document.
const mark = "\x00"

// maxArgument is how long an argument of a client's may be, encoded. One variable
// may be the value of many.
const maxArgument = 16 << 10

// Field is a field of Galaxy's Query with a selection, written out but for its
// alias. Every argument in it is a variable, so that nothing that a client sent
// is ever part of the text.
type Field struct {
	parameters []string // "$‹alias›_0:String", without the marks
	call       []string // "profile(targetIdentityURN:$‹alias›_0){displayName}", likewise
	arguments  []argument
	shape      *shape // nil: the answer is not the client's, but decoded here
	key        string // the same for fields whose answers the client sees alike
}

// argument is where the value of a variable comes from: an argument of a field in
// the client's operation, or, without one, whoever asks.
type argument struct {
	of     *ast.Field
	name   string
	schema *ast.Schema // where the client's value is one of its types
}

// input is the argument's value as Galaxy is to be sent it.
func (a argument) input(value any) any {
	if a.of == nil {
		return value
	}
	return input(a.schema, a.of.Definition.Arguments.ForName(a.name).Type, value)
}

// Question is a Field with the values of its variables.
type Question struct {
	Field *Field
	// Key tells it from every other question.
	Key string

	values []json.RawMessage // nil: not given
}

// Accounts is the field that tells which accounts of the user's Galaxy shows.
func Accounts() *Field { return fixed("connectedAccounts", "", "", "baseUrn qc rc") }

// Cards is the field that tells how Galaxy shows accounts, with their URNs, a
// []string, for its variable, as far as it is wanted.
func Cards(title, icon bool) *Field {
	selection := "id"
	if title {
		selection += " title"
	}
	if icon {
		selection += " icon"
	}
	return fixed("accountProfiles", "accountURNList", "[String!]", selection)
}

// fixed is a field with one variable for one argument, and a selection in
// Galaxy's own words; a name and a type without the argument where it has none.
func fixed(name, parameter, parameterType, selection string) *Field {
	w := &writer{}
	w.both(name)
	if parameter != "" {
		w.both("(")
		w.argument(argument{name: parameter}, parameterType)
		w.both(")")
	}
	if selection != "" {
		w.both("{" + selection + "}")
	}
	return w.field(nil)
}

// With asks the field with these values for its variables, which are encoded as
// JSON.
func (f *Field) With(values ...any) (Question, error) {
	return f.question(func(i int, _ argument) (any, bool) {
		return values[i], true
	})
}

// ask asks the field within an operation with these variables; given is the value
// of the variable that the operation does not have.
func (f *Field) ask(given any, variables map[string]any) (Question, error) {
	var of *ast.Field
	var values map[string]any
	return f.question(func(_ int, a argument) (any, bool) {
		if a.of == nil {
			return given, true
		}
		if a.of != of {
			of, values = a.of, a.of.ArgumentMap(variables)
		}
		value, ok := values[a.name]
		return value, ok
	})
}

func (f *Field) question(value func(int, argument) (any, bool)) (Question, error) {
	q := Question{Field: f, Key: f.key}
	if len(f.arguments) == 0 {
		return q, nil
	}
	q.values = make([]json.RawMessage, len(f.arguments))
	key := []byte(f.key)
	for i, a := range f.arguments {
		key = append(key, mark...)
		v, ok := value(i, a)
		if !ok {
			continue
		}
		encoded, err := json.Marshal(a.input(v))
		if err != nil {
			return Question{}, fmt.Errorf("encode argument %s: %w", a.name, err)
		}
		if a.of != nil && len(encoded) > maxArgument {
			return Question{}, &InputError{a.name}
		}
		q.values[i], key = encoded, append(key, encoded...)
	}
	q.Key = string(key)
	return q, nil
}

// Request is the body of a request that asks the questions, each under the alias
// "q" and its index (GraphQL over HTTP, section 5.1).
func Request(questions []Question) []byte {
	body := append(make([]byte, 0, 1024), `{"query":"query`...)
	body = parenthesis(body, questions, func(body []byte, q Question, alias string) []byte {
		return join(body, q.Field.parameters, alias)
	})
	body = append(body, '{')
	for i, q := range questions {
		alias := alias(i)
		if i > 0 {
			body = append(body, ' ')
		}
		body = append(append(body, alias...), ':')
		body = join(body, q.Field.call, alias)
	}
	body = append(body, `}","variables":{`...)
	first := true
	for i, q := range questions {
		for j, value := range q.values {
			if value == nil {
				continue
			}
			if !first {
				body = append(body, ',')
			}
			first = false
			body = fmt.Appendf(body, `"%s_%d":`, alias(i), j)
			body = append(body, value...)
		}
	}
	return append(body, "}}"...)
}

// parenthesis writes the parameters of all questions, or nothing for none.
func parenthesis(body []byte, questions []Question, write func([]byte, Question, string) []byte) []byte {
	open := byte('(')
	for i, q := range questions {
		if len(q.Field.arguments) == 0 {
			continue
		}
		body = write(append(body, open), q, alias(i))
		open = ','
	}
	if open == ',' {
		body = append(body, ')')
	}
	return body
}

func alias(i int) string { return "q" + strconv.Itoa(i) }

func join(body []byte, parts []string, alias string) []byte {
	for i, part := range parts {
		if i > 0 {
			body = append(body, alias...)
		}
		body = append(body, part...)
	}
	return body
}
