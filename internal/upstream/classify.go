package upstream

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
)

// maxRetryAfter is the longest pause that is believed.
const maxRetryAfter = 24 * time.Hour

// reply is a GraphQL response of Galaxy's.
type reply struct {
	Data   json.RawMessage `json:"data"`
	Errors []replyError    `json:"errors"`
}

type replyError struct {
	Message    string `json:"message"`
	Extensions struct {
		HTTP struct {
			Status int `json:"status"`
		} `json:"http"`
	} `json:"extensions"`
}

// read decodes a reply into data and says what is wrong with it; nil where
// nothing is. Messages are scrubbed of the known secrets.
func read(resp *http.Response, body []byte, data any, now time.Time, known ...secret.Text) *Error {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return opaque(resp, now)
	}
	e := worst(r.Errors, resp.StatusCode)
	hasData := anything(r.Data)
	switch {
	case e == nil && (resp.StatusCode != http.StatusOK || len(r.Data) == 0):
		return opaque(resp, now)
	case e != nil:
		e.Message = secret.Scrub(e.Message, known...)
		if e.Kind == RateLimited {
			e.RetryAfter = retry.After(resp.Header, now, maxRetryAfter)
		}
		e.Partial = hasData && (e.Kind == Failed || e.Kind == Forbidden)
		if !e.Partial {
			return e
		}
	}
	if err := json.Unmarshal(r.Data, data); err != nil {
		return &Error{Kind: Unavailable, Status: resp.StatusCode, Message: "The answer has an unexpected form."}
	}
	return e
}

// opaque is the error of a reply that is no GraphQL response: all that is known
// is its status.
func opaque(resp *http.Response, now time.Time) *Error {
	e := &Error{Kind: Unavailable, Status: resp.StatusCode, Message: "The answer is not a GraphQL response."}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		e.Kind = TokenRejected
	case http.StatusForbidden:
		e.Kind = Forbidden
	case http.StatusTooManyRequests:
		e.Kind, e.RetryAfter = RateLimited, retry.After(resp.Header, now, maxRetryAfter)
	case http.StatusServiceUnavailable:
		e.RetryAfter = retry.After(resp.Header, now, maxRetryAfter)
	}
	return e
}

// worst returns the error that decides: the first that is more than a failure
// of the one field, else the first; nil where there are none.
func worst(errs []replyError, status int) *Error {
	var first *Error
	for _, re := range errs {
		e := classify(re, status)
		if e.Kind != Failed {
			return e
		}
		if first == nil {
			first = e
		}
	}
	return first
}

// classify says what one error of a reply with that HTTP status means. Galaxy
// answers 401 both for the application's key and for the user's token: only the
// message tells them apart.
func classify(re replyError, status int) *Error {
	if re.Extensions.HTTP.Status != 0 {
		status = re.Extensions.HTTP.Status
	}
	e := &Error{Kind: Failed, Status: status, Message: re.Message}
	switch {
	case namesKey(re.Message):
		e.Kind = OperatorFault
	case status == http.StatusUnauthorized, status >= 500 && namesToken(re.Message):
		e.Kind = TokenRejected
	case status == http.StatusForbidden:
		e.Kind = Forbidden
	case status == http.StatusTooManyRequests:
		e.Kind = RateLimited
	case status >= 500:
		e.Kind = Unavailable
	}
	return e
}

func namesKey(message string) bool {
	return strings.Contains(strings.ToLower(message), "api key")
}

// namesToken reports whether the message is a JWT library's about the token.
func namesToken(message string) bool {
	message = strings.ToLower(message)
	for _, name := range []string{"jwt", "jws", `"exp" claim`} {
		if strings.Contains(message, name) {
			return true
		}
	}
	return false
}

// anything reports whether any field of the data is not null.
func anything(data json.RawMessage) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return false
	}
	for _, value := range fields {
		if !bytes.Equal(value, []byte("null")) {
			return true
		}
	}
	return false
}
