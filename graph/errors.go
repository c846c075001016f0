package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/graph/model"
	"galaxygate/internal/errcode"
	"galaxygate/internal/grant"
	"galaxygate/internal/plan"
	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// The values of extensions.service.
const (
	servicePassport = "passport"
	serviceGalaxy   = "galaxy"
)

// codedError is an error as a client is to see it.
type codedError struct {
	code       string
	message    string
	extensions map[string]any // beside the code; may be nil
}

// Error implements error.
func (e *codedError) Error() string { return e.code + ": " + e.message }

func unauthenticated(loginURL string) *codedError {
	return &codedError{errcode.Unauthenticated, "Sign in first.", map[string]any{"loginUrl": loginURL}}
}

func insufficientScope(required, missing []string, consentURL string) error {
	message := "This needs the user's consent to " + strings.Join(missing, " and ") + "."
	return &codedError{errcode.InsufficientScope, message, map[string]any{
		"requiredScopes": required, "missingScopes": missing, "consentUrl": consentURL,
	}}
}

func forbidden(message string) error { return &codedError{code: errcode.Forbidden, message: message} }

func badInput(message string) error { return &codedError{code: errcode.BadUserInput, message: message} }

// presenter turns every error into one with extensions.code, once.
type presenter struct {
	publicURL *url.URL
	logger    *slog.Logger
}

// present implements graphql.ErrorPresenterFunc.
func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	shown := &gqlerror.Error{Path: graphql.GetPath(ctx)}
	var located *gqlerror.Error
	if errors.As(err, &located) {
		shown.Path, shown.Locations = located.Path, located.Locations
		if code, ok := located.Extensions["code"].(string); ok {
			return engineError(shown, located, code)
		}
	}
	e := p.code(ctx, err)
	shown.Message = e.message
	shown.Extensions = map[string]any{"code": e.code}
	maps.Copy(shown.Extensions, e.extensions)
	return shown
}

// engineError shows what gqlgen itself refuses: documents, mostly.
func engineError(shown, found *gqlerror.Error, code string) *gqlerror.Error {
	shown.Message, shown.Err = found.Message, found.Err
	shown.Extensions = maps.Clone(found.Extensions)
	shown.Extensions["code"] = code
	return shown
}

// code says what a client is to see of the error.
func (p presenter) code(ctx context.Context, err error) *codedError {
	var (
		coded  *codedError
		galaxy *upstream.Error
		failed *grant.Failure
		input  *plan.InputError
	)
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, upstream.ErrAccountNotShown):
		return &codedError{code: errcode.NotFound, message: "Galaxy does not show this account, so it cannot be changed here."}
	case errors.Is(err, upstream.ErrAccountNotFound):
		return &codedError{code: errcode.NotFound, message: "There is no such account."}
	case errors.Is(err, grant.ErrSignedOut):
		return unauthenticated(loginURL(p.publicURL))
	case errors.Is(err, session.ErrNotFound):
		return &codedError{code: errcode.NotFound, message: "There is no such session."}
	case errors.As(err, &input):
		return &codedError{code: errcode.BadUserInput, message: input.Argument + " is too long."}
	case errors.Is(err, model.ErrNotURL):
		return &codedError{code: errcode.BadUserInput, message: "A URL must be absolute, or a path of the gateway's."}
	case errors.Is(err, grant.ErrReauthenticationRequired), errors.Is(err, grant.ErrNotFound):
		return p.reauthenticate(err)
	case errors.As(err, &galaxy):
		return galaxyError(galaxy)
	case errors.As(err, &failed):
		return p.passportError(failed)
	case errors.Is(err, grant.ErrTokenRejected):
		return &codedError{errcode.UpstreamError, "Passport refuses the access token.", map[string]any{"service": servicePassport}}
	case errors.Is(err, retry.ErrLater):
		return p.unavailable(ctx, err)
	case ctx.Err() != nil:
		return &codedError{code: errcode.Internal, message: "The operation took too long, or the client has gone."}
	default:
		return p.internal(ctx, "internal error", err.Error())
	}
}

