package galaxydiff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

// The copy's type for queries, and what begins the names of types that Galaxy
// calls otherwise.
const (
	root   = "GalaxyQuery"
	prefix = "Galaxy"
)

// Report is how the copy differs from Galaxy's schema.
type Report struct {
	// Lines are the differences, one in each, under the copy's names.
	Lines []string
	// Additions is what Galaxy has and the copy has not, as SDL without
	// descriptions: types, and extensions by what they lack; empty where there is
	// nothing. Arguments that are missing are in Lines alone.
	Additions string
	// Types is how many types the copy has.
	Types int
}

// Compare returns how the copy in our schema differs from Galaxy's own one.
func Compare(ours *ast.Schema, theirs Schema) Report {
	here := types(ours.Types).reached(root)
	there := theirs.renamed(here).reached(root)
	either := maps.Clone(here)
	maps.Copy(either, there)
	var c comparison
	for _, name := range slices.Sorted(maps.Keys(either)) {
		if d := ours.Types[name]; here[name] == nil && d != nil && d.Kind == ast.Scalar && there[name].Kind == ast.Scalar {
			continue // ours already, though the copy has not used it yet
		}
		c.compare(name, here[name], there[name])
	}
	var sdl strings.Builder
	formatter.NewFormatter(&sdl, formatter.WithIndent("  ")).FormatSchemaDocument(&c.additions)
	return Report{Lines: c.lines, Additions: sdl.String(), Types: len(here)}
}

// types are a schema's types by their names.
type types map[string]*ast.Definition

// reached are the type with that name and all that can be met from there on, but
// for the scalars that every schema has.
func (t types) reached(name string) types {
	met := make(types)
	for next := []string{name}; len(next) > 0; next = next[1:] {
		d := t[next[0]]
		if d == nil || met[d.Name] != nil || slices.Contains([]string{"Boolean", "Float", "ID", "Int", "String"}, d.Name) {
			continue
		}
		met[d.Name] = d
		next = slices.Concat(next, d.Interfaces, d.Types)
		for _, f := range d.Fields {
			next = append(next, f.Type.Name())
			for _, a := range f.Arguments {
				next = append(next, a.Type.Name())
			}
		}
		for _, other := range t {
			if d.Kind == ast.Interface && slices.Contains(other.Interfaces, d.Name) {
				next = append(next, other.Name)
			}
		}
	}
	return met
}

// renamed are Galaxy's types under the names that they have, or would have, in the
// copy.
func (s Schema) renamed(here types) types {
	scalars := make(map[string]bool)
	for _, t := range s.Types {
		scalars[t.Name] = t.Kind == ast.Scalar
	}
	renamed := make(types)
	for _, t := range s.Types {
		d := t.definition(func(name string) string {
			switch {
			case name == s.QueryType.Name:
				return root
			case here[prefix+name] == nil && (here[name] != nil || scalars[name]):
				return name
			default:
				return prefix + name
			}
		})
		renamed[d.Name] = d
	}
	return renamed
}

// comparison is what has been found so far.
type comparison struct {
	lines     []string
	additions ast.SchemaDocument
}

func (c *comparison) say(what, format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf("%-15s", what+":")+fmt.Sprintf(format, args...))
}

// compare compares what the two say of a type, which either may lack.
func (c *comparison) compare(name string, here, there *ast.Definition) {
	switch {
	case here == nil:
		c.say("missing here", "%s %s", keyword(there.Kind), name)
		c.additions.Definitions = append(c.additions.Definitions, there)
	case there == nil:
		c.say("missing there", "%s %s", keyword(here.Kind), name)
	case here.Kind != there.Kind:
		c.say("differs", "%s: %s here, %s there", name, keyword(here.Kind), keyword(there.Kind))
	default:
		c.compareMembers(name, here, there)
	}
}

func (c *comparison) compareMembers(name string, here, there *ast.Definition) {
	ours, theirs := members(here), members(there)
	either := maps.Clone(ours)
	maps.Copy(either, theirs)
	for _, member := range slices.Sorted(maps.Keys(either)) {
		mine, has := ours[member]
		its, had := theirs[member]
		field, _, argument := strings.Cut(member, "(")
		_, fieldHere := ours[field]
		_, fieldThere := theirs[field]
		if argument && (!fieldHere || !fieldThere) {
			continue // the field is said to be missing
		}
		switch {
		case !has:
			c.say("missing here", "%s%s%s", name, member, its)
		case !had:
			c.say("missing there", "%s%s%s", name, member, mine)
		case strings.ReplaceAll(mine, " ", "") != strings.ReplaceAll(its, " ", ""): // lists are spaced in several ways
			c.say("differs", "%s%s%s here,%s there", name, member, mine, strings.TrimPrefix(its, ":"))
		}
	}
	lacks := *there
	lacks.Fields = without(there.Fields, func(f *ast.FieldDefinition) bool { return here.Fields.ForName(f.Name) != nil })
	lacks.EnumValues = without(there.EnumValues, func(v *ast.EnumValueDefinition) bool { return here.EnumValues.ForName(v.Name) != nil })
	lacks.Types = without(there.Types, func(t string) bool { return slices.Contains(here.Types, t) })
	lacks.Interfaces = without(there.Interfaces, func(t string) bool { return slices.Contains(here.Interfaces, t) })
	if len(lacks.Fields)+len(lacks.EnumValues)+len(lacks.Types)+len(lacks.Interfaces) > 0 {
		c.additions.Extensions = append(c.additions.Extensions, &lacks)
	}
}

func without[S ~[]T, T any](all S, had func(T) bool) S {
	return slices.DeleteFunc(slices.Clone(all), had)
}

// members are what a type is made of, and of which type each is. Arguments are
// members of their field.
func members(d *ast.Definition) map[string]string {
	all := make(map[string]string)
	for _, f := range d.Fields {
		all["."+f.Name] = typed(f.Type, f.DefaultValue)
		for _, a := range f.Arguments {
			all["."+f.Name+"("+a.Name+")"] = typed(a.Type, a.DefaultValue)
		}
	}
	for _, v := range d.EnumValues {
		all["."+v.Name] = ""
	}
	for _, t := range d.Types {
		all[" = "+t] = ""
	}
	for _, t := range d.Interfaces {
		all[" implements "+t] = ""
	}
	return all
}

func typed(t *ast.Type, value *ast.Value) string {
	if value == nil {
		return ": " + t.String()
	}
	return ": " + t.String() + " = " + value.String()
}

// keyword is how SDL begins a type's definition.
func keyword(k ast.DefinitionKind) string {
	switch k {
	case ast.Object:
		return "type"
	case ast.InputObject:
		return "input"
	default:
		return strings.ToLower(string(k))
	}
}
