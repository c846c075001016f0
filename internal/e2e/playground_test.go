package e2e_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestThePlaygroundInABrowser drives a real Chromium. Where that or Node.js with
// its packages is missing (make parts installs them) it is skipped, or fails
// where the environment has CI=true.
func TestThePlaygroundInABrowser(t *testing.T) {
	t.Parallel()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		missing("%v", err)
	}
	if _, err := os.Stat("browser/node_modules/playwright-core"); err != nil {
		missing("%v", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("%v", err)
	}
	g := prepare(t, nil)
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "playground.mjs", g.url, os.Getenv("SCREENSHOTS"))
	cmd.Dir = "browser"
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
