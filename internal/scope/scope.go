package scope

import (
	"slices"
	"strings"
)

// Valid reports whether s is a scope-token: printable ASCII without space, quote
// and backslash.
func Valid(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || c == '"' || c == '\\'
	})
}

// Union returns each scope of the lists once, in the order of first appearance. The
// lists may be a client's, and long.
func Union(lists ...[]string) []string {
	var all []string
	seen := make(map[string]bool)
	for _, one := range slices.Concat(lists...) {
		if !seen[one] {
			seen[one] = true
			all = append(all, one)
		}
	}
	return all
}

// Without returns the scopes that are not among the others.
func Without(scopes, others []string) []string {
	var rest []string
	for _, one := range scopes {
		if !slices.Contains(others, one) {
			rest = append(rest, one)
		}
	}
	return rest
}
