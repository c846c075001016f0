package passport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/retry"
)

// maxRetryAfter is the longest wait that a provider may ask for and be obeyed:
// a mistaken header must not lock users out for a day.
const maxRetryAfter = 5 * time.Minute

// later returns a failure of kind Later without an HTTP answer.
func later(reason string) *grant.Failure {
	return &grant.Failure{Kind: grant.Later, Reason: reason}
}

// signInAgain returns a failure that only another sign-in can mend.
func signInAgain(reason string) *grant.Failure {
	return &grant.Failure{Kind: grant.SignInAgain, Reason: reason}
}

// operatorFault returns a failure that only the operator can mend.
func operatorFault(reason, message string) *grant.Failure {
	return &grant.Failure{Kind: grant.OperatorFault, Reason: reason, Message: message}
}

// asFailure returns the *grant.Failure in err. Anything else is taken for a
// failed request. The text of such an error is dropped unless its type is known
// to hold addresses at most, for libraries quote bodies and headers in theirs.
func asFailure(err error) *grant.Failure {
	var f *grant.Failure
	if errors.As(err, &f) {
		return f
	}
	f = later(transportReason(err))
	var operation *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		f.Err = context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		f.Err = context.DeadlineExceeded
	case errors.As(err, &certificate):
		f.Err = certificate
	case errors.As(err, &name):
		f.Err = name
	case errors.As(err, &operation):
		f.Err = operation
	}
	return f
}

// transportReason says in a word why no answer came.
func transportReason(err error) string {
	var timeout net.Error
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection_reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection_closed"
	case errors.As(err, &name):
		return "dns"
	case errors.As(err, &certificate):
		return "tls_certificate"
	case errors.Is(err, errTooLarge):
		return "reply_too_large"
	}
	return "connection_failed"
}

// statusFailure is what an HTTP answer means of which only the status line and
// the headers are understood.
func statusFailure(resp *http.Response, now time.Time) *grant.Failure {
	f := later(fmt.Sprintf("http_%d", resp.StatusCode))
	f.Status = resp.StatusCode
	f.RetryAfter = retry.After(resp.Header, now, maxRetryAfter)
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		f.Reason = "redirected"
	case resp.StatusCode == http.StatusTooManyRequests:
		f.Reason = "rate_limited"
	}
	return f
}
