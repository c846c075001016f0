package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the tests' binary be the stub and the proxy too.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == stubRole || os.Args[1] == proxyRole) {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestBench measures one scenario, for a moment, with everything that belongs to
// it, and then is interrupted in the middle of another.
func TestBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report, binary := filepath.Join(dir, "report.md"), filepath.Join(dir, "galaxygate")
	if err := os.WriteFile(report, []byte("# Story\n\n"+beginMark+"yesterday's\n"+endMark+"\nThe end.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if built, err := build(t.Context(), dir); err != nil || built != binary {
		t.Fatal(built, err)
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"-only", "F", "-rounds", "1", "-round", "200ms", "-binary", binary, "-report", report,
		"-profile", filepath.Join(dir, "profiles"), "-profile-time", "1s",
	}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	alone(t)
	text := read(t, report)
	if !strings.HasPrefix(text, "# Story\n\n"+beginMark) || !strings.HasSuffix(text, endMark+"\nThe end.\n") ||
		strings.Contains(text, "yesterday") || !strings.Contains(text, "| F | profile and accounts | 1.1") {
		t.Errorf("the report is\n%s", text)
	}
	if !strings.Contains(text, "| 1 + 1 |") {
		t.Errorf("the report does not count a request to Galaxy and one to userinfo:\n%s", text)
	}
	for _, order := range []string{"flat", "cum"} {
		if text := read(t, filepath.Join(dir, "profiles", "F."+order+".txt")); !strings.Contains(text, "gqlgen") {
			t.Errorf("the profile is\n%s", text)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	err = run(ctx, []string{"-only", "A", "-rounds", "2", "-round", "50ms", "-binary", binary}, onWrite(cancel))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted run returned %v", err)
	}
	alone(t)
}

// onWrite is a writer that interrupts where the first round is reported.
type onWrite func()

func (w onWrite) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

// alone wants no process or directory to be left.
func alone(t *testing.T) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no lists of children: %v", err)
	}
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil && len(text) > 0 { // a thread may end meanwhile
			t.Errorf("processes are left: %s", text)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, query, want string }{
		{
			"aliases, and two selections of one key merged",
			`{ a: profile { displayName } __typename a: profile { pfp { __typename } } }`,
			`{"data":{"a":{"displayName":"Alice","pfp":{"__typename":"StandardPFP"}},"__typename":"Query"}}`,
		},
		{
			"fragments apply to their own types",
			`query($u: String) { profile(targetIdentityURN: $u) { ...P pfp { ... on NFTPFP { isToken } ... { kind: __typename } } } }
			 fragment P on Profile { name: displayName }`,
			`{"data":{"profile":{"name":"Alice","pfp":{"kind":"StandardPFP"}}}}`,
		},
		{
			"a list is never empty",
			`{ connectedAccounts { nid rc } }`,
			`{"data":{"connectedAccounts":[{"nid":"rollupid","rc":{"addr_type":"eth","node_type":"crypto"}}]}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := answer(test.query, 0)
			if err != nil || string(got) != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

func TestAnswerHasTheSizeThatIsWanted(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		got, err := answer(s.document, s.perField())
		if err != nil || len(got) < s.bytes*9/10 || len(got) > s.bytes*13/10 {
			t.Errorf("%s: %d bytes, %v", s.name, len(got), err)
		}
	}
}

func TestAnswerRefusesWhatGalaxyLacks(t *testing.T) {
	t.Parallel()
	for _, query := range []string{`{ viewer }`, `{ profile { age } }`, `{ profile {`} {
		if got, err := answer(query, 0); err == nil {
			t.Errorf("%s is answered: %s", query, got)
		}
	}
}

func TestAWrongAnswerIsNotMeasured(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, first, later string }{
		{"an error", `{"data":{"a":1},"errors":[{}]}`, ""},
		{"a null", `{"data":{"a":[{"b":null}]}}`, ""},
		{"no data", `{}`, ""},
		{"another size than at first", `{"data":{"a":1}}`, `{"data":{"a":10}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answers := make(chan string, 1)
			answers <- test.first
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				select {
				case first := <-answers:
					write(w, []byte(first))
				default:
					write(w, []byte(test.later))
				}
			}))
			defer server.Close()
			target, _, err := newTarget(t.Context(), server.URL, "{ a }", []http.Header{{}})
			if test.later == "" {
				if err == nil {
					t.Error("it is taken for a right one")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			l, err := connect(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			if n, _, err := l.run(time.Minute); err == nil {
				t.Errorf("%d of them are taken for right ones", n)
			}
		})
	}
}

func TestAReportWithoutAPlaceIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	report := filepath.Join(t.TempDir(), "report.md")
	if err := os.WriteFile(report, []byte("# Story\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-report", report, "-binary", "/nowhere"}, t.Output()); err == nil || !strings.Contains(err.Error(), "no place") {
		t.Errorf("got %v", err)
	}
}
