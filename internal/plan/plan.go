package plan

import (
	"slices"
)

// Plan is what of one operation Galaxy answers.
type Plan struct {
	spots map[string]*Spot
	// rounds are the spots that can be asked at once: for a query all of them,
	// for a mutation those beneath each field of its root, by the field's name in
	// the response.
	rounds map[string][]*Spot
	trees  map[string]*Tree // by place
	// title and icon say what is wanted of accounts.
	title, icon bool
}

// Tree is what an operation selects of an object, in the client's order.
type Tree struct {
	Fields []Branch
}

// Branch is a field in a Tree.
type Branch struct {
	Name string // the field
	As   string // its name in the response
	Tree *Tree  // what is selected of it; nil for a leaf
}

// Spot is a field at its place in an operation, which Galaxy answers.
type Spot struct {
	// Field is what is asked; nil where Parts are.
	Field *Field
	// Parts are the fields of a GalaxyQuery object, in the client's order.
	Parts []*Spot
	// Name is the field's name in the response.
	Name string
	// NonNull says that the field is never null.
	NonNull bool
	// Fixed is the value of a part that Galaxy need not be asked for: __typename.
	Fixed string
	// Scopes are those that the field itself needs (@consent).
	Scopes []string

	way way
}

// Viewer is for whom an operation is run.
type Viewer struct {
	Subject string // the identity URN
	// Consented reports whether the user has consented to every one of the scopes.
	Consented func(scopes []string) bool
	// TypeOf returns the type of the object with that ID, as Query.node finds it.
	TypeOf func(id string) string
}

// At returns what is at a place, or nil. A place is the way to a field from the
// operation's root: for each field on it the type that has it and its name in the
// response, as Place writes it.
func (p *Plan) At(place string) *Spot { return p.spots[place] }

// Tree is what is selected of the accounts that the field at that place lists.
func (p *Plan) Tree(place string) *Tree { return p.trees[place] }

// Place is the place of a field of that type, with that name in the response,
// beneath another place; empty for the root.
func Place(parent, typename, name string) string {
	if parent == "" {
		return typename + "." + name
	}
	return parent + "/" + typename + "." + name
}

// Ahead returns the questions of a round that the viewer's operation with these
// variables will need answered, each once, as far as the viewer has consented. What
// cannot be asked is left to the field whose question it is.
func (p *Plan) Ahead(round string, v Viewer, variables map[string]any) []Question {
	var questions []Question
	for _, s := range p.rounds[round] {
		user, ok := s.way.user(v, variables)
		if !ok {
			continue
		}
		if q, err := s.Ask(user, variables); err == nil {
			questions = With(questions, q)
		}
	}
	return questions
}

// The bytes that a spot and a branch take beside their text, about.
const (
	spotWeight   = 500
	branchWeight = 100
)

// weight is about how many bytes the plan takes.
func (p *Plan) weight() int {
	sum := spotWeight
	for place, s := range p.spots {
		sum += len(place) + spotWeight*(1+len(s.Parts))
	}
	for _, spots := range p.rounds {
		for _, s := range spots {
			sum += spotWeight + 3*len(s.Field.key) // in the text, in the key, in the shape
		}
	}
	for place, t := range p.trees {
		sum += len(place) + t.weight()
	}
	return sum
}

func (t *Tree) weight() int {
	sum := branchWeight
	for _, b := range t.Fields {
		sum += branchWeight
		if b.Tree != nil {
			sum += b.Tree.weight()
		}
	}
	return sum
}

// With returns the questions and q, each once.
func With(questions []Question, q Question) []Question {
	if slices.ContainsFunc(questions, func(other Question) bool { return other.Key == q.Key }) {
		return questions
	}
	return append(questions, q)
}

// Cards is the field that tells how Galaxy shows accounts, with what the operation
// wants of that.
func (p *Plan) Cards() *Field { return Cards(p.title, p.icon) }

// Ask is the question of the spot about the user with that identity URN, in an
// operation with these variables. Its error is an *InputError.
func (s *Spot) Ask(user string, variables map[string]any) (Question, error) {
	return s.Field.ask(user, variables)
}
