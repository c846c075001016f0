package graph

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"galaxygate/graph/model"
	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/scope"
	"galaxygate/internal/session"
)

// viewerOnly is the directive @viewerOnly.
func (r *Resolver) viewerOnly(ctx context.Context, obj any, next graphql.Resolver) (any, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	if user, ok := obj.(*model.User); !ok || user.ID != s.Subject {
		return nil, forbidden("Only the user may see this.")
	}
	return next(ctx)
}

// consent is the directive @consent.
func (r *Resolver) consent(ctx context.Context, _ any, next graphql.Resolver, scopes []string) (any, error) {
	s, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.requireConsent(ctx, s, scopes); err != nil {
		return nil, err
	}
	return next(ctx)
}

// requireConsent returns an error of code INSUFFICIENT_SCOPE, and records it,
// unless the session's user has consented to every scope.
func (r *Resolver) requireConsent(ctx context.Context, s session.Session, scopes []string) error {
	g, err := r.grantOf(ctx, s.UserID, false)
	if err == nil && len(scope.Without(scopes, g.Scopes)) > 0 {
		// The user may have consented a moment ago, on another replica.
		g, err = r.grantOf(ctx, s.UserID, true)
	}
	if err != nil {
		return err
	}
	missing := scope.Without(scopes, g.Scopes)
	if len(missing) == 0 {
		return nil
	}
	r.recordRefusal(ctx, s, g, missing)
	return insufficientScope(scopes, missing, consentURL(r.PublicURL, g.Scopes, missing, nil))
}

// recordRefusal writes the audit row, unless it did within the last minute.
func (r *Resolver) recordRefusal(ctx context.Context, s session.Session, g grant.Grant, missing []string) {
	now := r.Now()
	scopes := strings.Join(missing, " ")
	if !r.refused.Add(s.ID+" "+scopes, now, refusalInterval) {
		return
	}
	err := r.Audit.Record(ctx, audit.Event{
		Kind: audit.ScopeRefused, UserID: s.UserID, GrantID: g.ID, SessionID: s.ID, Reason: scopes, At: now,
	})
	if err != nil {
		r.Logger.WarnContext(ctx, "refused scope not recorded", "session_id", s.ID, "error", err)
	}
}

// loginURL is where a user signs in.
func loginURL(public *url.URL) string { return public.JoinPath("auth", "login").String() }

// consentURL is where the user consents to the wanted scopes as well. The ones
// granted already are asked for again, or the provider would drop them.
func consentURL(public *url.URL, granted, wanted []string, returnTo *string) string {
	parameters := url.Values{"scope": {strings.Join(scope.Union(granted, wanted), " ")}}
	if returnTo != nil {
		parameters.Set("return_to", *returnTo)
	}
	return loginURL(public) + "?" + parameters.Encode()
}

// refusalInterval is how often, at most, the same refusal is recorded.
const refusalInterval = time.Minute
