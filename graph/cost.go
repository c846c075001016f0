package graph

import (
	"context"
	"maps"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"galaxygate/internal/upstream"
)

// CostHeader is the header of a request that wants to know what its operation
// cost, whatever its value.
const CostHeader = "X-Galaxygate-Cost"

// tellCost puts what the operation costs by the schema into extensions.cost, and what
// it cost upstream into extensions.galaxy, always or where the request asks for it; and
// always that an answer is past its time.
func tellCost(always bool, limit int) graphql.ResponseMiddleware {
	return func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		response := next(ctx)
		if response == nil {
			return response
		}
		told := make(map[string]any)
		operation := graphql.GetOperationContext(ctx)
		asked := always || operation.Headers.Get(CostHeader) != ""
		if o := operationOf(ctx); o != nil {
			if galaxy := costOf(&o.cost, asked); len(galaxy) > 0 {
				told["galaxy"] = galaxy
			}
		}
		if e := entryOf(operation); e != nil && asked && e.size.Depth > 0 {
			told["cost"] = operationCost(e.size.Cost, limit)
		}
		if len(told) > 0 {
			if response.Extensions == nil {
				response.Extensions = make(map[string]any)
			}
			maps.Copy(response.Extensions, told)
		}
		return response
	}
}

// operationCost is what an operation costs by the schema, and what it may.
func operationCost(cost int64, limit int) map[string]any {
	told := map[string]any{"operation": cost}
	if limit > 0 {
		told["limit"] = limit
	}
	return told
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
