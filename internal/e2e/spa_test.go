package e2e_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// theApp is the single-page app that the project shows to newcomers.
const theApp = "../../examples/spa"

// appGateway prepares a gateway in development mode, at the host localhost, for a page
// of that origin: two origins of one site, as in production.
func appGateway(t *testing.T, origin string, more ...string) *gateway {
	t.Helper()
	g := prepare(t, nil)
	g.url = localhost(g.url)
	g.env = append(g.env, "PUBLIC_URL="+g.url, "ALLOWED_ORIGINS="+origin, "ALLOWED_REDIRECTS="+origin+"/*",
		"GALAXY_CACHE=0") // what is switched at the provider is seen at once
	g.env = append(g.env, more...)
	return g
}

// localhost is the address by the name that cookies of pages and gateway share.
func localhost(address string) string { return strings.Replace(address, "127.0.0.1", "localhost", 1) }

// buildApp builds the app for production, for that gateway, and returns the folder. What
// the build generates in the app's own folder git ignores.
func buildApp(t *testing.T, gateway string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(theApp, "node_modules", ".package-lock.json")); err != nil {
		lacking(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output := filepath.Join(t.TempDir(), "dist")
	cmd := exec.CommandContext(ctx, "npm", "run", "build", "--", "--outDir", output)
	cmd.Dir = theApp
	cmd.Env = append(os.Environ(), "VITE_GATEWAY="+gateway+"/") // as people write addresses
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the app: %v\n%s", err, out)
	}
	return output
}

// policy is the Content-Security-Policy that the app's README tells its servers, with
// the addresses of the test's gateway and pictures.
func policy(t *testing.T, gateway, pictures string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(theApp, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := regexp.MustCompile(`(?m)^ +Content-Security-Policy: (.+)$`).FindSubmatch(readme)
	if told == nil {
		t.Fatal("the README tells no Content-Security-Policy")
	}
	return strings.NewReplacer("https://gate.example.com", gateway, "https:;", pictures+";").Replace(string(told[1]))
}

// operator lets a script stop the gateway and start it again.
func operator(t *testing.T, g *gateway) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { g.stop(t) })
	mux.HandleFunc("POST /start", func(http.ResponseWriter, *http.Request) { serving(t, g) })
	return httptest.NewServer(mux)
}

// TestTheSinglePageApp drives examples/spa in a real Chromium, as its users do.
func TestTheSinglePageApp(t *testing.T) {
	t.Parallel()
	chromium := inChromium(t)
	page := httptest.NewUnstartedServer(nil)
	t.Cleanup(page.Close)
	origin := localhost("http://" + page.Listener.Addr().String())
	documents, err := filepath.Abs(filepath.Join(theApp, "src", "gql", "persisted-documents.json"))
	if err != nil {
		t.Fatal(err)
	}
	g := appGateway(t, origin, "TRUSTED_DOCUMENTS="+documents)
	files := http.FileServer(http.Dir(buildApp(t, g.url)))

	t.Run("as built for production", func(t *testing.T) {
		t.Parallel()
		serving(t, g)
		provider := g.embedded(t)
		headers := policy(t, g.url, provider)
		page.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", headers)
			files.ServeHTTP(w, r)
		})
		page.Start()
		power := operator(t, g)
		defer power.Close()
		if out := runNode(t, "spa.mjs", chromium, origin, g.url, provider, documents, power.URL); !t.Failed() {
			t.Log(out)
		}
	})
	t.Run("as developed", func(t *testing.T) {
		t.Parallel()
		address := freeAddress(t)
		g := serving(t, appGateway(t, localhost("http://"+address)))
		runVite(t, g, address)
		runNode(t, "spa-development.mjs", chromium, localhost("http://"+address))
	})
}

// runVite serves the app as its developers see it, at the address, before the gateway,
// until the test ends.
func runVite(t *testing.T, g *gateway, address string) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	vite := filepath.Join("node_modules", "vite", "bin", "vite.js")
	cmd := exec.Command("node", vite, "--host", "127.0.0.1", "--port", port)
	cmd.Dir = theApp
	cmd.Env = append(os.Environ(), "VITE_GATEWAY="+g.url)
	var log buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Vite: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Vite's log:\n%s", log.String())
		}
	})
	g.await(t, "http://"+address+"/", http.StatusOK)
}
