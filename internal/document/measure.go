package document

import (
	"encoding/json"
	"strconv"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
)

// Size is how much an operation asks for, with its fragments in place. What @skip and
// @include leave out counts, and of the types that an object may have the one that is
// most.
type Size struct {
	Depth      int
	Cost       int64 // by Prices
	Aliases    int64
	RootFields int64
	// Introspected is how many fields are selected of the schema itself. Of the others
	// they are in Aliases alone.
	Introspected int64
	Introspects  bool
	LongestAlias int
	// Masked says that a field is called __typename, which another is.
	Masked bool
}

// most is as far as anything is counted: sums and products of two such numbers do not
// overflow.
const most = 1 << 30

func plus(a, b int64) int64  { return min(a+b, most) }
func times(a, b int64) int64 { return min(a*b, most) }

// sizes are those of a document's operations that do not depend on variables, as long as
// these are small.
type sizes struct {
	mu sync.RWMutex
	of map[*ast.OperationDefinition]Size
}

// Measure returns the size of an operation of the document with these variables, which
// are coerced.
func (p *Prices) Measure(d *Document, operation *ast.OperationDefinition, variables map[string]any) Size {
	large := largeVariables(variables)
	d.sizes.mu.RLock()
	size, ok := d.sizes.of[operation]
	d.sizes.mu.RUnlock()
	if ok && len(large) == 0 {
		return size
	}
	m := measurer{
		Prices: p, variables: variables, large: large, varies: len(large) > 0,
		spread: make(map[spread]part), beneath: make(map[branch]part), counted: make(map[string]introspected),
	}
	size = m.operation(operation)
	if !m.varies {
		d.sizes.mu.Lock()
		if d.sizes.of == nil {
			d.sizes.of = make(map[*ast.OperationDefinition]Size)
		}
		d.sizes.of[operation] = size
		d.sizes.mu.Unlock()
	}
	return size
}

// part is the size of a selection.
type part struct {
	Size

	// items is what one item of each list costs whose size the field around the
	// selection tells, by the list's name. It is not in Cost.
	items map[string]int64
}

func (a *part) add(b part) {
	a.Depth = max(a.Depth, b.Depth)
	a.Cost = plus(a.Cost, b.Cost)
	a.Aliases = plus(a.Aliases, b.Aliases)
	a.RootFields = plus(a.RootFields, b.RootFields)
	a.rest(b)
	for name, cost := range b.items {
		a.item(name, cost)
	}
}

// most makes a the larger of the two.
func (a *part) most(b part) {
	a.Depth = max(a.Depth, b.Depth)
	a.Cost = max(a.Cost, b.total())
	a.Aliases = max(a.Aliases, b.Aliases)
	a.rest(b)
}

func (a *part) rest(b part) {
	a.Introspected = plus(a.Introspected, b.Introspected)
	a.Introspects = a.Introspects || b.Introspects
	a.LongestAlias = max(a.LongestAlias, b.LongestAlias)
	a.Masked = a.Masked || b.Masked
}

func (a *part) item(name string, cost int64) {
	if a.items == nil {
		a.items = make(map[string]int64)
	}
	a.items[name] = plus(a.items[name], cost)
}

// total is the cost with one item of each list.
func (a *part) total() int64 {
	sum := a.Cost
	for _, cost := range a.items {
		sum = plus(sum, cost)
	}
	return sum
}

// measurer measures each fragment once for each object that it is of, however often
// it is spread; the validation has refused cycles.
type measurer struct {
	*Prices

	variables map[string]any
	large     map[string]int64 // the bytes of those that are not small
	varies    bool             // whether the size is by these variables
	spread    map[spread]part
	beneath   map[branch]part
	counted   map[string]introspected
}

// spread is a fragment, of an object of that type.
type spread struct {
	fragment string
	of       *ast.Definition
}

// branch is what is selected of a field, which an object may define otherwise than its
// interface does.
type branch struct {
	field *ast.Field
	of    *ast.FieldDefinition
}

func (m *measurer) operation(o *ast.OperationDefinition) Size {
	root := m.schema.Query
	switch o.Operation {
	case ast.Mutation:
		root = m.schema.Mutation
	case ast.Subscription:
		root = m.schema.Subscription
	case ast.Query:
	}
	whole := m.set(o.SelectionSet, root)
	whole.Cost = whole.total()
	return whole.Size
}

// set measures a selection of an object of that type.
func (m *measurer) set(set ast.SelectionSet, of *ast.Definition) part {
	var sum part
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			m.field(&sum, s, of)
		case *ast.InlineFragment:
			if s.TypeCondition == "" || m.is(of, s.TypeCondition) {
				sum.add(m.set(s.SelectionSet, of))
			}
		case *ast.FragmentSpread:
			if m.is(of, s.Definition.TypeCondition) {
				sum.add(m.fragment(s, of))
			}
		}
	}
	return sum
}

// is reports whether an object is of a type.
func (m *measurer) is(object *ast.Definition, name string) bool {
	if object.Name == name {
		return true
	}
	for _, possible := range m.schema.PossibleTypes[name] {
		if possible == object {
			return true
		}
	}
	return false
}

func (m *measurer) fragment(s *ast.FragmentSpread, of *ast.Definition) part {
	key := spread{s.Name, of}
	size, ok := m.spread[key]
	if !ok {
		size = m.set(s.Definition.SelectionSet, of)
		m.spread[key] = size
	}
	return size
}

