package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/99designs/gqlgen/graphql"
)

// errOutput means that an output type is read as an input, which none is.
var errOutput = errors.New("is no input type")

// MarshalGQL hands the list on as it is.
func (c ConnectedAccountConnection) MarshalGQL(w io.Writer) { _, _ = w.Write(c.JSON) }

// UnmarshalGQL is there for gqlgen, which hands on only what has both methods.
func (*ConnectedAccountConnection) UnmarshalGQL(any) error { return errOutput }

// MarshalGQL hands Galaxy's answer on as it is.
func (p GalaxyProfile) MarshalGQL(w io.Writer) { _, _ = w.Write(p.JSON) }

// UnmarshalGQL is there for gqlgen, which hands on only what has both methods.
func (*GalaxyProfile) UnmarshalGQL(any) error { return errOutput }

// MarshalGQL hands Galaxy's answers on as they are.
func (q GalaxyQuery) MarshalGQL(w io.Writer) { _, _ = w.Write(q.JSON) }

// UnmarshalGQL is there for gqlgen, which hands on only what has both methods.
func (*GalaxyQuery) UnmarshalGQL(any) error { return errOutput }

// MarshalJSON serves a JSON value as it is.
func MarshalJSON(value json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(value) })
}

// UnmarshalJSON encodes an input value.
func UnmarshalJSON(v any) (json.RawMessage, error) {
	value, err := json.Marshal(withLists(v))
	if err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return value, nil
}

// withLists returns the value with an empty list for each that is nil, which the
// parser makes of the literal [].
func withLists(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = withLists(v[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name := range v {
			object[name] = withLists(v[name])
		}
		return object
	}
	return v
}
