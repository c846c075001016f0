package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
)

// TestTheNativeExample signs Alice in with examples/native, as its README says, and
// goes through all that it can do.
func TestTheNativeExample(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	alice := &devrollup.Visitor{Person: "alice", Scopes: []string{"openid", "profile"}}

	c.says(t, 1, "not signed in: galaxygate-native sign-in", "whoami")
	c.signsIn(t, alice, "sign-in")
	first := c.session(t)
	c.says(t, 0, `"kind": "NATIVE"`, "query", "{ session { kind } }")
	said := c.says(t, 1, "Alice", "whoami")

	// What it says to run is what helps.
	missing := regexp.MustCompile(`email: this needs your consent: galaxygate-native (consent .*)`).FindStringSubmatch(said)
	if missing == nil || !strings.Contains(missing[1], "profile") || !strings.Contains(missing[1], "email") {
		t.Fatalf("whoami says: %s", said)
	}
	alice.Scopes = nil
	c.signsIn(t, alice, strings.Fields(missing[1])...)
	second := c.session(t)
	if said := c.says(t, 0, "alice@", "whoami"); !strings.Contains(said, "account") || !strings.Contains(said, "NATIVE") {
		t.Errorf("whoami says: %s", said)
	}
	c.wantLive(t, first, false)
	c.wantLive(t, second, true)
	if r := answerOf(t, c.w.gateway, second, `{ viewer { sessions { totalCount } } }`); r.at("viewer", "sessions", "totalCount") != 1.0 {
		t.Errorf("sessions: %+v", r)
	}
	c.says(t, 1, "BAD_USER_INPUT", "query", `{ viewer { sessions(first: 1000) { totalCount } } }`)

	c.says(t, 0, "You are signed out", "sign-out")
	c.wantLive(t, second, false)
	c.says(t, 1, "not signed in: galaxygate-native sign-in", "whoami")
	if _, err := os.Stat(c.file(t)); err == nil {
		t.Error("the file is there after sign-out")
	}
	c.showsNone(t, first, second)
}

func TestTheNativeExampleTellsWhatToDo(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	c.signsIn(t, &devrollup.Visitor{Person: "bob"}, "sign-in")
	session := c.session(t)

	c.turn(t, `{"faults":{"galaxy":{"status":429,"retryAfter":"7"}}}`)
	c.says(t, 1, "galaxy cannot answer now; try again in ", "query", "{ viewer { profile { displayName } } }")
	c.turn(t, `{"faults":{}}`)

	running := c.begin(t, "sign-in")
	c.comesBack(t, &devrollup.Visitor{Person: "alice", Deny: true})
	running.ends(t, 1, "access_denied")
	c.wantLive(t, session, true) // what was kept before is kept

	answerOf(t, c.w.gateway, session, `mutation { logout { sessionId } }`)
	c.says(t, 1, "not signed in: galaxygate-native sign-in", "whoami")
	c.says(t, 1, "not signed in: galaxygate-native sign-in", "query", "{ viewer { id } }")
	c.says(t, 1, "is the gateway running?", "sign-in", "--gateway", "http://"+freeAddress(t))
	c.says(t, 1, "calls itself", "sign-in", "--gateway", strings.Replace(c.w.url, "127.0.0.1", "localhost", 1))
	for _, gateway := range []string{"http://gate.example.com", "gate.example.com", "ftp://127.0.0.1", "https:", ""} {
		c.says(t, 1, "no gateway's address", "whoami", "--gateway", gateway)
	}
	c.says(t, 2, "consent SCOPE", "consent")
	c.says(t, 0, "sign-out", "--help")
	c.showsNone(t, session)
}