func (p presenter) reauthenticate(err error) *codedError {
	extensions := map[string]any{"loginUrl": loginURL(p.publicURL)}
	if f := (*grant.Failure)(nil); errors.As(err, &f) {
		extensions["reason"] = f.Reason
	}
	return &codedError{errcode.Reauthentication, "The user must sign in again.", extensions}
}

func galaxyError(e *upstream.Error) *codedError {
	switch e.Kind {
	case upstream.RateLimited:
		return away(errcode.UpstreamRateLimited, "Galaxy allows no more requests now.", serviceGalaxy, e.RetryAfter, e.Message)
	case upstream.Forbidden:
		return &codedError{errcode.Forbidden, "Galaxy does not allow this.", map[string]any{
			"service": serviceGalaxy, "upstreamMessage": e.Message,
		}}
	case upstream.Failed, upstream.TokenRejected:
		return away(errcode.UpstreamError, "Galaxy answers with an error.", serviceGalaxy, 0, e.Message)
	default:
		return away(errcode.UpstreamUnavailable, "Galaxy cannot be asked now.", serviceGalaxy, e.RetryAfter, e.Message)
	}
}

func (p presenter) passportError(f *grant.Failure) *codedError {
	switch {
	case f.Kind == grant.SignInAgain:
		return p.reauthenticate(f)
	case f.Status == http.StatusTooManyRequests:
		return away(errcode.UpstreamRateLimited, "Passport allows no more requests now.", servicePassport, f.RetryAfter, f.Message)
	default:
		return away(errcode.UpstreamUnavailable, "Passport cannot be asked now.", servicePassport, f.RetryAfter, f.Message)
	}
}

// away is an error of a service's; a retryAfter of 0 is not known.
func away(code, message, service string, retryAfter time.Duration, upstreamMessage string) *codedError {
	extensions := map[string]any{"service": service}
	if retryAfter > 0 {
		extensions["retryAfter"] = int((retryAfter + time.Second - 1) / time.Second)
	}
	if upstreamMessage != "" {
		extensions["upstreamMessage"] = upstreamMessage
	}
	return &codedError{code, message, extensions}
}

// outage is whether it has been said in the log that an operation met a store that
// is away.
type outage struct{ said sync.Once }

type outageKey struct{}

// watchOutage says it once for each operation, and not for each field.
func watchOutage(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(context.WithValue(ctx, outageKey{}, &outage{}))
}

// unavailable says that the store is away, which is not understood any better by
// an ID.
func (p presenter) unavailable(ctx context.Context, err error) *codedError {
	if o, ok := ctx.Value(outageKey{}).(*outage); ok {
		o.said.Do(func() {
			p.logger.WarnContext(ctx, "store not available", "path", graphql.GetPath(ctx).String(), "error", secret.Scrub(err.Error()))
		})
	}
	return &codedError{errcode.Internal, "The service is not available right now. You are not signed out.", map[string]any{
		"retryAfter": 1,
	}}
}

// internal hides what went wrong behind an ID that the log has too. The cause is
// not understood, so it may quote anything.
func (p presenter) internal(ctx context.Context, event, cause string, attrs ...any) *codedError {
	id := rand.Text()
	attrs = append(attrs, "error_id", id, "path", graphql.GetPath(ctx).String(), "error", secret.Scrub(cause))
	p.logger.ErrorContext(ctx, event, attrs...) //nolint:sloglint // both callers' messages are constant
	return &codedError{errcode.Internal, "Internal error. Error ID: " + id, map[string]any{"errorId": id}}
}

// recovered implements graphql.RecoverFunc.
func (p presenter) recovered(ctx context.Context, value any) error {
	cause := "panic"
	if err, ok := value.(error); ok {
		cause = err.Error()
	} else if text, ok := value.(string); ok {
		cause = text
	}
	return p.internal(ctx, "panic", cause, "stack", string(debug.Stack()))
}