// field adds a field to the selection that it is in.
func (m *measurer) field(sum *part, f *ast.Field, of *ast.Definition) {
	sum.RootFields = plus(sum.RootFields, 1)
	if f.Name == "__schema" || f.Name == "__type" {
		// The parser has a limit of its own for how deep that goes.
		inner := m.count(f.SelectionSet)
		sum.Introspects = true
		sum.Introspected = plus(sum.Introspected, inner.fields)
		sum.Aliases = plus(sum.Aliases, plus(inner.aliases, alias(f)))
		return
	}
	definition := f.Definition
	if f.ObjectDefinition != of && f.Name != "__typename" {
		definition = of.Fields.ForName(f.Name)
	}
	p, priced := m.fields[definition]
	if !priced {
		p.weight = 1
	}
	inner := m.inside(f, definition)
	sum.Depth = max(sum.Depth, inner.Depth+1)
	sum.LongestAlias = max(sum.LongestAlias, len(f.Alias))
	sum.Masked = sum.Masked || f.Alias == "__typename" && f.Name != f.Alias
	sum.Aliases = plus(sum.Aliases, inner.Aliases)
	sum.Aliases = plus(sum.Aliases, alias(f))
	sum.rest(inner)
	cost, size := m.asked(p, f, definition)
	sum.Cost = plus(sum.Cost, cost)
	switch {
	case p.sizes && len(p.sized) == 0:
		sum.Cost = plus(sum.Cost, times(size, inner.total()))
	case definition.Type.Elem != nil && !p.sizes:
		sum.item(f.Name, inner.total())
	default:
		sum.Cost = plus(sum.Cost, inner.Cost)
		for name, item := range inner.items {
			if p.isSized(name) {
				item = times(size, item)
			}
			sum.Cost = plus(sum.Cost, item)
		}
	}
}

// inside measures what is selected of a field.
func (m *measurer) inside(f *ast.Field, definition *ast.FieldDefinition) part {
	if len(f.SelectionSet) == 0 {
		return part{}
	}
	key := branch{f, definition}
	if size, ok := m.beneath[key]; ok {
		return size
	}
	var size part
	if of := m.schema.Types[definition.Type.Name()]; of.IsAbstractType() {
		for _, possible := range m.schema.GetPossibleTypes(of) {
			size.most(m.set(f.SelectionSet, possible))
		}
	} else {
		size = m.set(f.SelectionSet, of)
	}
	m.beneath[key] = size
	return size
}

// asked returns what a field costs by itself, and how many items are asked for of the
// list that it tells the size of.
func (m *measurer) asked(p price, f *ast.Field, definition *ast.FieldDefinition) (cost, size int64) {
	cost, size = plus(p.weight, m.written(f.Arguments)), p.assumed
	for _, name := range p.slicing {
		if n, ok := m.whole(f, definition.Arguments.ForName(name)); ok {
			size = max(1, min(n, m.maxSize))
		}
	}
	for name, each := range p.each {
		if n, ok := m.length(f.Arguments.ForName(name)); ok {
			cost = plus(cost, times(n, each))
			size = max(1, n)
		}
	}
	return cost, size
}

// whole returns the argument's number, and whether it has one.
func (m *measurer) whole(f *ast.Field, definition *ast.ArgumentDefinition) (int64, bool) {
	value := definition.DefaultValue
	if a := f.Arguments.ForName(definition.Name); a != nil {
		if a.Value.Kind != ast.Variable {
			value = a.Value
		} else if v, given := m.variable(a.Value.Raw); given {
			return number(v)
		}
	}
	if value == nil || value.Kind != ast.IntValue {
		return 0, false
	}
	return number(json.Number(value.Raw))
}

func (m *measurer) variable(name string) (any, bool) {
	m.varies = true
	v, given := m.variables[name]
	return v, given
}

func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case json.Number:
		i, err := strconv.ParseInt(n.String(), 10, 64)
		return i, err == nil
	}
	return 0, false
}

// length returns how many elements the argument's list has, and whether it has one. A
// value without brackets is a list of one.
func (m *measurer) length(a *ast.Argument) (int64, bool) {
	if a == nil || a.Value.Kind == ast.NullValue {
		return 0, false
	}
	switch a.Value.Kind {
	case ast.ListValue:
		return int64(len(a.Value.Children)), true
	case ast.Variable:
		v, _ := m.variable(a.Value.Raw)
		if v == nil {
			return 0, false
		}
		return listLength(v), true
	default:
		return 1, true
	}
}

// alias returns 1 where the field has an alias.
func alias(f *ast.Field) int64 {
	if f.Alias != f.Name {
		return 1
	}
	return 0
}

// introspected is what is selected of the schema itself.
type introspected struct{ fields, aliases int64 }

func (a introspected) and(b introspected) introspected {
	return introspected{plus(a.fields, b.fields), plus(a.aliases, b.aliases)}
}

// count counts a selection of the schema itself.
func (m *measurer) count(set ast.SelectionSet) introspected {
	var sum introspected
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			sum = sum.and(introspected{1, alias(s)}).and(m.count(s.SelectionSet))
		case *ast.InlineFragment:
			sum = sum.and(m.count(s.SelectionSet))
		case *ast.FragmentSpread:
			n, ok := m.counted[s.Name]
			if !ok {
				n = m.count(s.Definition.SelectionSet)
				m.counted[s.Name] = n
			}
			sum = sum.and(n)
		}
	}
	return sum
}
