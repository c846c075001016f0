package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"galaxygate/internal/pgtest"
)

func TestDevelopmentModeNeedsNothing(t *testing.T) {
	t.Parallel()
	g := prepare(t, nil)
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	if out := g.log.String(); !strings.Contains(out, "DEVELOPMENT MODE") || !strings.Contains(out, g.url) {
		t.Errorf("it does not say what it is:\n%s", out)
	}
	for name, want := range map[string]os.FileMode{".galaxygate": 0o700, ".galaxygate/keyset.json": 0o600, ".galaxygate/galaxygate.db": 0o600} {
		info, err := os.Stat(filepath.Join(g.dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want mode %o", name, info.Mode(), err, want)
		}
	}
	if body := g.await(t, g.url+"/", http.StatusOK); !strings.Contains(body, "graphiql") {
		t.Errorf("the start page is not the playground: %s", tail(body, 1000))
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	g := prepare(t, nil)
	if out, status := g.command(t, "--help"); status != 0 || !strings.Contains(out, "TOKEN_KEYSET") || !strings.Contains(out, "migrate status") {
		t.Errorf("--help: %d\n%s", status, out)
	}
	if out, status := g.command(t, "--version"); status != 0 || !strings.HasPrefix(out, "galaxygate ") {
		t.Errorf("--version: %d\n%s", status, out)
	}
	if out, status := g.command(t, "nonsense"); status != 2 || !strings.Contains(out, "--help") {
		t.Errorf("nonsense: %d\n%s", status, out)
	}
	if out, status := g.command(t, "config"); status != 0 || !strings.Contains(out, "# mode: development") {
		t.Errorf("config: %d\n%s", status, out)
	}
	out, status := g.command(t, "keys", "list")
	if _, err := os.Stat(filepath.Join(g.dir, ".galaxygate")); status != 1 || !strings.Contains(out, "development mode: .galaxygate/galaxygate.db\n") || err == nil {
		t.Errorf("keys list where there is nothing: %d, it must say so and make nothing (%v)\n%s", status, err, out)
	}
	if out, status := g.command(t, "migrate", "status"); status != 0 || !strings.Contains(out, "pending") {
		t.Errorf("migrate status where there is nothing: %d\n%s", status, out)
	}
	if out, status := g.command(t, "migrate", "up"); status != 0 || !strings.Contains(out, "development mode: .galaxygate/galaxygate.db\n") {
		t.Errorf("migrate up: %d\n%s", status, out)
	}
	g.env = append(g.env, "ROLLUP_ISSUER=", "RATE_LIMIT=many", "TOKEN_KEYSET_KMS_URI=nonsense", "REDIS_URL=http://:hush@localhost")
	out, status = g.command(t, "config")
	for _, want := range []string{"ROLLUP_ISSUER: is required", "TOKEN_KEYSET: is required", "RATE_LIMIT: must be", "REDIS_URL: must be"} {
		if status != 1 || !strings.Contains(out, want) {
			t.Errorf("config: %d, want %q in\n%s", status, want, out)
		}
	}
	if strings.Contains(out, "hush") {
		t.Errorf("config shows a secret:\n%s", out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "(this is a production configuration because ROLLUP_ISSUER") || !strings.Contains(out, "TOKEN_KEYSET_KMS_URI:") {
		t.Errorf("config ends with %q, after\n%s", last, out)
	}
	g.env = append(g.env, "TOKEN_KEYSET_KMS_URI=", "REDIS_URL=", "TOKEN_KEYSET=not a keyset", "DATABASE_URL=sqlite://"+filepath.Join(g.dir, "gate.db"))
	if out, status := g.command(t, "keys", "list"); status != 1 || !strings.Contains(out, "galaxygate: TOKEN_KEYSET: not a keyset") {
		t.Errorf("keys list: %d\n%s", status, out)
	}
	g.env = append(g.env, "TOKEN_KEYSET="+keys(t))
	for _, args := range [][]string{{"keys", "remove"}, {"keys", "remove", "7", "--unused"}} {
		if out, status := g.command(t, args...); status != 2 || !strings.Contains(out, "either") {
			t.Errorf("%v: %d\n%s", args, status, out)
		}
	}
}

func TestMigrationsAndKeys(t *testing.T) {
	t.Parallel()
	w := settle(t, pgtest.NewServer(t).URL, rollup, nil)
	if out, status := w.command(t); status != 1 || !strings.Contains(out, "migrate up") {
		t.Errorf("serve on an old schema: %d\n%s", status, out)
	}
	if out, status := w.command(t, "migrate", "status"); status != 0 || !strings.Contains(out, "pending") {
		t.Errorf("migrate status: %d\n%s", status, out)
	}
	if out, status := w.command(t, "migrate", "up"); status != 0 {
		t.Errorf("migrate up: %d\n%s", status, out)
	}
	if out, status := w.command(t, "migrate", "status"); status != 0 || strings.Contains(out, "pending") {
		t.Errorf("migrate status: %d\n%s", status, out)
	}
	w.run(t)
	w.await(t, w.admin+"/readyz", http.StatusOK)
	w.stop(t)

	other, status := w.command(t, "keys", "new")
	if status != 0 {
		t.Fatalf("keys new: %d\n%s", status, other)
	}
	w.env = append(w.env, "TOKEN_KEYSET="+strings.TrimSpace(other))
	if out, status := w.command(t); status != 1 || !strings.Contains(out, "keyset") || strings.Contains(out, strings.TrimSpace(other)) {
		t.Errorf("serve with another keyset: %d\n%s", status, out)
	}
}
