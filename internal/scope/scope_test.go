package scope_test

import (
	"slices"
	"strconv"
	"testing"

	"galaxygate/internal/scope"
)

func TestValid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"openid": true, "erc_4337": true, "https://example.com/read:all": true, "!#[]~": true,
		"": false, "a b": false, `a"b`: false, `a\b`: false, "a\x00b": false, "a\tb": false, "é": false, "\x7f": false,
	} {
		if got := scope.Valid(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestUnion(t *testing.T) {
	t.Parallel()
	got := scope.Union([]string{"openid", "email"}, nil, []string{"profile", "email", "profile"})
	if want := []string{"openid", "email", "profile"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUnionOfMany would take minutes, were each scope compared with each.
func TestUnionOfMany(t *testing.T) {
	t.Parallel()
	many := make([]string, 1_000_000)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	if got := scope.Union(many, many); len(got) != len(many) {
		t.Errorf("got %d scopes, want %d", len(got), len(many))
	}
}
