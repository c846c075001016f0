package plan

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
)

// errForm means that an answer is not what the schema says.
var errForm = errors.New("the answer has an unexpected form")

// shape is what the schema and the selection say of a value in an answer, and how
// it is written for the client.
type shape struct {
	nonNull  bool
	elem     *shape             // of a list
	object   *object            // of an object
	variants map[string]*object // of an object of one of several types, by Galaxy's name of it
	leaf     leaf               // of anything else
}

// object is what the client sees of an object, in its order.
type object struct {
	fields []objectField
}

type objectField struct {
	name  string // in the response
	fixed string // the value, where it is known already
	shape *shape
}

// leaf is which JSON values a scalar or an enum may have.
type leaf byte

const (
	anything leaf = iota
	text
	integer
	number
	boolean
	identifier
)

func leafOf(definition *ast.Definition) leaf {
	switch {
	case definition.Kind == ast.Enum, definition.Name == "String":
		return text
	case definition.Name == "Int":
		return integer
	case definition.Name == "Float":
		return number
	case definition.Name == "Boolean":
		return boolean
	case definition.Name == "ID":
		return identifier
	default:
		return anything
	}
}

func (l leaf) takes(value jsontext.Value) bool {
	switch kind := value.Kind(); l {
	case text:
		return kind == '"'
	case integer:
		return kind == '0' && !bytes.ContainsAny(value, ".eE")
	case number:
		return kind == '0'
	case boolean:
		return kind == 't' || kind == 'f'
	case identifier:
		return kind == '"' || kind == '0'
	default:
		return true
	}
}

// write reads a value and appends what the client sees of it. Its error wraps
// errForm where the value is not of the shape; the decoder may then stand within
// the value. Any other is that of reading.
func (s *shape) write(to []byte, from *jsontext.Decoder) ([]byte, error) {
	switch kind := from.PeekKind(); {
	case kind == 'n':
		if s.nonNull {
			return to, fmt.Errorf("%w: null where the schema has no null", errForm)
		}
		return append(to, "null"...), from.SkipValue()
	case s.elem != nil && kind == '[':
		return s.writeList(to, from)
	case s.object != nil && kind == '{':
		if _, err := from.ReadToken(); err != nil {
			return to, err
		}
		return s.object.write(members{}, to, from)
	case s.variants != nil && kind == '{':
		return s.writeVariant(to, from)
	case s.elem != nil || s.object != nil || s.variants != nil:
		return to, fmt.Errorf("%w: another kind of value than in the schema", errForm)
	}
	value, err := from.ReadValue()
	if err != nil {
		return to, err
	}
	if !s.leaf.takes(value) {
		return to, fmt.Errorf("%w: another kind of scalar than in the schema", errForm)
	}
	return append(to, value...), nil
}

func (s *shape) writeList(to []byte, from *jsontext.Decoder) ([]byte, error) {
	if _, err := from.ReadToken(); err != nil {
		return to, err
	}
	to = append(to, '[')
	for first := true; from.PeekKind() != ']'; first = false {
		if !first {
			to = append(to, ',')
		}
		var err error
		if to, err = s.elem.write(to, from); err != nil {
			return to, err
		}
	}
	_, err := from.ReadToken()
	return append(to, ']'), err
}

// writeVariant writes an object whose member __typename, which is asked for first,
// says of which type it is; null for one of a type that is not known here.
func (s *shape) writeVariant(to []byte, from *jsontext.Decoder) ([]byte, error) {
	if _, err := from.ReadToken(); err != nil {
		return to, err
	}
	early := members{}
	for from.PeekKind() == '"' {
		name, err := from.ReadValue()
		if err != nil {
			return to, err
		}
		if isName(name, "__typename") {
			return s.writeVariantOf(early, to, from)
		}
		if err := early.keep(name, from); err != nil {
			return to, err
		}
	}
	return to, fmt.Errorf("%w: an object without its type", errForm)
}

