package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/document"
	"galaxygate/internal/errcode"
	"galaxygate/internal/plan"
)

// Limits are what one operation may ask for, with its fragments in place. 0 is no
// limit. They are not for trusted documents.
type Limits struct {
	Depth      int
	Cost       int // by @cost and @listSize of the schema
	Aliases    int
	RootFields int
	Tokens     int // lexical tokens of the document
}

const (
	// maxAlias is how long an alias may be. It is repeated beneath it: in the paths
	// of errors, in the places of a plan, and in what Galaxy is asked.
	maxAlias = 128
	// maxIntrospected is twice what tools ask for. Each is answered for every type.
	maxIntrospected = 500
)

// gate lets no document in that is not valid, no variable that is not of its type, and
// no operation that is not within the limits.
type gate struct {
	limits        Limits
	introspection bool
	reader        *document.Reader
	prices        *document.Prices
	schema        *ast.Schema
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
	graphql.Cache[*ast.QueryDocument]
} = (*gate)(nil)

func newGate(schema *ast.Schema, limits Limits, introspection bool) *gate {
	return &gate{
		limits: limits, introspection: introspection, schema: schema,
		reader: document.NewReader(schema, limits.Tokens, introspection),
		prices: document.NewPrices(schema, maxPage),
	}
}

// ExtensionName implements graphql.HandlerExtension.
func (*gate) ExtensionName() string { return "Gate" }

// Validate implements graphql.HandlerExtension.
func (*gate) Validate(graphql.ExecutableSchema) error { return nil }

// Get implements graphql.Cache for gqlgen's executor, which so reads no document
// itself: the one of the operation under way has been read.
func (*gate) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	e := entryOf(graphql.GetOperationContext(ctx))
	if e == nil {
		return nil, false
	}
	return e.document.QueryDocument, true
}

// Add implements graphql.Cache. What is to be remembered, the reader remembers.
func (*gate) Add(context.Context, string, *ast.QueryDocument) {}

// entryExtension is under what the statistics of an operation hold its entry.
const entryExtension = "galaxygate.entry"

// entry is what the gate knows of an operation.
type entry struct {
	document *document.Document
	size     document.Size
}

func entryOf(operation *graphql.OperationContext) *entry {
	e, _ := operation.Stats.GetExtension(entryExtension).(*entry)
	return e
}

// MutateOperationParameters implements graphql.OperationParameterMutator. It comes
// after whatever finds the document's text.
func (g *gate) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	d, refusal := g.reader.Read(params.Query, Trusted(ctx))
	if refusal != nil {
		return refused(refusal)
	}
	if operation := d.Operations.ForName(params.OperationName); operation != nil {
		if problem := document.CheckVariables(g.schema, operation, params.Variables); problem != nil {
			return refuse(errcode.BadUserInput, problem.Error())
		}
	}
	graphql.GetOperationContext(ctx).Stats.SetExtension(entryExtension, &entry{document: d})
	return nil
}

// MutateOperationContext implements graphql.OperationContextMutator.
//
// gqlgen's own switch for introspection closes _service as well, which a router
// needs; so that one is open, and the fields are refused here.
func (g *gate) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	operation.DisableIntrospection = false
	if err := undecided(operation); err != nil {
		return err
	}
	e := entryOf(operation)
	e.size = g.prices.Measure(e.document, operation.Operation, operation.Variables)
	if err := g.misused(e.size); err != nil || Trusted(ctx) {
		return err
	}
	return g.tooMuch(e.size)
}

// undecided refuses an operation with a variable of @skip or @include that is null,
// which one with a default may be: gqlgen panics where it comes to it.
func undecided(operation *graphql.OperationContext) *gqlerror.Error {
	for _, v := range operation.Operation.VariableDefinitions {
		value, given := operation.Variables[v.Variable]
		if given && value == nil && v.Type.Name() == "Boolean" && slices.Contains(plan.Conditions(operation.Operation), v.Variable) {
			return refuse(errcode.BadUserInput, "Variable $"+v.Variable+": must be true or false, for @skip and @include.")
		}
	}
	return nil
}

// misused refuses what nobody may ask for.
func (g *gate) misused(size document.Size) *gqlerror.Error {
	switch {
	case size.Introspects && !g.introspection:
		return refuse(errcode.ValidationFailed, "Introspection is off.")
	case size.Masked:
		return refuse(errcode.ValidationFailed, "The alias __typename is another field's name.")
	case size.LongestAlias > maxAlias:
		return refuse(errcode.TooComplex, fmt.Sprintf("An alias has %d characters; %d are allowed.", size.LongestAlias, maxAlias))
	}
	return nil
}

// tooMuch refuses what is beyond the limits.
func (g *gate) tooMuch(size document.Size) *gqlerror.Error {
	limits := g.limits
	for _, l := range []struct {
		got         int64
		limit       int
		format, how string
	}{
		{int64(size.Depth), limits.Depth, "The operation is %d fields deep; %d are allowed", "ask for what is deeper in another one"},
		{size.Aliases, limits.Aliases, "The operation has %d aliases; %d are allowed", "ask in several operations"},
		{size.RootFields, limits.RootFields, "The operation selects %d fields of the root; %d are allowed", "ask in several operations"},
		{size.Cost, limits.Cost, "The operation costs %d; %d is allowed", "ask for fewer items with `first`, or for fewer fields"},
	} {
		if l.limit > 0 && l.got > int64(l.limit) {
			return refuse(errcode.TooComplex, fmt.Sprintf(l.format+": "+l.how+".", l.got, l.limit))
		}
	}
	if limits.Cost > 0 && size.Introspected > maxIntrospected {
		return refuse(errcode.TooComplex, fmt.Sprintf(
			"The operation selects %d fields of the schema; %d are allowed.", size.Introspected, maxIntrospected))
	}
	return nil
}

func refuse(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}

// refused is the one error that a mutator may return for a document; severally makes
// all of them of it.
func refused(refusal *document.Refusal) *gqlerror.Error {
	code := map[document.Kind]string{
		document.NotParsed:  errcode.ParseFailed,
		document.Invalid:    errcode.ValidationFailed,
		document.TooComplex: errcode.TooComplex,
	}[refusal.Kind]
	for _, err := range refusal.Errors {
		if err.Extensions == nil {
			err.Extensions = make(map[string]any)
		}
		err.Extensions["code"] = code
	}
	first := *refusal.Errors[0]
	first.Err = refusal.Errors
	return &first
}

// severally puts all errors of a document into the response.
func severally(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response == nil || len(response.Errors) != 1 {
		return response
	}
	if all := gqlerror.List(nil); errors.As(response.Errors[0].Err, &all) {
		response.Errors = all
	}
	return response
}
