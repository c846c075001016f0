package document

import (
	"encoding/binary"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// findConflict returns the error of two fields that have the same name in the
// response and are not the same there (GraphQL, section 5.3.2), if there are such in
// the valid document; not whole where that took too many steps to tell.
//
// The specification compares each pair of fields. But being of one shape, and being
// the same field, are equivalences: it is enough to compare each with the first of
// its name. The two are looked at by themselves, since fields of different objects,
// of which only one is ever in a response, may be different fields but not of
// different shapes.
func findConflict(schema *ast.Schema, d *ast.QueryDocument) (conflict *gqlerror.Error, whole bool) {
	m := merger{schema: schema, left: maxSteps, ids: make(map[*ast.Field]uint32), done: make(map[string]bool)}
	m.differ = m.shape
	m.operations(d.Operations)
	m.differ, m.byObject = m.field, true
	clear(m.done)
	m.operations(d.Operations)
	if m.left <= 0 {
		return nil, false // what seemed a conflict may be a comparison that was cut off
	}
	return m.conflict, true
}

type merger struct {
	schema *ast.Schema
	// differ says how two fields differ; empty: they do not.
	differ func(a, b *ast.Field) string
	// byObject says that fields of different objects are not compared.
	byObject bool

	left     int
	ids      map[*ast.Field]uint32
	done     map[string]bool // groups of fields whose selections were looked at
	conflict *gqlerror.Error
}

func (m *merger) operations(operations ast.OperationList) {
	for _, o := range operations {
		m.sets([]ast.SelectionSet{o.SelectionSet})
	}
}

// sets looks at selections that are of one object of the response.
func (m *merger) sets(sets []ast.SelectionSet) {
	c := collection{merger: m, fields: make(map[string][]*ast.Field), spread: make(map[string]bool)}
	for _, set := range sets {
		c.add(set)
	}
	for _, name := range c.names {
		for _, group := range m.comparable(c.fields[name]) {
			m.group(group)
		}
	}
}

// collection is the fields of an object by their names in the response, with
// fragments in place.
type collection struct {
	*merger

	names  []string
	fields map[string][]*ast.Field
	spread map[string]bool
}

func (c *collection) add(set ast.SelectionSet) {
	for _, selection := range set {
		if c.left--; c.left <= 0 {
			return
		}
		switch s := selection.(type) {
		case *ast.Field:
			if s.Name == "__typename" && !c.byObject {
				continue // no tool minds its shape, and the parser has another one for it
			}
			if len(c.fields[s.Alias]) == 0 {
				c.names = append(c.names, s.Alias)
			}
			c.fields[s.Alias] = append(c.fields[s.Alias], s)
		case *ast.InlineFragment:
			c.add(s.SelectionSet)
		case *ast.FragmentSpread:
			if !c.spread[s.Name] {
				c.spread[s.Name] = true
				c.add(s.Definition.SelectionSet)
			}
		}
	}
}

// comparable returns the groups of fields that can be in one response.
func (m *merger) comparable(fields []*ast.Field) [][]*ast.Field {
	if !m.byObject || len(fields) == 1 {
		return [][]*ast.Field{fields}
	}
	var objects []*ast.Definition
	groups := make(map[*ast.Definition][]*ast.Field)
	for _, f := range fields {
		if of := f.ObjectDefinition; of.Kind == ast.Object && groups[of] == nil {
			objects = append(objects, of)
			groups[of] = []*ast.Field{}
		}
	}
	if len(objects) == 0 {
		return [][]*ast.Field{fields}
	}
	for _, f := range fields {
		if f.ObjectDefinition.Kind == ast.Object {
			groups[f.ObjectDefinition] = append(groups[f.ObjectDefinition], f)
			continue
		}
		for _, of := range objects {
			groups[of] = append(groups[of], f)
		}
	}
	list := make([][]*ast.Field, len(objects))
	for i, of := range objects {
		list[i] = groups[of]
	}
	return list
}

// group looks at fields of one name.
func (m *merger) group(fields []*ast.Field) {
	if m.left -= len(fields); m.left <= 0 || m.conflict != nil || m.looked(fields) {
		return
	}
	sets := make([]ast.SelectionSet, 0, len(fields))
	for _, f := range fields {
		if how := m.differ(fields[0], f); how != "" {
			m.conflict = &gqlerror.Error{
				Message:   `The fields "` + f.Alias + `" cannot be one: they ` + how + ". Give one of them an alias.",
				Locations: []gqlerror.Location{place(fields[0].Position), place(f.Position)},
			}
			return
		}
		if len(f.SelectionSet) > 0 {
			sets = append(sets, f.SelectionSet)
		}
	}
	if len(sets) > 0 {
		m.sets(sets)
	}
}

func place(p *ast.Position) gqlerror.Location {
	return gqlerror.Location{Line: p.Line, Column: p.Column}
}

// looked reports whether the group was looked at before, by another way through the
// fragments.
func (m *merger) looked(fields []*ast.Field) bool {
	key := make([]byte, 0, 4*len(fields))
	for _, f := range fields {
		id, ok := m.ids[f]
		if !ok {
			id = uint32(len(m.ids)) //nolint:gosec // of one document
			m.ids[f] = id
		}
		key = binary.BigEndian.AppendUint32(key, id)
	}
	if m.done[string(key)] {
		return true
	}
	m.done[string(key)] = true
	return false
}

// shape says whether the values of two fields look differently.
func (m *merger) shape(a, b *ast.Field) string {
	if a != b && !m.alike(a.Definition.Type, b.Definition.Type) {
		return "are of different types"
	}
	return ""
}

func (m *merger) alike(a, b *ast.Type) bool {
	if a.NonNull != b.NonNull || (a.Elem == nil) != (b.Elem == nil) {
		return false
	}
	if a.Elem != nil {
		return m.alike(a.Elem, b.Elem)
	}
	of, other := m.schema.Types[a.NamedType], m.schema.Types[b.NamedType]
	return of == other || !of.IsLeafType() && !other.IsLeafType()
}

// field says whether two fields ask for different things.
func (m *merger) field(a, b *ast.Field) string {
	switch {
	case a == b:
		return ""
	case a.Name != b.Name:
		return "are different fields"
	case len(a.Arguments) != len(b.Arguments):
		return "have different arguments"
	}
	for _, argument := range a.Arguments {
		other := b.Arguments.ForName(argument.Name)
		if other == nil || !m.equal(argument.Value, other.Value) {
			return "have different arguments"
		}
	}
	return ""
}

// equal reports whether two values are written alike.
func (m *merger) equal(a, b *ast.Value) bool {
	if m.left--; m.left <= 0 || a.Kind != b.Kind || a.Raw != b.Raw || len(a.Children) != len(b.Children) {
		return false
	}
	for i, child := range a.Children {
		other := b.Children[i].Value
		if a.Kind == ast.ObjectValue {
			other = b.Children.ForName(child.Name)
		}
		if other == nil || !m.equal(child.Value, other) {
			return false
		}
	}
	return true
}