// writeVariantOf writes the object whose type comes next.
func (s *shape) writeVariantOf(early members, to []byte, from *jsontext.Decoder) ([]byte, error) {
	typename, err := from.ReadToken()
	if err != nil {
		return to, err
	}
	if typename.Kind() != '"' {
		return to, fmt.Errorf("%w: a type without a name", errForm)
	}
	if variant, ok := s.variants[typename.String()]; ok {
		return variant.write(early, to, from)
	}
	if s.nonNull {
		return to, fmt.Errorf("%w: a type that is not in the schema", errForm)
	}
	return append(to, "null"...), leave(from, from.StackDepth()-1)
}

// leave reads on until that many objects and lists are open.
func leave(from *jsontext.Decoder, depth int) error {
	for from.StackDepth() > depth {
		if _, err := from.ReadToken(); err != nil {
			return err
		}
	}
	return nil
}

// write writes the rest of an object, some of whose members have been read already.
// GraphQL servers answer in the order of the selection (GraphQL, section 7.2.2), so
// that each member is written as it is read; what comes too early is kept until it
// is due.
func (o *object) write(early members, to []byte, from *jsontext.Decoder) ([]byte, error) {
	w := objectWriter{object: o, kept: early, to: append(to, '{')}
	for from.PeekKind() == '"' {
		name, err := from.ReadValue()
		if err != nil {
			return w.to, err
		}
		if err := w.member(name, from); err != nil {
			return w.to, err
		}
	}
	if _, err := from.ReadToken(); err != nil {
		return w.to, err
	}
	if err := w.early(); err != nil {
		return w.to, err
	}
	if w.next < len(o.fields) {
		return w.to, fmt.Errorf("%w: a field is missing", errForm)
	}
	return append(w.to, '}'), nil
}

type objectWriter struct {
	*object

	to   []byte
	next int     // the index of the field that is due
	kept members // what came before it was due
}

// members are those of an object, by their names as they came, without the quotes.
type members map[string]jsontext.Value

// keep keeps the member of that name, whose value comes next.
func (m members) keep(name jsontext.Value, from *jsontext.Decoder) error {
	key := string(bytes.Trim(name, `"`)) // before the next reading
	value, err := from.ReadValue()
	if err == nil {
		m[key] = value.Clone()
	}
	return err
}

// label writes what goes before a field's value.
func (w *objectWriter) label(f *objectField) {
	if w.next > 0 {
		w.to = append(w.to, ',')
	}
	w.to = append(w.to, '"')
	w.to = append(w.to, f.name...) // a GraphQL name needs no escape
	w.to = append(w.to, `":`...)
}

// skipFixed writes the fields that are due and need no answer.
func (w *objectWriter) skipFixed() {
	for ; w.next < len(w.fields) && w.fields[w.next].shape == nil; w.next++ {
		f := &w.fields[w.next]
		w.label(f)
		w.to = append(w.to, f.fixed...)
	}
}

func (w *objectWriter) member(name jsontext.Value, from *jsontext.Decoder) (err error) {
	w.skipFixed()
	if w.next < len(w.fields) && isName(name, w.fields[w.next].name) {
		f := &w.fields[w.next]
		w.label(f)
		w.to, err = f.shape.write(w.to, from)
		w.next++
		return err
	}
	return w.kept.keep(name, from)
}

// isName reports whether the JSON string is the name, which needs no escape.
func isName(value jsontext.Value, name string) bool {
	return len(value) == len(name)+2 && string(value[1:len(value)-1]) == name
}

// early writes the fields that came before they were due.
func (w *objectWriter) early() error {
	for w.skipFixed(); w.next < len(w.fields); w.skipFixed() {
		f := &w.fields[w.next]
		value, ok := w.kept[f.name]
		if !ok {
			return nil
		}
		w.label(f)
		var err error
		if w.to, err = f.shape.write(w.to, newDecoder(value)); err != nil {
			return err
		}
		w.next++
	}
	return nil
}
