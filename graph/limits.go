package graph

import (
	"context"
	"fmt"
	"slices"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/plan"
)

// limits refuses operations that nest too deeply or select too much, before
// gqlgen's own analysis, which follows each spread of a fragment anew. A limit
// of 0 is none.
type limits struct {
	depth         int
	fields        int
	introspection bool

	schema graphql.ExecutableSchema
	// fine are the operations that are within the limits whatever their variables,
	// by document and name: they have none.
	fine *lru.LRU[struct{}]
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = (*limits)(nil)

// ExtensionName implements graphql.HandlerExtension.
func (*limits) ExtensionName() string { return "Limits" }

// Validate implements graphql.HandlerExtension.
func (l *limits) Validate(schema graphql.ExecutableSchema) error {
	l.schema, l.fine = schema, lru.New[struct{}](cachedDocuments)
	return nil
}

// MutateOperationContext implements graphql.OperationContextMutator.
//
// gqlgen's own switch for introspection closes _service as well, which a router
// needs; so that one is open, and the fields are refused here.
func (l *limits) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	operation.DisableIntrospection = false
	if err := undecided(operation); err != nil {
		return err
	}
	key := operation.RawQuery
	if operation.OperationName != "" {
		key += "\x00" + operation.OperationName
	}
	if _, fine := l.fine.Get(ctx, key); fine {
		return nil
	}
	if err := l.refusal(ctx, operation); err != nil {
		return err
	}
	if len(operation.Operation.VariableDefinitions) == 0 {
		l.fine.Add(ctx, key, struct{}{})
	}
	return nil
}

// undecided refuses an operation with a variable of @skip or @include that is null,
// which one with a default may be: gqlgen panics where it comes to it.
func undecided(operation *graphql.OperationContext) *gqlerror.Error {
	for _, v := range operation.Operation.VariableDefinitions {
		value, given := operation.Variables[v.Variable]
		if given && value == nil && v.Type.Name() == "Boolean" && slices.Contains(plan.Conditions(operation.Operation), v.Variable) {
			return refuse(codeBadUserInput, "Variable $"+v.Variable+": must be true or false, for @skip and @include.")
		}
	}
	return nil
}

// refusal is why the operation is not executed, or nil.
func (l *limits) refusal(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	m := measurer{fragments: make(map[string]measure)}
	size := m.set(operation.Operation.SelectionSet)
	switch {
	case size.introspects && !l.introspection:
		return refuse(codeValidationFailed, "Introspection is off.")
	case l.fields > 0 && size.introspected > maxIntrospected:
		return refuse(codeTooComplex, fmt.Sprintf("The operation selects more than %d fields of the schema.", maxIntrospected))
	case size.masked:
		return refuse(codeValidationFailed, "The alias __typename is another field's name.")
	case size.alias > maxAlias:
		return refuse(codeTooComplex, fmt.Sprintf("An alias has more than %d characters.", maxAlias))
	case l.depth > 0 && size.depth > l.depth:
		return refuse(codeTooComplex, fmt.Sprintf("The operation is %d fields deep; %d are allowed.", size.depth, l.depth))
	case l.fields > 0 && size.fields > l.fields:
		return refuse(codeTooComplex, fmt.Sprintf("The operation selects more than %d fields.", l.fields))
	case l.fields == 0:
		return nil
	}
	if cost := complexity.Calculate(ctx, l.schema, operation.Operation, operation.Variables); cost > l.fields {
		return refuse(codeTooComplex, fmt.Sprintf(
			"The operation has complexity %d, which exceeds the limit of %d: ask for fewer items with `first`.", cost, l.fields))
	}
	return nil
}

func refuse(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}

// measure is the size of a selection with its fragments in place.
type measure struct {
	depth       int
	fields      int
	introspects bool
	// introspected is how many fields are selected of the schema itself, which are
	// none of the others.
	introspected int
	alias        int  // the length of the longest one
	masked       bool // whether a field is called __typename, which another is
}

// measurer measures each fragment once; the validation has refused cycles.
type measurer struct {
	fragments map[string]measure
}

const (
	// maxFields is as far as fields are counted.
	maxFields = 1 << 30
	// maxAlias is how long an alias may be. It is repeated beneath it: in the paths
	// of errors, in the places of a plan, and in what Galaxy is asked.
	maxAlias = 128
	// maxIntrospected is many times what tools ask for. gqlgen's analysis follows
	// each spread of a fragment anew there too.
	maxIntrospected = 10_000
)

func (m measurer) set(set ast.SelectionSet) measure {
	var sum measure
	for _, selection := range set {
		one := m.selection(selection)
		sum.depth = max(sum.depth, one.depth)
		sum.fields = min(sum.fields+one.fields, maxFields)
		sum.introspects = sum.introspects || one.introspects
		sum.introspected = min(sum.introspected+one.introspected, maxFields)
		sum.masked = sum.masked || one.masked
		sum.alias = max(sum.alias, one.alias)
	}
	return sum
}

func (m measurer) selection(selection ast.Selection) measure {
	switch s := selection.(type) {
	case *ast.Field:
		if s.Name == "__schema" || s.Name == "__type" {
			// gqlparser has a limit of its own for how deep that goes.
			return measure{introspects: true, introspected: m.set(s.SelectionSet).fields}
		}
		inner := m.set(s.SelectionSet)
		inner.masked = inner.masked || s.Alias == "__typename" && s.Name != s.Alias
		inner.depth++
		inner.fields++
		inner.alias = max(inner.alias, len(s.Alias))
		return inner
	case *ast.InlineFragment:
		return m.set(s.SelectionSet)
	case *ast.FragmentSpread:
		size, ok := m.fragments[s.Name]
		if !ok {
			size = m.set(s.Definition.SelectionSet)
			m.fragments[s.Name] = size
		}
		return size
	}
	return measure{}
}
