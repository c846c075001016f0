package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// lacking skips a test for a part that is not on the machine (make parts installs
// it), or fails it where the environment has CI=true.
func lacking(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// runNode runs a script of the directory node, with what npm installed there, and
// returns what it printed. The test fails where the script does.
func runNode(t *testing.T, script string, env []string, args ...string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		lacking(t, err)
	}
	if _, err := os.Stat(filepath.Join("node", "node_modules", ".package-lock.json")); err != nil {
		lacking(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{script}, args...)...)
	cmd.Dir = "node"
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// inChromium is the environment of a script that drives Debian's Chromium. Pictures go
// to the folder SCREENSHOTS, where the environment has that.
func inChromium(t *testing.T) []string {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		lacking(t, err)
	}
	return []string{"CHROMIUM=" + chromium}
}
