package document

import (
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// Prices are what the schema says of the costs of its fields: @cost and @listSize of
// Apollo Federation 2.9, which follow IBM's GraphQL Cost Directives specification but
// for this: a field costs 1 where @cost says nothing, also one of a scalar; a list
// costs as one item at least; an argument that is a list, with a @cost of its own,
// costs that for each of its elements, which are as many as the field's items; and
// every argument costs 1 for each 256 bytes of its value.
type Prices struct {
	schema  *ast.Schema
	maxSize int64
	fields  map[*ast.FieldDefinition]price
}

// price is what one field costs.
type price struct {
	weight  int64
	sizes   bool     // whether it says of how many items its list is
	assumed int64    // how many these are where no argument says it
	slicing []string // the arguments that say it
	sized   []string // the fields beneath that are the list; none: the field itself
	each    map[string]int64
}

// NewPrices reads the schema. An argument that says how large a list is counts as
// maxSize at most: more is never answered.
func NewPrices(schema *ast.Schema, maxSize int) *Prices {
	p := &Prices{schema: schema, maxSize: int64(maxSize), fields: make(map[*ast.FieldDefinition]price)}
	for _, definition := range schema.Types {
		for _, f := range definition.Fields {
			p.fields[f] = priceOf(f)
		}
	}
	return p
}

func priceOf(f *ast.FieldDefinition) price {
	p := price{weight: 1, assumed: 1}
	if cost := f.Directives.ForName("cost"); cost != nil {
		p.weight = whole(cost, "weight", 1)
	}
	if size := f.Directives.ForName("listSize"); size != nil {
		p.sizes = true
		p.assumed = whole(size, "assumedSize", 1)
		p.slicing, p.sized = names(size, "slicingArguments"), names(size, "sizedFields")
	}
	for _, a := range f.Arguments {
		if cost := a.Directives.ForName("cost"); cost != nil {
			if p.each == nil {
				p.each = make(map[string]int64)
			}
			p.each[a.Name] = whole(cost, "weight", 0)
		}
	}
	return p
}

func whole(d *ast.Directive, argument string, otherwise int64) int64 {
	if a := d.Arguments.ForName(argument); a != nil {
		if n, err := strconv.ParseInt(a.Value.Raw, 10, 32); err == nil {
			return n
		}
	}
	return otherwise
}

func names(d *ast.Directive, argument string) []string {
	var list []string
	if a := d.Arguments.ForName(argument); a != nil {
		for _, child := range a.Value.Children {
			list = append(list, child.Value.Raw)
		}
	}
	return list
}

// isSized reports whether the field beneath is the list whose size p tells.
func (p price) isSized(field string) bool { return slices.Contains(p.sized, field) }
