package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inThePlayground runs the script against a gateway in development mode.
func inThePlayground(t *testing.T, script string, env map[string]string) {
	t.Helper()
	chromium := inChromium(t)
	g := prepare(t, env)
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	t.Log(runNode(t, script, chromium, g.url, g.embedded(t)))
}

func TestThePlaygroundInABrowser(t *testing.T) {
	t.Parallel()
	inThePlayground(t, "playground.mjs", map[string]string{"GALAXY_CACHE": "3s"}) // an answer is soon an old one
}

// TestWhoeverThePlaygroundIsFor lets people use it by keyboard alone, on a phone, in the
// dark, and with a screen reader.
func TestWhoeverThePlaygroundIsFor(t *testing.T) {
	t.Parallel()
	inThePlayground(t, "playground-reach.mjs", nil)
}

// TestAPlaygroundInTrouble leaves nothing of a person to the next one, and says what is
// the matter where something is.
func TestAPlaygroundInTrouble(t *testing.T) {
	t.Parallel()
	inThePlayground(t, "playground-trouble.mjs", nil)
}

func TestAPlaygroundWithoutIntrospection(t *testing.T) {
	t.Parallel()
	inThePlayground(t, "playground-mute.mjs", map[string]string{"INTROSPECTION": "false"})
}

func TestAPlaygroundOfTrustedDocumentsSaysSo(t *testing.T) {
	t.Parallel()
	trusted := filepath.Join(t.TempDir(), "trusted.json")
	if err := os.WriteFile(trusted, []byte(`{"one": "{ viewer { id } }"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	g := prepare(t, map[string]string{"TRUSTED_DOCUMENTS": trusted})
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	page := g.await(t, g.url, http.StatusOK)
	if !strings.Contains(page, "TRUSTED_DOCUMENTS") || strings.Contains(page, "<script") {
		t.Errorf("got %s", page)
	}
}

// embedded is the address of the provider that the gateway runs in development mode,
// which it must have announced: it is ready.
func (g *gateway) embedded(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`provider +(http://\S+)/dev/`).FindStringSubmatch(g.log.String())
	if found == nil {
		t.Fatal("the gateway has announced no provider")
	}
	return found[1]
}
