package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// TestThePlaygroundInABrowser drives a real Chromium. Where that is missing (make
// parts installs it) it is skipped, or fails where the environment has CI=true.
func TestThePlaygroundInABrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		lacking(t, err)
	}
	g := prepare(t, nil)
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	runNode(t, "playground.mjs", []string{"CHROMIUM=" + chromium}, g.url, os.Getenv("SCREENSHOTS"))
}
