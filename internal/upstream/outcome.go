package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// newGalaxyGuard returns a guard whose errors are *Error.
func newGalaxyGuard(o Observer) *guard {
	return newGuard(guardConfig{
		name: galaxyName, observer: o,
		outcome: galaxyOutcome,
		refuse: func(reason string, after time.Duration) error {
			return &Error{Kind: Unavailable, Message: reason, RetryAfter: after}
		},
	})
}

// galaxyOutcome is what an error of ask says of Galaxy.
func galaxyOutcome(err error) outcome {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return unknown
	case e.Kind != Unavailable, e.long: // else one user's questions would close it to all
		return answered
	case e.Status == 0 && !e.late, gatewayFault(e.Status) && e.RetryAfter == 0:
		return dropped
	}
	return failed
}

// gatewayFault reports whether the status is what a proxy says of a server that it
// could not ask.
func gatewayFault(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// GuardUserInfo returns info behind a circuit breaker and a bulkhead, which asks
// once more where no answer came. A request that it does not make is a
// *grant.Failure of the kind Later. The observer may be nil.
func GuardUserInfo(info UserInfo, o Observer) UserInfo {
	return guardedUserInfo{info, newGuard(guardConfig{
		name: userInfoName, observer: observed(o),
		outcome: userInfoOutcome,
		refuse: func(reason string, after time.Duration) error {
			return &grant.Failure{Kind: grant.Later, Reason: "guarded", Message: reason, RetryAfter: after, Unsent: true}
		},
	})}
}

type guardedUserInfo struct {
	info  UserInfo
	guard *guard
}

// UserInfo implements UserInfo.
func (u guardedUserInfo) UserInfo(ctx context.Context, access secret.Text, subject string, claims any) error {
	return u.guard.run(ctx, true, func(ctx context.Context) error {
		began := time.Now()
		err := u.info.UserInfo(ctx, access, subject, claims)
		u.guard.cfg.observer.Asked(userInfoName, outcomeOf(err), time.Since(began))
		return err
	})
}

// userInfoOutcome is what an error of UserInfo says of the provider.
func userInfoOutcome(err error) outcome {
	var f *grant.Failure
	switch {
	case errors.Is(err, context.Canceled):
		return unknown
	case !errors.As(err, &f), f.Kind != grant.Later, f.Status == http.StatusTooManyRequests:
		return answered
	case f.Unsent:
		return unknown
	case f.Status == 0 && strings.HasPrefix(f.Reason, "connection_"), gatewayFault(f.Status) && f.RetryAfter == 0:
		return dropped
	}
	return failed
}
