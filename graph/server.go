package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"go.opentelemetry.io/otel/trace"

	"galaxygate/graph/generated"
	"galaxygate/graph/model"
)

// cachedDocuments is how many parsed documents are kept.
const cachedDocuments = 1000

// Config says what the server answers with and what it allows. A limit of 0 is
// none.
type Config struct {
	Resolver *Resolver
	// Introspection lets clients read the schema. Without it the federation's
	// _service still answers, and no error suggests names.
	Introspection bool
	MaxDepth      int
	MaxComplexity int // each field costs 1; what is in a list costs as often as asked for
	MaxTokens     int
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
		Complexity: costs(),
	})
	p := presenter{publicURL: r.PublicURL, logger: r.Logger}
	server := handler.New(schema)
	server.SetErrorPresenter(p.present)
	server.SetRecoverFunc(p.recovered)
	server.SetQueryCache(lru.New[*ast.QueryDocument](cachedDocuments))
	server.SetParserTokenLimit(cfg.MaxTokens)
	server.SetDisableSuggestion(!cfg.Introspection)
	server.Use(persisted{cfg.Documents})
	server.Use(&limits{depth: cfg.MaxDepth, fields: cfg.MaxComplexity, introspection: cfg.Introspection})
	server.Use(oneStream{})
	if cfg.Tracer != nil {
		server.AroundResponses(spans(cfg.Tracer))
	}
	server.AroundOperations(r.plans)
	server.AroundOperations(watchOutage)
	server.AroundResponses(tellCost(cfg.TellCost))
	if cfg.Timeout > 0 {
		server.AroundResponses(deadline(cfg.Timeout))
	}
	server.AroundFields(whileWanted)
	return server
}

// costs counts what is in a list as often as the client asks for it.
func costs() generated.ComplexityRoot {
	times := func(child int, first *int, standard int) int {
		size, err := pageSize(first, standard)
		if err != nil {
			size = maxPage // the resolver refuses it
		}
		return 1 + child*size
	}
	var c generated.ComplexityRoot
	c.User.ConnectedAccounts = func(child int, first *int, _ *string, _ []model.AccountType) int {
		return times(child, first, defaultPage)
	}
	c.User.Sessions = func(child int, first *int, _ *string) int { return times(child, first, defaultPage) }
	c.Authorization.Activity = func(child int, first *int, _ *string) int { return times(child, first, activityPage) }
	return c
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
