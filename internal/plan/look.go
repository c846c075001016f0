package plan

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// The names in the schema that a look ahead knows.
const (
	mirrorType  = "GalaxyQuery"      // whose fields are all Galaxy's
	accountType = "ConnectedAccount" // which is looked up before it is shown
	listType    = "ConnectedAccountConnection"
	nodeField   = "node" // of Query, which finds objects of any type
)

// way is how one gets to a field from the operation's root.
type way struct {
	scopes     []string   // that are needed on the way
	node       *ast.Field // Query.node, where the way leads through it
	typename   string     // then the type that the node must have
	of         bool       // then whether the field is about the node, not the viewer
	viewerOnly bool       // then whether the node itself must be the viewer
	known      bool       // whether who resolves the account knows what Galaxy calls it
}

// user returns the identity URN that the field is about; not ok where the field
// will not be resolved.
func (w way) user(v Viewer, variables map[string]any) (urn string, ok bool) {
	if !v.Consented(w.scopes) {
		return "", false
	}
	if w.node == nil {
		return v.Subject, true
	}
	id, _ := w.node.ArgumentMap(variables)["id"].(string)
	if v.TypeOf(id) != w.typename || w.viewerOnly && id != v.Subject {
		return "", false
	}
	if w.of {
		return id, true
	}
	return v.Subject, true
}

// plan looks ahead over an operation.
func (p *Planner) plan(operation *ast.OperationDefinition, variables map[string]any) *Plan {
	l := looker{
		collector: collector{p.schema, variables},
		accounts:  p.accounts,
		plan: &Plan{
			spots: make(map[string]*Spot), trees: make(map[string]*Tree), rounds: make(map[string][]*Spot),
		},
	}
	switch operation.Operation {
	case ast.Query:
		l.object(p.schema.Query, operation.SelectionSet, "", way{})
	case ast.Mutation:
		l.mutation(p.schema.Mutation, operation.SelectionSet)
	case ast.Subscription: // its events have nothing of Galaxy's
	}
	return l.plan
}

type looker struct {
	collector

	plan     *Plan
	accounts *Field
	round    string
	payload  string // in a mutation, the type that its root field returns
}

// mutation looks at each field of a mutation's root by itself: they are executed
// one after the other.
func (l *looker) mutation(root *ast.Definition, set ast.SelectionSet) {
	for _, f := range l.fields(root, set) {
		l.round = f.Alias
		if f.Definition != nil {
			l.payload = f.Definition.Type.Name()
		}
		l.field(root, f, "", way{})
	}
}

func (l *looker) object(of *ast.Definition, set ast.SelectionSet, place string, w way) {
	for _, f := range l.fields(of, set) {
		l.field(of, f, place, w)
	}
}

// field looks at a field and beneath it.
func (l *looker) field(of *ast.Definition, f collected, parent string, w way) {
	if f.Definition == nil || strings.HasPrefix(f.Name, "__") {
		return // of introspection, whose size nobody has measured
	}
	place := Place(parent, of.Name, f.Alias)
	w.scopes = union(w.scopes, consentOf(f.Definition))
	w.viewerOnly = w.viewerOnly || w.of && f.Definition.Directives.ForName("viewerOnly") != nil
	typename := f.Definition.Type.Name()
	switch source := f.Definition.Directives.ForName("galaxy"); {
	case typename == mirrorType:
		l.mirror(f, place, w)
	case source != nil:
		l.add(place, &Spot{Name: f.Alias, Field: l.sourced(f, source), way: w})
	case of.Name == accountType:
		l.account(f, w)
	case of == l.schema.Query && f.Name == nodeField:
		l.node(f, place, w)
	case !l.schema.Types[typename].IsLeafType():
		if typename == listType {
			l.plan.trees[place] = l.tree(l.schema.Types[typename], f.selections)
		}
		w.known = typename == accountType && of.Name == l.payload
		w.of = false // but for Query.node, every user in the schema is the viewer
		for _, possible := range l.schema.GetPossibleTypes(l.schema.Types[typename]) {
			l.object(possible, f.selections, place, w)
		}
	}
}

// tree is what is selected of an object of that type, which has none of an
// abstract one beneath it.
func (l *looker) tree(of *ast.Definition, set ast.SelectionSet) *Tree {
	t := &Tree{}
	for _, f := range l.fields(of, set) {
		b := Branch{Name: f.Name, As: f.Alias}
		if f.Definition != nil && len(f.selections) > 0 {
			b.Tree = l.tree(l.schema.Types[f.Definition.Type.Name()], f.selections)
		}
		t.Fields = append(t.Fields, b)
	}
	return t
}

