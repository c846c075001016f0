package upstream

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"galaxygate/internal/plan"
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

// readData decodes a reply into data and says what is wrong with it; nil where
// nothing is. Messages are scrubbed of the known secrets.
func readData(resp *http.Response, body []byte, data any, now time.Time, known ...secret.Text) *Error {
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

// readAnswers takes the reply to the questions apart. Its error concerns them all;
// what concerns one is in its answer. Messages are scrubbed of the known secrets.
func readAnswers(
	resp *http.Response, body []byte, questions []plan.Question, now time.Time, known ...secret.Text,
) ([]*Answer, *Error) {
	reply, err := plan.Read(body, questions)
	if err != nil {
		return nil, opaque(resp, now)
	}
	general := make([]*Error, 0, len(reply.Errors))
	for _, e := range reply.Errors {
		general = append(general, classify(e.Message, e.Status, resp.StatusCode, known))
	}
	answers := make([]*Answer, len(questions))
	failed := len(general) > 0
	for i, part := range reply.Parts {
		answers[i] = answerOf(part, now, known)
		failed = failed || len(part.Errors) > 0
	}
	e := whole(general, answers)
	switch {
	case e == nil && !failed && (resp.StatusCode != http.StatusOK || !reply.Answered):
		return nil, opaque(resp, now)
	case e == nil && len(general) > 0 && !reply.Answered:
		e = general[0]
	}
	if e != nil {
		if e.Kind == RateLimited {
			e.RetryAfter = retry.After(resp.Header, now, maxRetryAfter)
		}
		return nil, e
	}
	complete(answers, general, resp.StatusCode)
	return answers, nil
}

// answerOf is what came for one question. An error in its place is about the
// field alone, whatever the status of the response.
func answerOf(part plan.Part, asked time.Time, known []secret.Text) *Answer {
	a := newAnswer(part.JSON, asked)
	if part.Malformed {
		a.Err = malformed()
	}
	for _, e := range part.Errors {
		a.Errors = append(a.Errors, FieldError{classify(e.Message, e.Status, http.StatusOK, known), e.Path})
	}
	return a
}

// whole returns the first error that is more than a failure of one field, nil
// where there is none: the gateway, the token or the number of requests is refused.
func whole(general []*Error, answers []*Answer) *Error {
	more := func(e *Error) bool {
		return e.Kind == TokenRejected || e.Kind == OperatorFault || e.Kind == RateLimited
	}
	for _, e := range general {
		if more(e) {
			return e
		}
	}
	for _, a := range answers {
		for _, e := range a.Errors {
			if more(e.Error) {
				return e.Error
			}
		}
	}
	return nil
}

// complete gives every answer without a value its reason, and each error without a
// place a place. Where a field that cannot be null has failed, the whole data is
// null (GraphQL, section 6.4.4), and the other fields lack theirs for that reason.
func complete(answers []*Answer, general []*Error, status int) {
	reason := &Error{Kind: Unavailable, Status: status, Message: "The answer is incomplete."}
	for _, a := range answers {
		if a.JSON == nil && len(a.Errors) > 0 {
			reason = a.Errors[0].Error
		}
	}
	for _, a := range answers {
		switch {
		case a.JSON == nil && len(a.Errors) > 0:
			a.Err, a.Errors = a.Errors[0].Error, nil
		case a.JSON == nil && a.Err == nil && len(general) > 0:
			a.Err = general[0]
		case a.JSON == nil && a.Err == nil:
			a.Err = reason
		case len(general) > 0:
			a.Errors = append(a.Errors, FieldError{Error: general[0]})
		}
	}
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
		e := classify(re.Message, re.Extensions.HTTP.Status, status, nil)
		if e.Kind != Failed {
			return e
		}
		if first == nil {
			first = e
		}
	}
	return first
}

// classify says what one error means that has a status of its own, or else that
// of its reply. Galaxy answers 401 both for the application's key and for the
// user's token: only the message tells them apart.
func classify(message string, own, status int, known []secret.Text) *Error {
	if own != 0 {
		status = own
	}
	e := &Error{Kind: Failed, Status: status, Message: secret.Scrub(message, known...)}
	switch {
	case namesKey(message):
		e.Kind = OperatorFault
	case status == http.StatusUnauthorized, status >= 500 && namesToken(message):
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
