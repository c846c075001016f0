package graphqlhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/audit"
	"galaxygate/internal/errcode"
)

// Refusal is why a request is not served.
type Refusal struct {
	Status     int
	Code       string        // extensions.code of the GraphQL error
	Message    string        // one sentence, shown to the caller
	RetryAfter time.Duration // sent in whole seconds; 0: not at all

	malformed bool // it was read, and is no request of GraphQL over HTTP
}

// InternalError is the answer to what went wrong in this process.
func InternalError() Refusal {
	return Refusal{Status: http.StatusInternalServerError, Code: errcode.Internal, Message: "Internal error."}
}

// Unavailable is the answer where it cannot be told now who is calling: nobody is
// taken for signed out.
func Unavailable() Refusal {
	return Refusal{
		Status:     http.StatusServiceUnavailable,
		Code:       errcode.Internal,
		Message:    "The service is not available right now. You are not signed out.",
		RetryAfter: time.Second,
	}
}

// Text is what the caller reads: the message, and for an internal error the
// request's ID, by which the log tells more.
func (f Refusal) Text(ctx context.Context) string {
	if id := audit.ActorFrom(ctx).RequestID; f.Code == errcode.Internal && id != "" {
		return f.Message + " Request ID: " + id
	}
	return f.Message
}

// retrySeconds is RetryAfter in whole seconds, rounded up.
func (f Refusal) retrySeconds() int { return int((f.RetryAfter + time.Second - 1) / time.Second) }

// SetHeader tells by Retry-After when it is worth another try.
func (f Refusal) SetHeader(h http.Header) {
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retrySeconds()))
	}
}

// Refuse answers the request with the refusal, as a GraphQL error.
func Refuse(w http.ResponseWriter, r *http.Request, refusal Refusal) {
	refusal.SetHeader(w.Header())
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", contentType(mediaJSON))
	}
	writeResult(w, refusal.Status, result{Errors: gqlerror.List{refusal.graphQL(r.Context())}})
}

// graphQL is the refusal as a GraphQL error.
func (f Refusal) graphQL(ctx context.Context) *gqlerror.Error {
	extensions := map[string]any{"code": f.Code}
	if f.RetryAfter > 0 {
		extensions["retryAfter"] = f.retrySeconds()
	}
	return &gqlerror.Error{Message: f.Text(ctx), Extensions: extensions}
}

// result is a GraphQL response. A request error has no data, an execution whose
// root became null has the data null (GraphQL, section 7.1).
type result struct {
	Errors     gqlerror.List
	Data       []byte // JSON; empty: none
	Extensions map[string]any
}

// encode returns the response as JSON. The data are JSON already, as the executor
// made them, and go in as they are.
func (r result) encode() ([]byte, error) {
	body := append(make([]byte, 0, len(r.Data)+64), '{')
	for _, member := range []struct {
		name  string
		empty bool
		value any
	}{
		{"errors", len(r.Errors) == 0, r.Errors},
		{"data", len(r.Data) == 0, nil},
		{"extensions", len(r.Extensions) == 0, r.Extensions},
	} {
		if member.empty {
			continue
		}
		value := r.Data
		if member.value != nil {
			var err error
			if value, err = json.Marshal(member.value); err != nil {
				return nil, fmt.Errorf("encode %s: %w", member.name, err)
			}
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(append(append(append(body, '"'), member.name...), `":`...), value...)
	}
	return append(body, '}'), nil
}

// writeResult sends the response with the Content-Type that is set already.
func writeResult(w http.ResponseWriter, status int, res result) {
	body, err := res.encode()
	if err != nil {
		status = http.StatusInternalServerError
		body = []byte(`{"errors":[{"message":"Internal error.","extensions":{"code":"` + errcode.Internal + `"}}]}`)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone: nobody is left to tell
}