// TestTheNativeExampleForgetsWhatTheUserWantsGone signs out while the gateway is away.
func TestTheNativeExampleForgetsWhatTheUserWantsGone(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	c.signsIn(t, &devrollup.Visitor{Person: "alice"}, "sign-in")
	session := c.session(t)
	c.w.stop(t)
	c.says(t, 1, "forgotten here", "sign-out")
	if _, err := os.Stat(c.file(t)); err == nil {
		t.Error("the file is there after sign-out")
	}
	c.showsNone(t, session)
}

// TestTheNativeExampleEndsByItself ends a sign-in whose browser never comes back.
func TestTheNativeExampleEndsByItself(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	c.says(t, 1, "did not come back in time", "sign-in", "--timeout", "1s")
	c.opened(t)

	nowhere := c.command("sign-in")
	nowhere.cmd.Env = []string{"GALAXYGATE_URL=" + c.w.url} // no place to keep a session in
	nowhere.start(t)
	if said := nowhere.ends(t, 1, "HOME"); strings.Contains(said, "browser") {
		t.Errorf("the user signs in for nothing: %s", said)
	}

	running := c.begin(t, "sign-in")
	redirect := queryOf(t, c.opened(t)).Get("redirect_uri")
	if resp, _ := c.browser.get(t, redirect+"?code=forged&state=forged"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a forged answer: %d", resp.StatusCode)
	}
	if err := running.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	running.ends(t, 1, "interrupt")
	if status, _ := c.browser.open(redirect); !strings.Contains(status, "refused") {
		t.Errorf("afterwards its address answers %s", status)
	}
	if _, err := os.Stat(c.file(t)); err == nil {
		t.Error("there is a session")
	}
}

// commandLine is a terminal on a machine without a keyring, with examples/native and
// a browser, before a gateway in development mode.
type commandLine struct {
	w       *world
	binary  string
	home    string
	browser *browser
	said    buffer // all that was printed
}

