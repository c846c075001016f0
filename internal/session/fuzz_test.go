package session

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzToken holds where a request's session token comes from against what is true of
// any: a bearer token wins, and nothing else passes for one.
func FuzzToken(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""},
		{"Bearer abc", "galaxygate=def"},
		{"bearer  abc ", ""},
		{"Bearer", "galaxygate=a"},
		{"Basic YTpi", "galaxygate=a"},
		{"Bearerabc", "x=1; galaxygate=a; galaxygate=b"},
		{"Bearer\tabc", `galaxygate="a"`},
		{" Bearer abc", "galaxygate"},
		{"Bearer a b", "__Host-galaxygate=a"},
		{"BEARER ", "galaxygate=a=b"},
	} {
		f.Add(seed[0], seed[1])
	}
	m := &Manager{}
	f.Fuzz(func(t *testing.T, authorization, cookies string) {
		r := &http.Request{Header: http.Header{"Authorization": {authorization}, "Cookie": {cookies}}}
		token, byCookie := m.token(r)
		scheme, rest, _ := strings.Cut(authorization, " ")
		if strings.EqualFold(scheme, "bearer") {
			if byCookie || token.Reveal() != strings.TrimSpace(rest) {
				t.Errorf("%q: got %q, by cookie %v", authorization, token.Reveal(), byCookie)
			}
			return
		}
		if !byCookie {
			if !token.IsZero() {
				t.Errorf("%q is no bearer token: got %q", authorization, token.Reveal())
			}
			return
		}
		if value := token.Reveal(); !strings.Contains(cookies, "galaxygate") || !strings.Contains(cookies, value) ||
			strings.ContainsAny(value, ";\r\n\x00") {
			t.Errorf("%q: got %q", cookies, value)
		}
		if len(token.Hash()) != 32 {
			t.Errorf("got a hash of %d bytes", len(token.Hash()))
		}
	})
}
