package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/ast"
	"go.opentelemetry.io/otel/trace"

	"galaxygate/graph/generated"
)

// Config says what the server answers with and what it allows.
type Config struct {
	Resolver *Resolver
	// Introspection lets clients read the schema. Without it the federation's
	// _service still answers, and no error suggests names.
	Introspection bool
	Limits        Limits
	// TellCost says in every response what the operation cost upstream, also where
	// CostHeader does not ask for it.
	TellCost bool
	// Tracer makes a span of each operation; nil: none is made.
	Tracer trace.Tracer
	// Documents are what clients may name instead of sending it.
	Documents Documents
	// Timeout ends an operation that takes longer, but no subscription, which may
	// wait for its event as long as it takes; 0 is no limit.
	Timeout time.Duration
}

// Schema is what the server answers by.
func Schema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

// NewServer returns the GraphQL server, without transports: add them.
func NewServer(cfg Config) *handler.Server {
	r := cfg.Resolver
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers:  r,
		Directives: generated.DirectiveRoot{Consent: r.consent, ViewerOnly: r.viewerOnly},
	})
	p := presenter{publicURL: r.PublicURL, logger: r.Logger}
	server := handler.New(schema)
	server.SetErrorPresenter(p.present)
	server.SetRecoverFunc(p.recovered)
	server.Use(byName{cfg.Documents})
	gate := newGate(schema.Schema(), cfg.Limits, cfg.Introspection)
	server.SetQueryCache(gate)
	server.Use(gate) // after what finds the text
	server.Use(oneStream{})
	if cfg.Tracer != nil {
		server.AroundResponses(spans(cfg.Tracer))
	}
	server.AroundOperations(r.plans)
	server.AroundOperations(watchOutage)
	server.AroundResponses(tellCost(cfg.TellCost, cfg.Limits.Cost))
	server.AroundResponses(severally)
	if cfg.Timeout > 0 {
		server.AroundResponses(deadline(cfg.Timeout))
	}
	server.AroundFields(whileWanted)
	return server
}

// deadline ends the context of what takes too long. A subscription's response
// includes the wait for its event, which then has only plain fields to resolve.
func deadline(limit time.Duration) graphql.ResponseMiddleware {
	return func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		if subscribes(ctx) {
			return next(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return next(ctx)
	}
}

// whileWanted resolves a field unless the client has gone or the time is up:
// gqlgen by itself goes on to the last field.
func whileWanted(ctx context.Context, next graphql.Resolver) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return next(ctx)
}
