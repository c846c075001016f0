package e2e_test

import (
	"strings"
	"testing"
)

// TestTheAuditsOfGraphQLOverHTTP runs those of npm's graphql-http, anonymously and
// for a user who is signed in.
func TestTheAuditsOfGraphQLOverHTTP(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"INTROSPECTION": "true"}) // some audits ask for __type
	alice := w.browser(t)
	alice.signIn(t, w.url+"/auth/login")
	for name, args := range map[string][]string{
		"anonymous": {w.url + "/graphql"},
		"signed in": {w.url + "/graphql", "galaxygate=" + alice.session()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out := runNode(t, "audits.mjs", nil, args...); !strings.Contains(out, "61 audits are ok") {
				t.Errorf("got %s", out)
			}
		})
	}
}
