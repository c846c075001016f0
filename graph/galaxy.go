package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/graph/model"
	"galaxygate/internal/plan"
	"galaxygate/internal/upstream"
)

// spot returns what the plan has for the field under way.
func spot(ctx context.Context) *plan.Spot {
	return operationOf(ctx).plan.At(placeOf(graphql.GetFieldContext(ctx)))
}

// galaxy returns Galaxy's answer for the field under way, which is one of the
// user's with that identity URN. What failed beneath the field is reported.
func (r *Resolver) galaxy(ctx context.Context, urn string) (*upstream.Answer, error) {
	a, err := r.ask(ctx, spot(ctx), urn)
	if err != nil {
		return nil, err
	}
	report(ctx, graphql.GetPath(ctx), a)
	return a, a.Err
}

func (r *Resolver) ask(ctx context.Context, s *plan.Spot, urn string) (*upstream.Answer, error) {
	q, err := s.Ask(urn, graphql.GetOperationContext(ctx).Variables)
	if err != nil {
		return nil, err
	}
	return r.answer(ctx, q)
}

// report adds the errors of an answer to the response, each at its place beneath
// the path.
func report(ctx context.Context, path ast.Path, a *upstream.Answer) {
	for _, e := range a.Errors {
		at := slices.Clone(path)
		for _, step := range e.Path {
			switch s := step.(type) {
			case string:
				at = append(at, ast.PathName(s))
			case int:
				at = append(at, ast.PathIndex(s))
			}
		}
		graphql.AddError(ctx, &gqlerror.Error{Err: e.Error, Path: at})
	}
}

// isNull reports whether there is nothing to show.
func isNull(json []byte) bool { return len(json) == 0 || string(json) == "null" }

// mirror returns the fields of Galaxy's Query that the field under way selects, or
// nil where one that cannot be null has failed.
func (r *Resolver) mirror(ctx context.Context, urn string) (*model.GalaxyQuery, error) {
	path := graphql.GetPath(ctx)
	json, null := []byte{'{'}, false
	for i, part := range spot(ctx).Parts {
		if i > 0 {
			json = append(json, ',')
		}
		json = append(append(append(json, '"'), part.Name...), `":`...) // a GraphQL name needs no escape
		at := append(slices.Clone(path), ast.PathName(part.Name))
		value, err := r.part(ctx, at, part, urn)
		if err != nil {
			graphql.AddError(ctx, &gqlerror.Error{Err: err, Path: at})
		}
		if isNull(value) {
			value, null = []byte("null"), null || part.NonNull
		}
		json = append(json, value...)
	}
	if null {
		return nil, nil
	}
	return &model.GalaxyQuery{JSON: append(json, '}')}, nil
}

// part returns the value of one field of Galaxy's Query.
func (r *Resolver) part(ctx context.Context, path ast.Path, part *plan.Spot, urn string) ([]byte, error) {
	if part.Field == nil {
		return []byte(part.Fixed), nil
	}
	if len(part.Scopes) > 0 {
		s, err := r.caller(ctx)
		if err != nil {
			return nil, err
		}
		if err := r.requireConsent(ctx, s, part.Scopes); err != nil {
			return nil, err
		}
	}
	a, err := r.ask(ctx, part, urn)
	if err != nil {
		return nil, err
	}
	report(ctx, path, a)
	return a.JSON, a.Err
}

// shown returns the accounts that Galaxy shows of the caller's.
func (r *Resolver) shown(ctx context.Context) (upstream.Shown, error) {
	q, err := plan.Accounts().With()
	if err != nil {
		return nil, err
	}
	a, err := r.answer(ctx, q)
	if err != nil {
		return nil, err
	}
	return upstream.ShownIn(a)
}

// card returns the title or the icon of an account, nil where Galaxy does not show
// it.
func (r *Resolver) card(ctx context.Context, account *model.ConnectedAccount, field string) (*string, error) {
	if account.Urn == "" {
		return nil, nil
	}
	urns, err := r.urns(ctx, account)
	if err != nil {
		return nil, err
	}
	cards, err := r.cards(ctx, urns)
	if err != nil {
		return nil, err
	}
	return cards.Of(account.Urn, field)
}

// urns returns which accounts to ask about together with that one: in a query all
// shared ones, which are known already, so that every node and every list asks the
// same; after a mutation it alone.
func (r *Resolver) urns(ctx context.Context, account *model.ConnectedAccount) ([]string, error) {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation {
		return []string{account.Urn}, nil
	}
	shown, err := r.shown(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := r.claims(ctx)
	if err != nil {
		return nil, err
	}
	return shown.URNs(claims.ConnectedAccounts), nil
}

// cards returns how Galaxy shows the accounts with these URNs.
func (r *Resolver) cards(ctx context.Context, urns []string) (upstream.Cards, error) {
	q, err := operationOf(ctx).plan.Cards().With(urns)
	if err != nil {
		return upstream.Cards{}, err
	}
	a, err := r.answer(ctx, q)
	if err != nil {
		return upstream.Cards{}, err
	}
	return upstream.CardsIn(a)
}
