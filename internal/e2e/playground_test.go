package e2e_test

import (
	"net/http"
	"regexp"
	"testing"
)

func TestThePlaygroundInABrowser(t *testing.T) {
	t.Parallel()
	g := prepare(t, nil)
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	runNode(t, "playground.mjs", inChromium(t), g.url, g.embedded(t))
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
