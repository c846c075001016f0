package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"galaxygate/internal/upstream"
)

// CostHeader is the header of a request that wants to know what its operation
// cost, whatever its value.
const CostHeader = "X-Galaxygate-Cost"

// tellCost puts what the operation cost upstream into extensions.galaxy, always or
// where the request asks for it; and always that an answer is past its time.
func tellCost(always bool) graphql.ResponseMiddleware {
	return func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		response := next(ctx)
		o := operationOf(ctx)
		if response == nil || o == nil {
			return response
		}
		asked := always || graphql.GetOperationContext(ctx).Headers.Get(CostHeader) != ""
		if told := costOf(&o.cost, asked); len(told) > 0 {
			if response.Extensions == nil {
				response.Extensions = make(map[string]any)
			}
			response.Extensions["galaxy"] = told
		}
		return response
	}
}

// costOf is the cost as a client sees it.
func costOf(c *upstream.Cost, asked bool) map[string]any {
	told := make(map[string]any)
	if asked {
		told["requests"] = c.Galaxy.Load()
		told["userinfoRequests"] = c.UserInfo.Load()
		told["cached"] = c.Cached.Load()
		told["milliseconds"] = time.Duration(c.Took.Load()).Milliseconds()
	}
	if stale := time.Duration(c.Stale.Load()); stale > 0 {
		told["stale"] = int((stale + time.Second - 1) / time.Second)
	}
	return told
}
