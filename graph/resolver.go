package graph

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/plan"
	"galaxygate/internal/recent"
	"galaxygate/internal/redirect"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// Grants reads stored consents. *grant.Source does.
type Grants interface {
	// Grant returns the user's grant, or grant.ErrNotFound. It may be a moment
	// old.
	Grant(ctx context.Context, userID string) (grant.Grant, error)
	// Reread is Grant as it is now.
	Reread(ctx context.Context, userID string) (grant.Grant, error)
}

// Revoker gives consents back. *grant.Source does.
type Revoker interface {
	// Revoke erases the user's grant, ends the user's sessions and has the consent
	// taken back at the provider, which may take longer than the call. It returns
	// grant.ErrNotFound where there is none.
	Revoke(ctx context.Context, userID string) (grant.Revocation, error)
}

// SessionManager lists and ends sessions, and tells of ends. *session.Manager does.
type SessionManager interface {
	// Confirm returns nil where the context's session is live still, and
	// session.ErrNotFound where it has ended since the request began.
	Confirm(ctx context.Context) error
	// List returns the user's live sessions, newest first.
	List(ctx context.Context, userID string) ([]session.Session, error)
	// End ends the user's session and returns it, or session.ErrNotFound.
	End(ctx context.Context, userID, id string, reason session.EndReason) (session.Session, error)
	// EndOthers ends the user's live sessions but one, and returns how many.
	EndOthers(ctx context.Context, userID, keepID string) (int, error)
	// Ended returns a channel that receives how the context's session ended, once
	// it has, and is closed then or once ctx has ended.
	Ended(ctx context.Context) <-chan session.End
}

// Resolver answers the fields of the schema. Its fields are set before first use
// and not changed after. None may be named like a field of the schema, whose
// generated method would hide it.
type Resolver struct {
	Planner  *plan.Planner // of Schema
	Upstream *upstream.Client
	Grants   Grants
	Revoker  Revoker
	Manager  SessionManager
	Audit    audit.Log
	Events   audit.Reader
	// PublicURL is the address of the gateway that browsers use.
	PublicURL *url.URL
	// Returns are the addresses beside it that sign-in may return to.
	Returns redirect.Rules
	Now     func() time.Time
	Logger  *slog.Logger

	refused recent.Set // refusals that were recorded
}

// caller returns the request's session, or an error of code UNAUTHENTICATED.
func (r *Resolver) caller(ctx context.Context) (session.Session, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return session.Session{}, unauthenticated(loginURL(r.PublicURL))
	}
	return s, nil
}

// liveCaller is caller for what is not to be done for a session that has ended since
// the operation began: else who was signed out for cause would, in return, sign out
// everybody else.
func (r *Resolver) liveCaller(ctx context.Context) (session.Session, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return session.Session{}, err
	}
	switch err := r.Manager.Confirm(ctx); {
	case errors.Is(err, session.ErrNotFound):
		return session.Session{}, unauthenticated(loginURL(r.PublicURL))
	case err != nil:
		return session.Session{}, err
	}
	return s, nil
}

// end ends the caller's session with that ID. Where it is the request's own, the
// rest of the request is anonymous, also when the session had ended already.
func (r *Resolver) end(ctx context.Context, id string, reason session.EndReason) (session.Session, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return session.Session{}, err
	}
	ended, err := r.Manager.End(ctx, s.UserID, id, reason)
	if id == s.ID && (err == nil || errors.Is(err, session.ErrNotFound)) {
		session.Leave(ctx)
	}
	return ended, err
}
