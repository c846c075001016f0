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
	switch typeOf(s, id) {
	case "User":
		return &model.User{ID: id}, nil
	case "ConnectedAccount":
		return r.accountNode(ctx, s, id)
	default:
		return r.sessionNode(ctx, s, id)
	}
}

// typeOf is the type of the object with that ID, if there is one.
func typeOf(s session.Session, id string) string {
	switch {
	case id == s.Subject, isIdentity(id):
		return "User"
	case upstream.IsAccountID(id):
		return "ConnectedAccount"
	default:
		return "Session"
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
	claims, err := r.claims(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := r.shown(ctx)
	if err != nil {
		return nil, err
	}
	account, err := shown.Find(claims.ConnectedAccounts, id)
	switch {
	case errors.Is(err, upstream.ErrAccountNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return toAccount(account, id, shown.URN(account) != ""), nil
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