func (l *looker) add(place string, s *Spot) {
	l.plan.spots[place] = s
	l.ahead(s)
}

func (l *looker) ahead(s *Spot) { l.plan.rounds[l.round] = append(l.plan.rounds[l.round], s) }

// account looks at a field of an account. Some need to know which accounts Galaxy
// shows; what it shows of them is asked for when that is known.
func (l *looker) account(f collected, w way) {
	l.plan.title = l.plan.title || f.Name == "title"
	l.plan.icon = l.plan.icon || f.Name == "icon"
	switch f.Name {
	case "id", "title", "icon":
		if !w.known {
			l.ahead(&Spot{Name: f.Alias, Field: l.accounts, way: w})
		}
	}
}

// node looks beneath Query.node, by the types that the node may have.
func (l *looker) node(f collected, place string, w way) {
	w.node, w.of = f.Field, true
	for _, possible := range l.schema.GetPossibleTypes(l.schema.Types[f.Definition.Type.Name()]) {
		w := w
		w.typename = possible.Name
		if possible.Name == accountType { // to find one, all must be known
			w.scopes = union(w.scopes, consentOf(l.schema.Types["User"].Fields.ForName("connectedAccounts")))
			l.ahead(&Spot{Name: f.Alias, Field: l.accounts, way: w})
		}
		l.object(possible, f.selections, place, w)
	}
}

// mirror looks at a field of the type GalaxyQuery.
func (l *looker) mirror(f collected, place string, w way) {
	definition := l.schema.Types[mirrorType]
	spot := &Spot{Name: f.Alias, way: w}
	for _, part := range l.fields(definition, f.selections) {
		if part.Name == "__typename" {
			spot.Parts = append(spot.Parts, &Spot{Name: part.Alias, Fixed: `"` + mirrorType + `"`})
			continue
		}
		s := &Spot{Name: part.Alias, NonNull: part.Definition.Type.NonNull, Scopes: consentOf(part.Definition), way: w}
		s.way.scopes = union(w.scopes, s.Scopes)
		writer := &writer{}
		writer.both(part.Name)
		s.Field = writer.field(writer.mirror(l.collector, part))
		spot.Parts = append(spot.Parts, s)
		l.ahead(s)
	}
	l.plan.spots[place] = spot
}

// sourced writes the field of Galaxy's that a field has its value from.
func (l *looker) sourced(f collected, source *ast.Directive) *Field {
	theirs := l.schema.Types[mirrorType].Fields.ForName(nameIn(source, "field"))
	w := &writer{}
	w.both(theirs.Name)
	if subject := nameIn(source, "subject"); subject != "" {
		w.both("(")
		w.argument(argument{name: subject}, theirType(theirs.Arguments.ForName(subject).Type))
		w.both(")")
	}
	definition := l.schema.Types[f.Definition.Type.Name()]
	if definition.IsLeafType() || definition == l.schema.Types[theirs.Type.Name()] {
		return w.field(w.selection(l.collector, f.Definition.Type, f.selections))
	}
	// A type of our own: its fields are Galaxy's, by other names some of them.
	separator := "{"
	for _, ours := range definition.Fields {
		if !slices.ContainsFunc(l.fields(definition, f.selections), func(s collected) bool { return s.Name == ours.Name }) {
			continue
		}
		name := ours.Name
		if other := ours.Directives.ForName("galaxy"); other != nil {
			name = nameIn(other, "field")
		}
		w.both(separator + name)
		separator = " "
	}
	if separator == "{" {
		w.both("{__typename")
	}
	w.both("}")
	return w.field(nil)
}

func nameIn(directive *ast.Directive, argument string) string {
	if a := directive.Arguments.ForName(argument); a != nil {
		return a.Value.Raw
	}
	return ""
}

// consentOf returns the scopes that a field needs.
func consentOf(f *ast.FieldDefinition) []string {
	directive := f.Directives.ForName("consent")
	if directive == nil {
		return nil
	}
	var scopes []string
	for _, scope := range directive.Arguments.ForName("scopes").Value.Children {
		scopes = append(scopes, scope.Value.Raw)
	}
	return scopes
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
