package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
)

// trustedExtension names the mark of a trusted operation in its statistics, the one
// place that gqlgen hands from the parameters to everything after them.
const trustedExtension = "galaxygate.trusted"

// trust marks the operation under way as one from the trusted documents.
func trust(ctx context.Context) {
	graphql.GetOperationContext(ctx).Stats.SetExtension(trustedExtension, true)
}

// Trusted reports whether the operation under way is from the trusted documents:
// its text is the operator's, whatever its variables. It is known from the moment
// that the parameters are resolved, before the document is parsed.
func Trusted(ctx context.Context) bool {
	return graphql.HasOperationContext(ctx) &&
		graphql.GetOperationContext(ctx).Stats.GetExtension(trustedExtension) != nil
}
