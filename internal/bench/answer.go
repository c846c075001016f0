package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// answer executes the query against Galaxy's data and returns the response, in
// which each field of Query has about that many bytes. Arguments, variables and
// directives have no effect.
func answer(query string, perField int) ([]byte, error) {
	document, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		return nil, err
	}
	if len(document.Operations) != 1 {
		return nil, fmt.Errorf("%d operations", len(document.Operations))
	}
	w := writer{document: document}
	w.WriteString(`{"data":{`)
	for i, f := range w.collect("Query", document.Operations[0].SelectionSet) {
		value, err := w.sized(f, perField)
		if err != nil {
			return nil, err
		}
		w.member(i, f.key)
		w.Write(value)
	}
	w.WriteString("}}")
	return w.Bytes(), nil
}

// writer writes what a document selects, in its order.
type writer struct {
	bytes.Buffer
	document *ast.QueryDocument
}

// field is what is selected under one key of the response.
type field struct {
	key, name string
	set       ast.SelectionSet
}

// collect returns the selected fields of an object of that type, those of one key
// merged.
func (w *writer) collect(typename string, set ast.SelectionSet) []*field {
	var fields []*field
	byKey := make(map[string]*field)
	var add func(ast.SelectionSet)
	add = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				if byKey[s.Alias] == nil {
					byKey[s.Alias] = &field{key: s.Alias, name: s.Name}
					fields = append(fields, byKey[s.Alias])
				}
				byKey[s.Alias].set = append(byKey[s.Alias].set, s.SelectionSet...)
			case *ast.InlineFragment:
				if s.TypeCondition == "" || s.TypeCondition == typename {
					add(s.SelectionSet)
				}
			case *ast.FragmentSpread:
				if d := w.document.Fragments.ForName(s.Name); d != nil && d.TypeCondition == typename {
					add(d.SelectionSet)
				}
			}
		}
	}
	add(set)
	return fields
}

// sized returns the field's value in about that many bytes: with as many items in
// its lists as that takes, or else with a longer text.
func (w *writer) sized(f *field, size int) ([]byte, error) {
	if f.name == "__typename" {
		return []byte(`"Query"`), nil
	}
	write := func(s shape) ([]byte, error) {
		value, ok := galaxy(f.name, s)
		if !ok {
			return nil, fmt.Errorf("the stub has no Query.%s", f.name)
		}
		each := writer{document: w.document}
		err := each.value(value, f.set)
		return each.Bytes(), err
	}
	one, err := write(shape{items: 1})
	if err != nil {
		return nil, err
	}
	two, err := write(shape{items: 2})
	if err != nil {
		return nil, err
	}
	if item := len(two) - len(one); item > 0 {
		return write(shape{items: 1 + max(size-len(one), 0)/item})
	}
	return write(shape{items: 1, padding: max(size-len(one), 0)})
}

// value writes an object, a list of objects, or a scalar.
func (w *writer) value(v any, set ast.SelectionSet) error {
	switch v := v.(type) {
	case object:
		return w.object(v, set)
	case []object:
		w.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := w.object(item, set); err != nil {
				return err
			}
		}
		w.WriteByte(']')
		return nil
	default:
		text, err := json.Marshal(v)
		w.Write(text)
		return err
	}
}

func (w *writer) object(o object, set ast.SelectionSet) error {
	w.WriteByte('{')
	for i, f := range w.collect(o.typename, set) {
		value, ok := o.fields[f.name]
		if f.name == "__typename" {
			value, ok = o.typename, true
		}
		if !ok {
			return fmt.Errorf("the stub has no %s.%s", o.typename, f.name)
		}
		w.member(i, f.key)
		if err := w.value(value, f.set); err != nil {
			return err
		}
	}
	w.WriteByte('}')
	return nil
}

// member begins the object's i-th member. A name of GraphQL needs no escape.
func (w *writer) member(i int, key string) {
	if i > 0 {
		w.WriteByte(',')
	}
	w.WriteString(`"` + key + `":`)
}