func newCommandLine(t *testing.T) *commandLine {
	t.Helper()
	g := prepare(t, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback", "GALAXY_CACHE": "0"})
	c := &commandLine{w: &world{gateway: serving(t, g)}, binary: example(t), home: t.TempDir()}
	c.browser = c.w.browser(t)
	// The browser says where it was sent to, and the test goes there.
	script := "#!/bin/sh\nprintf %s \"$1\" >\"$HOME/opening\" && mv \"$HOME/opening\" \"$HOME/opened\"\n"
	if err := os.WriteFile(filepath.Join(c.home, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

// example is the program of examples/native, built once.
func example(t *testing.T) string {
	t.Helper()
	binary, err := builtExample()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var builtExample = sync.OnceValues(func() (string, error) {
	output := filepath.Join(filepath.Dir(binary), "native")
	cmd := exec.Command("go", "build", "-o", output, ".")
	cmd.Dir = filepath.Join("..", "..", "examples", "native")
	cmd.Stderr = os.Stderr
	return output, cmd.Run()
})

// commanded is a command under way.
type commanded struct {
	cmd *exec.Cmd
	out *buffer
	all *buffer
}

func (c *commandLine) begin(t *testing.T, args ...string) *commanded {
	t.Helper()
	return c.command(args...).start(t)
}

func (c *commandLine) command(args ...string) *commanded {
	cmd := exec.Command(c.binary, args...)
	cmd.Env = []string{
		"HOME=" + c.home, "XDG_CONFIG_HOME=" + c.home, "GALAXYGATE_URL=" + c.w.url,
		"PATH=" + c.home + ":" + os.Getenv("PATH"), "DBUS_SESSION_BUS_ADDRESS=unix:path=" + c.home + "/none",
	}
	running := &commanded{cmd: cmd, out: &buffer{}, all: &c.said}
	cmd.Stdout, cmd.Stderr = running.out, running.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return running
}

func (r *commanded) start(t *testing.T) *commanded {
	t.Helper()
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// ends waits for the command's end, and returns what it has said.
func (r *commanded) ends(t *testing.T, status int, saying string) string {
	t.Helper()
	limit := time.AfterFunc(time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer limit.Stop()
	_ = r.cmd.Wait() // the status says it
	_, _ = r.all.Write([]byte(r.out.String()))
	if got := r.cmd.ProcessState.ExitCode(); got != status || !strings.Contains(r.out.String(), saying) {
		t.Errorf("%v: got status %d, want %d and %q: %s", r.cmd.Args[1:], got, status, saying, r.out)
	}
	return r.out.String()
}

// says runs a command to its end.
func (c *commandLine) says(t *testing.T, status int, saying string, args ...string) string {
	t.Helper()
	return c.begin(t, args...).ends(t, status, saying)
}

// opened is where the command has sent the browser.
func (c *commandLine) opened(t *testing.T) string {
	t.Helper()
	file := filepath.Join(c.home, "opened")
	var address []byte
	eventually(t, 20*time.Second, func() bool {
		var err error
		address, err = os.ReadFile(file)
		return err == nil
	}, func() string { return "no browser was opened" })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	return string(address)
}

// signsIn runs a command that signs the person in.
func (c *commandLine) signsIn(t *testing.T, person *devrollup.Visitor, args ...string) {
	t.Helper()
	running := c.begin(t, args...)
	c.comesBack(t, person)
	running.ends(t, 0, "You are signed in. The session is in "+c.file(t))
	info, err := os.Stat(c.file(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the session's file has the mode %v", info.Mode())
	}
}

// comesBack takes the browser that was opened through the provider's pages, and
// back to the program.
func (c *commandLine) comesBack(t *testing.T, person *devrollup.Visitor) {
	t.Helper()
	c.w.provider = &provider{visit: func(t *testing.T, target string) *url.URL {
		t.Helper()
		back, err := person.Visit(t.Context(), target)
		if err != nil {
			t.Fatalf("visit: %v", err)
		}
		return back
	}}
	resp, body := c.browser.get(t, c.browser.callback(t, c.opened(t)).String())
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the callback answers %d: %s", resp.StatusCode, body)
	}
	if resp, body = c.browser.get(t, back.String()); resp.StatusCode != http.StatusOK || !strings.Contains(body, "close this page") {
		t.Errorf("the program's page: %d %s", resp.StatusCode, body)
	}
	if c.browser.session() != "" {
		t.Error("the browser is signed in too")
	}
}

// turn turns switches of the provider's.
func (c *commandLine) turn(t *testing.T, switches string) {
	t.Helper()
	resp, body := c.browser.post(t, c.w.embedded(t)+"/dev/switches", "application/json", switches)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("switches: %d %s", resp.StatusCode, body)
	}
}

// file is where the session is kept.
func (c *commandLine) file(t *testing.T) string {
	t.Helper()
	return filepath.Join(c.home, "galaxygate-native", url.QueryEscape(c.w.url))
}

// session is the one that is kept.
func (c *commandLine) session(t *testing.T) string {
	t.Helper()
	session, err := os.ReadFile(c.file(t))
	if err != nil || len(session) < 43 {
		t.Fatalf("%d bytes are kept: %v", len(session), err)
	}
	return string(session)
}

// wantLive wants the session to be live, or not.
func (c *commandLine) wantLive(t *testing.T, session string, live bool) {
	t.Helper()
	if got := answerOf(t, c.w.gateway, session, `{ viewer { id } }`).at("viewer") != nil; got != live {
		t.Errorf("the session is live: %v, want %v", got, live)
	}
}

// showsNone wants none of the sessions to have been printed.
func (c *commandLine) showsNone(t *testing.T, sessions ...string) {
	t.Helper()
	for _, session := range sessions {
		if said := c.said.String(); strings.Contains(said, session) || len(said) < 500 {
			t.Errorf("a session was printed: %s", said)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(c.home, "galaxygate-native", ".*")); len(left) > 0 {
		t.Errorf("files are left: %q", left)
	}
}

// queryOf are the parameters of the address.
func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return at.Query()
}
