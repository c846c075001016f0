package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Reply is a GraphQL response to a Request.
type Reply struct {
	// Parts are what became of each question.
	Parts []Part
	// Answered says that the response has data, if only null.
	Answered bool
	// Errors are those that concern no single question.
	Errors []Error
}

// Part is what a response has for one question.
type Part struct {
	// JSON is the answer as the client is to see it; nil where there is none.
	JSON []byte
	// Errors are those at and beneath the question's field.
	Errors []Error
	// Malformed says that there was an answer that is not what the schema says.
	Malformed bool
}

// Error is an error in a response (GraphQL, section 7.1.7).
type Error struct {
	Message string
	Path    []any // beneath the question's field: strings and ints
	Status  int   // extensions.http.status; 0 where there is none
}

// Read takes the response to a Request apart. Its error means that the body is no
// GraphQL response.
func Read(body []byte, questions []Question) (Reply, error) {
	r := reader{
		Reply:     Reply{Parts: make([]Part, len(questions))},
		questions: questions,
		buffer:    make([]byte, 0, len(body)),
		from:      newDecoder(bytes.ToValidUTF8(body, []byte("\uFFFD"))),
	}
	if err := r.members(r.member); err != nil {
		return Reply{}, fmt.Errorf("read response: %w", err)
	}
	for i := range r.Parts { // a small one, which may be kept, is not to hold all
		if part := &r.Parts[i]; 2*len(part.JSON) < len(body) {
			part.JSON = slices.Clone(part.JSON)
		}
	}
	return r.Reply, nil
}

// newDecoder takes what JavaScript makes and reads: a name that comes twice, half a
// surrogate pair. A value is handed on as it is.
func newDecoder(value []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

type reader struct {
	Reply

	questions []Question
	buffer    []byte // holds what the parts are slices of
	from      *jsontext.Decoder
}

// members reads an object.
func (r *reader) members(read func(name string) error) error {
	if r.from.PeekKind() != '{' {
		return errForm
	}
	if _, err := r.from.ReadToken(); err != nil {
		return err
	}
	for r.from.PeekKind() == '"' {
		name, err := r.from.ReadToken()
		if err != nil {
			return err
		}
		if err := read(name.String()); err != nil {
			return err
		}
	}
	_, err := r.from.ReadToken()
	return err
}

func (r *reader) member(name string) error {
	switch {
	case name == "errors":
		return r.errors()
	case name != "data":
		return r.from.SkipValue()
	case r.from.PeekKind() == 'n':
		r.Answered = true
		return r.from.SkipValue()
	default:
		r.Answered = true
		return r.members(r.answer)
	}
}

// answer reads the answer to the question of that alias.
func (r *reader) answer(name string) error {
	i, ok := r.index(name)
	if !ok {
		return r.from.SkipValue()
	}
	start, depth := len(r.buffer), r.from.StackDepth()
	var err error
	if s := r.questions[i].Field.shape; s != nil {
		r.buffer, err = s.write(r.buffer, r.from)
	} else {
		var value jsontext.Value
		value, err = r.from.ReadValue()
		r.buffer = append(r.buffer, value...)
	}
	if errors.Is(err, errForm) {
		r.Parts[i].Malformed = true
		r.buffer = r.buffer[:start]
		return r.leave(depth)
	}
	r.Parts[i].JSON = r.buffer[start:len(r.buffer):len(r.buffer)]
	return err
}

// leave reads on to the end of the member whose object is at that depth.
func (r *reader) leave(depth int) error {
	if err := leave(r.from, depth); err != nil {
		return err
	}
	// The value itself is unread where it was refused before it was opened.
	if _, length := r.from.StackIndex(depth); length%2 == 1 {
		return r.from.SkipValue()
	}
	return nil
}

func (r *reader) index(alias string) (int, bool) {
	digits, ok := strings.CutPrefix(alias, "q")
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil && i >= 0 && i < len(r.Parts)
}

// errors reads the response's errors and gives each to its question.
func (r *reader) errors() error {
	value, err := r.from.ReadValue()
	if err != nil {
		return err
	}
	var wire []struct {
		Message    string `json:"message"`
		Path       []any  `json:"path"`
		Extensions struct {
			HTTP struct {
				Status int `json:"status"`
			} `json:"http"`
		} `json:"extensions"`
	}
	if err := json.Unmarshal(value, &wire); err != nil {
		return fmt.Errorf("%w: %w", errForm, err)
	}
	for _, w := range wire {
		e := Error{Message: w.Message, Status: w.Extensions.HTTP.Status}
		if i, ok := r.place(&e, w.Path); ok {
			r.Parts[i].Errors = append(r.Parts[i].Errors, e)
		} else {
			r.Errors = append(r.Errors, e)
		}
	}
	return nil
}

// place finds the question that a path leads to, and sets the path beneath it.
func (r *reader) place(e *Error, path []any) (int, bool) {
	if len(path) == 0 {
		return 0, false
	}
	alias, _ := path[0].(string)
	for _, step := range path[1:] {
		if index, ok := step.(float64); ok {
			step = int(index)
		}
		e.Path = append(e.Path, step)
	}
	return r.index(alias)
}
