package e2e_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
)

// blocks are the fenced blocks of that language below the heading of docs/clients.md.
func blocks(t *testing.T, heading, language string) []string {
	t.Helper()
	content, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		found = append(found, match[1])
	}
	if len(found) == 0 {
		t.Fatalf("docs/clients.md has no %s below %q", language, heading)
	}
	return found
}

// terminal is a shell in which somebody types what docs/clients.md says.
type terminal struct {
	input  io.WriteCloser
	output *bufio.Reader
}

// typing runs the commands below the heading, at that gateway.
func typing(t *testing.T, heading string, g *gateway) *terminal {
	t.Helper()
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking(t, err)
		}
	}
	commands := regexp.MustCompile(`(?m)^GATE=.*$`).ReplaceAllString(strings.Join(blocks(t, heading, "sh"), ""), "GATE="+g.url)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	shell := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", commands)
	shell.Dir, shell.WaitDelay = t.TempDir(), time.Second
	var complaints strings.Builder
	shell.Stderr = &complaints
	input, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		if err := shell.Wait(); err != nil || complaints.Len() > 0 {
			t.Errorf("the commands end with %v\n%s", err, complaints.String())
		}
		cancel()
	})
	return &terminal{input, bufio.NewReader(output)}
}

// line is the next line that the commands print.
func (s *terminal) line(t *testing.T) string {
	t.Helper()
	line, err := s.output.ReadString('\n')
	if err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

// rest is all that they print until they end.
func (s *terminal) rest(t *testing.T) string {
	t.Helper()
	all, err := io.ReadAll(s.output)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func (s *terminal) enter(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.input, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// developing is a gateway in development mode.
func developing(t *testing.T, env map[string]string) *gateway {
	t.Helper()
	return serving(t, prepare(t, env))
}

// ends opens an address of the gateway's as Alice does, who signs in and consents, and
// returns the one that her browser ends at.
func ends(t *testing.T, address string) string {
	t.Helper()
	alice := &devrollup.Visitor{Person: "alice"}
	back, err := alice.Visit(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, back.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := alice.Client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	end, err := response.Location()
	if err != nil {
		t.Fatalf("the callback answers %s: %v", response.Status, err)
	}
	return end.String()
}

// TestTheDocumentedSignInByHand types the commands of docs/clients.md, and does in a
// browser what it says there.
func TestTheDocumentedSignInByHand(t *testing.T) {
	t.Parallel()
	g := developing(t, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	shell := typing(t, "## By hand, with curl", g)
	shell.enter(t, ends(t, shell.line(t)))
	want := regexp.MustCompile(`^{"access_token":"…","token_type":"Bearer","expires_in":604\d{3},"scope":"openid profile email connected_accounts"}$`)
	if got := shell.line(t); !want.MatchString(got) {
		t.Errorf("the token endpoint answers %s", got)
	}
	if got := shell.line(t); !strings.HasPrefix(got, `{"data":{"viewer":{"name":"Alice Example"},"session":{"kind":"NATIVE",`) {
		t.Errorf("the first query: got %s", got)
	}
	g.metric(t, "galaxygate_event_streams 1")
	shell.enter(t, "")
	got := shell.rest(t)
	for _, want := range []string{
		`data: {"data":{"sessionEnded":{"reason":"LOGGED_OUT"}}`, "\n" + `{"data":{"viewer":null}`, `"code":"UNAUTHENTICATED"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("after the sign-out there is no %s in\n%s", want, got)
		}
	}
}

// TestTheDocumentedSignInOfATest types what docs/clients.md says of tests.
func TestTheDocumentedSignInOfATest(t *testing.T) {
	t.Parallel()
	got := typing(t, "## Testing a client", developing(t, nil)).rest(t)
	for _, want := range []string{`"name":"Alice Example"`, `"connectedAccounts":null`, `"kind":"BROWSER"`, `"code":"INSUFFICIENT_SCOPE"`} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in %s", want, got)
		}
	}
}

// TestTheDocumentedJavaScript runs it in Chromium, in a page of another origin.
func TestTheDocumentedJavaScript(t *testing.T) {
	t.Parallel()
	chromium := inChromium(t)
	app := freeAddress(t)
	g := developing(t, map[string]string{"ALLOWED_ORIGINS": "http://" + app, "ALLOWED_REDIRECTS": "http://" + app + "/*"})
	_, port, err := net.SplitHostPort(app)
	if err != nil {
		t.Fatal(err)
	}
	runNode(t, "clients.mjs", append(chromium, "ADMIN="+g.admin), g.url, port)
}
