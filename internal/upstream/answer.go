package upstream

import (
	"encoding/json"
	"sync"
	"time"
)

// Answer is what became of a question. It is not changed once it is there, and
// may be given to many.
type Answer struct {
	// JSON is the answer; nil where there is none.
	JSON []byte
	// Errors are those at or beneath the question's field.
	Errors []FieldError
	// Err is why there is no JSON.
	Err error
	// Age is how old an answer is that is given out after its time, because no new
	// one is to be had; else 0.
	Age time.Duration

	asked   time.Time
	shared  bool // whether another replica was answered it
	decoded *decoded
}

// FieldError is an error in an answer.
type FieldError struct {
	*Error

	Path []any // beneath the question's field: strings and ints
}

type decoded struct {
	once  sync.Once
	value any
	err   error
}

func newAnswer(json []byte, asked time.Time) *Answer {
	return &Answer{JSON: json, asked: asked, decoded: &decoded{}}
}

func unansweredBy(err error) *Answer { return &Answer{Err: err} }

// whole reports whether the answer lacks nothing.
func (a *Answer) whole() bool { return a.Err == nil && len(a.Errors) == 0 }

// malformed is the error of an answer that is not what the schema says.
func malformed() *Error {
	return &Error{Kind: Unavailable, Message: "The answer has an unexpected form."}
}

// decode decodes the answer, once for all who ask for it in that form.
func decode[T any](a *Answer) (T, error) {
	var value T
	if a.JSON == nil {
		return value, a.Err
	}
	a.decoded.once.Do(func() {
		var value T
		if json.Unmarshal(a.JSON, &value) != nil {
			a.decoded.err = malformed()
		}
		a.decoded.value = value
	})
	value, _ = a.decoded.value.(T)
	return value, a.decoded.err
}
