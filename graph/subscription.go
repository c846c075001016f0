package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/graph/model"
	"galaxygate/internal/errcode"
	"galaxygate/internal/session"
)

// oneStream refuses a subscription that does not come to one field of its root:
// one that @skip or @include leaves none, or that has the same one under two
// aliases, which the validation lets pass (GraphQL, section 6.2.3.1).
type oneStream struct{}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = oneStream{}

// ExtensionName implements graphql.HandlerExtension.
func (oneStream) ExtensionName() string { return "OneStream" }

// Validate implements graphql.HandlerExtension.
func (oneStream) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (oneStream) MutateOperationContext(_ context.Context, o *graphql.OperationContext) *gqlerror.Error {
	if o.Operation.Operation != ast.Subscription {
		return nil
	}
	if fields := graphql.CollectFields(o, o.Operation.SelectionSet, []string{"Subscription"}); len(fields) != 1 {
		return refuse(errcode.ValidationFailed, "A subscription must select one field of its root.")
	}
	return nil
}

// subscribes reports whether the operation under way, if there is one yet, is a
// subscription.
func subscribes(ctx context.Context) bool {
	if !graphql.HasOperationContext(ctx) {
		return false
	}
	o := graphql.GetOperationContext(ctx)
	return o.Operation != nil && o.Operation.Operation == ast.Subscription
}

// toSessionEnded passes on what it receives, until there is no more.
func toSessionEnded(ends <-chan session.End) <-chan *model.SessionEnded {
	events := make(chan *model.SessionEnded, 1) // nobody may be there to take it
	go func() {
		defer close(events)
		for end := range ends {
			events <- &model.SessionEnded{Reason: toEndReason(end.Reason), At: end.At.UTC()}
		}
	}()
	return events
}

// toEndReason is the reason as a client sees it. Any other is somebody else's doing,
// session.CodeReplayed among them.
func toEndReason(reason session.EndReason) model.SessionEndReason {
	switch reason {
	case session.LoggedOut, session.EndedByProvider:
		return model.SessionEndReasonLoggedOut
	case session.Expired:
		return model.SessionEndReasonExpired
	case session.AuthorizationRevoked:
		return model.SessionEndReasonAuthorizationRevoked
	case session.Replaced:
		return model.SessionEndReasonReplaced
	default:
		return model.SessionEndReasonRevoked
	}
}
