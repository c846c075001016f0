package graph

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/internal/grant"
	"galaxygate/internal/plan"
	"galaxygate/internal/scope"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

type operationKey struct{}

// operation is what is known of the operation under way.
type operation struct {
	plan *plan.Plan
	cost upstream.Cost

	mu     sync.Mutex
	rounds map[string]*round
}

// plans gives each operation its plan.
func (r *Resolver) plans(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	o := graphql.GetOperationContext(ctx)
	return next(context.WithValue(ctx, operationKey{}, &operation{
		plan:   r.Planner.Plan(o.Operation, o.Variables),
		rounds: make(map[string]*round),
	}))
}

func operationOf(ctx context.Context) *operation {
	o, _ := ctx.Value(operationKey{}).(*operation)
	return o
}

// round is what can be asked at once: all of a query, or what is selected of one
// field of a mutation's root. What is asked in it is asked once.
type round struct {
	name      string
	operation *operation

	mu      sync.Mutex
	consent *consent
	claims  func() (upstream.Claims, error)
	ahead   func() (map[string]*upstream.Answer, error)
	more    map[string]*upstream.Answer // that could not be foreseen
}

// consent is the user's grant as it was read, once or, for want of a scope, twice.
type consent struct {
	grant  grant.Grant
	err    error
	reread bool
}

// roundOf returns the round that the field under way belongs to.
func roundOf(ctx context.Context) *round {
	o := operationOf(ctx)
	name := ""
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation {
		name = rootOf(graphql.GetFieldContext(ctx))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rounds[name] == nil {
		o.rounds[name] = &round{name: name, operation: o, more: make(map[string]*upstream.Answer)}
	}
	return o.rounds[name]
}

// renew forgets what the mutation under way has asked: what follows is to show what
// it did.
func renew(ctx context.Context) {
	r := roundOf(ctx)
	r.operation.mu.Lock()
	defer r.operation.mu.Unlock()
	delete(r.operation.rounds, r.name)
}

// rootOf is the response's name of the field of the operation's root that the
// field is beneath.
func rootOf(fc *graphql.FieldContext) string {
	root := fc
	for ; fc != nil; fc = fc.Parent {
		if fc.Field.Field != nil { // neither an element of a list nor the root itself
			root = fc
		}
	}
	return root.Field.Alias
}

// placeOf is the place of a field in its operation.
func placeOf(fc *graphql.FieldContext) string {
	if fc == nil {
		return ""
	}
	parent := placeOf(fc.Parent)
	if fc.Field.Field == nil { // an element of a list
		return parent
	}
	return plan.Place(parent, fc.Object, fc.Field.Alias)
}

// grantOf returns the user's grant, read once in the round, or anew where that has
// not been done yet.
func (r *Resolver) grantOf(ctx context.Context, userID string, anew bool) (grant.Grant, error) {
	round := roundOf(ctx)
	round.mu.Lock()
	defer round.mu.Unlock()
	switch {
	case round.consent == nil:
		g, err := r.Grants.Grant(ctx, userID)
		round.consent = &consent{grant: g, err: err}
	case anew && !round.consent.reread:
		g, err := r.Grants.Reread(ctx, userID)
		round.consent = &consent{grant: g, err: err, reread: true}
	}
	return round.consent.grant, round.consent.err
}

// asker returns as whom the session's user asks.
func (r *Resolver) asker(ctx context.Context, s session.Session) (upstream.Caller, error) {
	g, err := r.grantOf(ctx, s.UserID, false)
	if err != nil {
		return upstream.Caller{}, err
	}
	return upstream.CallerOf(g, &operationOf(ctx).cost), nil
}

// writer returns the session, and as whom its user asks for a change.
func (r *Resolver) writer(ctx context.Context) (session.Session, upstream.Caller, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return session.Session{}, upstream.Caller{}, err
	}
	who, err := r.asker(ctx, s)
	return s, who, err
}

// claims returns what userinfo says of the caller.
func (r *Resolver) claims(ctx context.Context) (upstream.Claims, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return upstream.Claims{}, err
	}
	who, err := r.asker(ctx, s)
	if err != nil {
		return upstream.Claims{}, err
	}
	round := roundOf(ctx)
	round.mu.Lock()
	if round.claims == nil {
		round.claims = sync.OnceValues(func() (upstream.Claims, error) { return r.Upstream.Claims(ctx, who) })
	}
	claims := round.claims
	round.mu.Unlock()
	return claims()
}

// answer returns the answer to a question of the field under way. With the first
// one, all that the round will need is asked.
func (r *Resolver) answer(ctx context.Context, q plan.Question) (*upstream.Answer, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	round := roundOf(ctx)
	round.mu.Lock()
	if round.ahead == nil {
		round.ahead = sync.OnceValues(func() (map[string]*upstream.Answer, error) { return r.lookAhead(ctx, s, q) })
	}
	ahead := round.ahead
	round.mu.Unlock()
	answers, err := ahead()
	if err != nil {
		return nil, err
	}
	if a := answers[q.Key]; a != nil {
		return a, nil
	}
	return r.askMore(ctx, s, round, q)
}

// lookAhead asks what the round will need, and the question with it.
func (r *Resolver) lookAhead(ctx context.Context, s session.Session, q plan.Question) (map[string]*upstream.Answer, error) {
	g, err := r.grantOf(ctx, s.UserID, false)
	if err != nil {
		return nil, err
	}
	round := roundOf(ctx)
	questions := round.operation.plan.Ahead(round.name, plan.Viewer{
		Subject:   s.Subject,
		Consented: func(scopes []string) bool { return len(scope.Without(scopes, g.Scopes)) == 0 },
		TypeOf:    func(id string) string { return typeOf(s, id) },
	}, graphql.GetOperationContext(ctx).Variables)
	questions = plan.With(questions, q)
	answers := make(map[string]*upstream.Answer, len(questions))
	for i, a := range r.Upstream.Ask(ctx, upstream.CallerOf(g, &round.operation.cost), questions) {
		answers[questions[i].Key] = a
	}
	return answers, nil
}

// askMore asks what was not foreseen: what depends on another answer.
func (r *Resolver) askMore(ctx context.Context, s session.Session, round *round, q plan.Question) (*upstream.Answer, error) {
	who, err := r.asker(ctx, s)
	if err != nil {
		return nil, err
	}
	round.mu.Lock()
	defer round.mu.Unlock() // so that it is asked once
	if round.more[q.Key] == nil {
		round.more[q.Key] = r.Upstream.Ask(ctx, who, []plan.Question{q})[0]
	}
	return round.more[q.Key], nil
}
