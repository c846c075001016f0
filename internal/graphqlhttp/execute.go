package graphqlhttp

import (
	"context"
	"errors"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/errcode"
)

// ErrSignedOut means that a session is not live, or not any more.
var ErrSignedOut = errors.New("signed out")

// The bounds of a stream, whatever carries it.
const (
	// lastMoment is how long a subscription may take to end by itself once its
	// session has ended: the end may be what it tells.
	lastMoment = 500 * time.Millisecond
	// writeTimeout is how long a client may take to read what is sent.
	writeTimeout = 10 * time.Second
)

// prepare returns the operation, or the response that says why it is not executed.
func prepare(
	ctx context.Context, exec graphql.GraphExecutor, params *graphql.RawParams,
) (*graphql.OperationContext, *graphql.Response) {
	operation, errs := exec.CreateOperationContext(ctx, params)
	if errs == nil {
		return operation, nil
	}
	if operation.Doc != nil && operation.Operation == nil { // gqlgen's error quotes the name
		errs = gqlerror.List{{
			Message:    "The parameter operationName must name an operation of the document; it may be left out where there is one.",
			Extensions: map[string]any{"code": errcode.ValidationFailed},
		}}
	}
	return nil, exec.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
}

// run executes the operation, and calls emit with each of its responses until there
// are no more, ctx has ended, or emit fails. The error is emit's or ctx's.
func run(
	ctx context.Context, exec graphql.GraphExecutor, operation *graphql.OperationContext, emit func(*graphql.Response) error,
) error {
	next, inner := exec.DispatchOperation(ctx, operation)
	for {
		response := next(inner)
		if ctx.Err() != nil || response == nil {
			return ctx.Err()
		}
		if err := emit(response); err != nil {
			return err
		}
		if operation.Operation.Operation != ast.Subscription {
			return nil
		}
	}
}

// guard is deferred where an operation is executed: a panic there is told as the
// executor would tell it, and ends nothing else.
func guard(ctx context.Context, exec graphql.GraphExecutor, fail func(gqlerror.List)) {
	value := recover()
	if value == nil {
		return
	}
	shown := InternalError().graphQL(ctx)
	if presenter, ok := exec.(interface {
		PresentRecoveredError(ctx context.Context, value any) error
	}); ok {
		_ = errors.As(presenter.PresentRecoveredError(ctx, value), &shown)
	}
	fail(gqlerror.List{shown})
}
