package e2e_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the gateway, built once for all tests: with the race detector, unless
// the environment has E2E_RACE=off.
var binary string

func TestMain(m *testing.M) {
	// Most of these tests wait most of the time, for processes and for what these do
	// by the clock. A -parallel of the command line counts still.
	_ = flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)*2))
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "galaxygate-e2e-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "galaxygate")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds the gateway.
func build(output string, flags ...string) error {
	flags = append([]string{"build", "-o", output}, flags...)
	if os.Getenv("E2E_RACE") != "off" {
		flags = append(flags, "-race")
	}
	if out, err := exec.Command("go", append(flags, "galaxygate")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return nil
}

// gateway is a running process.
type gateway struct {
	url, admin string
	binary     string
	env        []string
	dir        string
	cmd        *exec.Cmd
	log        *buffer
}

// prepare chooses free ports and a working directory of its own.
func prepare(t *testing.T, env map[string]string) *gateway {
	t.Helper()
	public, admin := freeAddress(t), freeAddress(t)
	g := &gateway{
		url:    "http://" + public,
		admin:  "http://" + admin,
		binary: binary,
		dir:    t.TempDir(),
		log:    &buffer{},
	}
	all := map[string]string{
		"ADDR": public, "ADMIN_ADDR": admin, "PUBLIC_URL": g.url,
		"LOG_LEVEL": "debug", "LOG_FORMAT": "json", "PATH": os.Getenv("PATH"),
	}
	for name, value := range env {
		all[name] = value
	}
	for name, value := range all {
		g.env = append(g.env, name+"="+value)
	}
	return g
}

func (g *gateway) run(t *testing.T) {
	t.Helper()
	cmd := exec.Command(g.binary)
	cmd.Dir, cmd.Env = g.dir, g.env
	cmd.Stdout, cmd.Stderr = g.log, g.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the gateway: %v", err)
	}
	g.cmd = cmd
	t.Cleanup(func() {
		g.stop(t)
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", tail(g.log.String(), 5000))
		}
	})
}

// stop ends the process as an operator does, and wants it to end well.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	if g.cmd == nil {
		return
	}
	cmd := g.cmd
	g.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(40 * time.Second):
		_ = cmd.Process.Kill()
		t.Errorf("the gateway did not end within 40 s of SIGTERM")
	}
	if strings.Contains(g.log.String(), "DATA RACE") {
		t.Errorf("the race detector found something")
	}
}

// command runs one command of the gateway's to its end.
func (g *gateway) command(t *testing.T, args ...string) (output string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.binary, args...)
	cmd.Dir, cmd.Env = g.dir, g.env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("galaxygate %v: %v", args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// await waits until the address answers with the status.
func (g *gateway) await(t *testing.T, url string, status int) string {
	t.Helper()
	var last string
	eventually(t, 60*time.Second, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		last = fmt.Sprintf("%d %s", resp.StatusCode, body)
		return resp.StatusCode == status
	}, func() string {
		return fmt.Sprintf("%s does not answer %d but %s\n%s", url, status, last, tail(g.log.String(), 4000))
	})
	return last
}

// goroutines is how many the gateway has.
func (g *gateway) goroutines(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(g.await(t, g.admin+"/metrics", http.StatusOK)) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("metrics do not tell the number of goroutines")
	return 0
}

// eventually waits for a condition, looking every 20 ms.
func eventually(t *testing.T, limit time.Duration, condition func() bool, otherwise func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("within %v: %s", limit, otherwise())
		}
	}
}

// freeAddress returns a loopback address that nothing listens on, each once. Its
// port is below those that systems give to outgoing connections and to listeners
// on port 0, any of which could take it before the gateway does, and below those of
// internal/bench, whose test runs at the same time.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(16_000)
		if _, taken := ports.LoadOrStore(port, true); taken {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if listener, err := net.Listen("tcp", address); err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal("no free port in 100 tries")
	return ""
}

// ports are those that freeAddress has given out.
var ports sync.Map

// buffer collects the output of a process.
type buffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}
