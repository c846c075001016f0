package e2e_test

import (
	"strings"
	"testing"
)

// TestNpmsClientsSignIn takes npm's oauth4webapi and openid-client, unchanged and as
// strict as they are, through the whole flow.
func TestNpmsClientsSignIn(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(*testing.T) *world{
		"on Postgres": func(t *testing.T) *world {
			return found(t, postgres(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
		},
		"in development": func(t *testing.T) *world {
			return &world{gateway: serving(t, prepare(t, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"}))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if said := runNode(t, "native.mjs", nil, with(t).url); !strings.HasSuffix(said, "ok\n") {
				t.Errorf("it says %s", said)
			}
		})
	}
}
