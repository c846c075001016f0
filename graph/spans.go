package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxTracedName is how long an operation's name may be to be in a span: no token
// of the gateway's is so short.
const maxTracedName = 40

// spans puts each response's operation into a span of its own: its type and name,
// what it cost, and the codes of its errors. Of a subscription that is each event,
// with the wait for it.
func spans(tracer trace.Tracer) graphql.ResponseMiddleware {
	return func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		ctx, span := tracer.Start(ctx, "graphql")
		defer span.End()
		if span.IsRecording() {
			nameSpan(ctx, span)
		}
		response := next(ctx)
		if response == nil || !span.IsRecording() {
			return response
		}
		if o := operationOf(ctx); o != nil {
			span.SetAttributes(
				attribute.Int64("galaxygate.galaxy.requests", o.cost.Galaxy.Load()),
				attribute.Int64("galaxygate.userinfo.requests", o.cost.UserInfo.Load()),
				attribute.Int64("galaxygate.answers.remembered", o.cost.Cached.Load()))
		}
		if len(response.Errors) > 0 {
			span.SetStatus(codes.Error, "")
			span.SetAttributes(attribute.StringSlice("galaxygate.error.codes", codesOf(response)))
		}
		return response
	}
}

// nameSpan says which operation it is; nothing of a document that was refused. Its
// name is the client's, of letters, digits and underscores.
func nameSpan(ctx context.Context, span trace.Span) {
	if !graphql.HasOperationContext(ctx) || graphql.GetOperationContext(ctx).Operation == nil {
		return
	}
	operation := graphql.GetOperationContext(ctx).Operation
	kind := string(operation.Operation)
	span.SetName("graphql " + kind)
	span.SetAttributes(attribute.String("graphql.operation.type", kind))
	if operation.Name != "" && len(operation.Name) <= maxTracedName {
		span.SetAttributes(attribute.String("graphql.operation.name", operation.Name))
	}
}

// codesOf are the codes of the response's errors, each once.
func codesOf(response *graphql.Response) []string {
	var found []string
	for _, err := range response.Errors {
		code, _ := err.Extensions["code"].(string)
		found = append(found, code)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
