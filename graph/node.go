package graph

import (
	"context"
	"errors"
	"strings"

	"galaxygate/graph/model"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// identityURNPrefix begins Rollup's identity URNs.
const identityURNPrefix = "urn:rollupid:identity/"

// node returns the object with that ID as the session's user may see it, or nil.
func (r *Resolver) node(ctx context.Context, s session.Session, id string) (model.Node, error) {
	switch {
	case id == s.Subject, isIdentity(id):
		return &model.User{ID: id}, nil
	case upstream.IsAccountID(id):
		return r.accountNode(ctx, s, id)
	default:
		return r.sessionNode(ctx, s, id)
	}
}

func isIdentity(id string) bool {
	name, ok := strings.CutPrefix(id, identityURNPrefix)
	return ok && name != "" && !strings.ContainsAny(name, "?#/ ")
}

func (r *Resolver) accountNode(ctx context.Context, s session.Session, id string) (model.Node, error) {
	if err := r.requireConsent(ctx, s, []string{"connected_accounts"}); err != nil {
		return nil, err
	}
	account, err := r.Upstream.Account(ctx, s.UserID, id)
	switch {
	case errors.Is(err, upstream.ErrAccountNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return toAccount(account), nil
}

func (r *Resolver) sessionNode(ctx context.Context, current session.Session, id string) (model.Node, error) {
	sessions, err := r.Manager.List(ctx, current.UserID)
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		if s.ID == id {
			return toSession(s, current), nil
		}
	}
	return nil, nil
}
