package plan

import (
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// writer writes a Field. What it writes is put between quotes in JSON as it is:
// names, punctuation, and no literal.
type writer struct {
	text       strings.Builder // what Galaxy is asked
	key        strings.Builder // what the client asks
	parameters strings.Builder
	arguments  []argument
}

// both writes what is the same for Galaxy and for the client.
func (w *writer) both(text string) {
	w.text.WriteString(text)
	w.key.WriteString(text)
}

func (w *writer) argument(a argument, theirType string) {
	variable := "$" + mark + "_" + strconv.Itoa(len(w.arguments))
	w.both(a.name + ":" + variable)
	if len(w.arguments) > 0 {
		w.parameters.WriteByte(',')
	}
	w.parameters.WriteString(variable + ":" + theirType)
	w.arguments = append(w.arguments, a)
}

// field is what was written. An answer without a shape is not checked, and so never
// one that a client is handed.
func (w *writer) field(s *shape) *Field {
	if s == nil {
		w.key.WriteString(" decoded here")
	}
	return &Field{
		parameters: strings.Split(w.parameters.String(), mark),
		call:       strings.Split(w.text.String(), mark),
		arguments:  w.arguments,
		shape:      s,
		key:        w.key.String(),
	}
}

// mirror writes the arguments and the selection of a field as the client wrote
// them, and returns the shape of its answer.
func (w *writer) mirror(c collector, f collected) *shape {
	separator := "("
	for _, definition := range f.Definition.Arguments { // in one order, whichever the client wrote them in
		if f.Arguments.ForName(definition.Name) == nil && definition.DefaultValue == nil {
			continue
		}
		w.both(separator)
		w.argument(argument{f.Field, definition.Name, c.schema}, theirType(definition.Type))
		separator = ","
	}
	if separator == "," {
		w.both(")")
	}
	return w.selection(c, f.Definition.Type, f.selections)
}

// selection writes what is selected of a value of that type.
func (w *writer) selection(c collector, t *ast.Type, set ast.SelectionSet) *shape {
	if t.Elem != nil {
		return &shape{nonNull: t.NonNull, elem: w.selection(c, t.Elem, set)}
	}
	definition := c.schema.Types[t.NamedType]
	s := &shape{nonNull: t.NonNull}
	switch {
	case definition.IsLeafType():
		s.leaf = leafOf(definition)
	case definition.IsAbstractType():
		w.both("{")
		w.text.WriteString("__typename")
		s.variants = make(map[string]*object)
		for _, possible := range c.schema.GetPossibleTypes(definition) {
			w.both(" ...on " + theirs(possible.Name))
			s.variants[theirs(possible.Name)] = w.object(c, possible, set)
		}
		w.both("}")
	default:
		s.object = w.object(c, definition, set)
	}
	return s
}

// object writes what is selected of an object of that type, whose name Galaxy is
// not asked for: it has another one there.
func (w *writer) object(c collector, of *ast.Definition, set ast.SelectionSet) *object {
	o := &object{}
	separator := "{"
	for _, f := range c.fields(of, set) {
		if f.Name == "__typename" {
			w.key.WriteString(separator + f.Alias + ":__typename")
			o.fields = append(o.fields, objectField{name: f.Alias, fixed: strconv.Quote(of.Name)})
			continue
		}
		w.both(separator)
		separator = " "
		if f.Alias != f.Name {
			w.both(f.Alias + ":")
		}
		w.both(f.Name)
		o.fields = append(o.fields, objectField{name: f.Alias, shape: w.mirror(c, f)})
	}
	if separator == "{" { // Galaxy must be asked for something
		w.text.WriteString("{__typename")
	}
	w.both("}")
	return o
}

// prefix begins the names of Galaxy's types here.
const prefix = "Galaxy"

// theirs is Galaxy's name of the type.
func theirs(name string) string {
	if their := strings.TrimPrefix(name, prefix); their != "" {
		return their
	}
	return name
}

func theirType(t *ast.Type) string {
	text := theirs(t.NamedType)
	if t.Elem != nil {
		text = "[" + theirType(t.Elem) + "]"
	}
	if t.NonNull {
		text += "!"
	}
	return text
}
