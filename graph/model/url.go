// Package model is what the schema's types are in Go: gqlgen's output, and the
// scalars that it cannot write.
package model

import (
	"errors"
	"net/url"

	"github.com/99designs/gqlgen/graphql"
)

// ErrNotURL means that an input is no absolute URL.
var ErrNotURL = errors.New("want an absolute URL, or a path")

// MarshalURL serves a URL as it came from upstream.
func MarshalURL(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalURL reads a URL with a scheme and a host, or a path; otherwise
// ErrNotURL.
func UnmarshalURL(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", ErrNotURL
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" && (u.Host != "" || len(u.Path) == 0 || u.Path[0] != '/') {
		return "", ErrNotURL
	}
	return s, nil
}
