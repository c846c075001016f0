package passport_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// presented is the code and the refresh token that the corpus quotes.
const presented = "presented-tok3n-5b1c"

// reply is one recorded answer of a token endpoint, with what it means in its
// first line: "# ok key=value…" or "# kind reason key=value…".
type reply struct {
	kind, reason string
	values       map[string]string
	raw          []byte
}

func readReplies(t *testing.T) map[string]reply {
	t.Helper()
	files, err := filepath.Glob("testdata/replies/*.http")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 40 {
		t.Fatalf("corpus: got %d replies, want at least 40", len(files))
	}
	replies := map[string]reply{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line, rest, _ := bytes.Cut(content, []byte("\n"))
		head, body, _ := bytes.Cut(rest, []byte("\n\n"))
		body = bytes.ReplaceAll(body, []byte("{{HUGE}}"), bytes.Repeat([]byte("x"), 1<<20))
		r := reply{values: map[string]string{}}
		r.raw = append(bytes.ReplaceAll(append(head, "\nConnection: close\n\n"...), []byte("\n"), []byte("\r\n")), body...)
		for i, word := range strings.Fields(strings.TrimPrefix(string(line), "# ")) {
			name, value, isValue := strings.Cut(word, "=")
			switch {
			case isValue:
				r.values[name] = value
			case i == 0:
				r.kind = name
			default:
				r.reason = name
			}
		}
		replies[strings.TrimSuffix(filepath.Base(file), ".http")] = r
	}
	return replies
}

// serveRaw answers every token request with exactly these bytes, and hangs up.
func serveRaw(t *testing.T, f *fakeProvider, raw []byte) {
	f.mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // read all, or closing resets the connection
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write(raw) // the client may have had enough before the end
	})
}

func TestReplies(t *testing.T) {
	t.Parallel()
	for name, r := range readReplies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProvider(t)
			serveRaw(t, f, r.raw)
			c, written := f.client(nil)
			ctx := context.Background()

			tokens, refreshErr := c.Refresh(ctx, secret.New(presented))
			_, _, exchangeErr := c.Exchange(ctx, secret.New(presented), secret.New("verifier-tok3n"), secret.New("nonce-tok3n"))
			if got := f.count("/token"); got != 2 {
				t.Errorf("requests to the token endpoint: got %d, want one for each call", got)
			}
			if r.kind == "ok" {
				if refreshErr != nil {
					t.Fatalf("Refresh: %v", refreshErr)
				}
				checkTokens(t, tokens, r)
				// What came had no ID token, so nobody has signed in.
				checkFailure(t, exchangeErr, grant.OperatorFault, "id_token_missing", written)
				return
			}
			for _, err := range []error{refreshErr, exchangeErr} {
				checkFailure(t, err, grant.Kind(r.kind), r.reason, written)
				got, want := grant.AsFailure(err), r.values["retry_after"]
				if want == "" {
					want = "0s"
				}
				if got.RetryAfter.String() != want {
					t.Errorf("retry after: got %s, want %s", got.RetryAfter, want)
				}
			}
		})
	}
}

func checkTokens(t *testing.T, got grant.Tokens, want reply) {
	t.Helper()
	if got.Access.IsZero() {
		t.Error("access token: got none")
	}
	if isNew := want.values["refresh"] == "new"; got.Refresh.IsZero() == isNew {
		t.Errorf("refresh token: got a new one %v, want %v", !got.Refresh.IsZero(), isNew)
	}
	if life := shortDuration(got.AccessExpiresAt.Sub(clock()).String()); life != want.values["life"] {
		t.Errorf("life: got %s, want %s", life, want.values["life"])
	}
	if scopes := strings.Join(got.Scopes, ","); scopes != want.values["scopes"] {
		t.Errorf("scopes: got %q, want %q", scopes, want.values["scopes"])
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, "tok3n") {
		t.Errorf("a secret got out: %s", text)
	}
}

// shortDuration writes 1h0m0s as 1h.
func shortDuration(d string) string {
	if s, ok := strings.CutSuffix(d, "m0s"); ok {
		d = s + "m"
	}
	if s, ok := strings.CutSuffix(d, "h0m"); ok {
		d = s + "h"
	}
	return d
}

// A client must know every word that can become a grant's reason.
func TestReasonsToSignInAgainAreDocumented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]bool{"consent_withdrawn": true, grant.ReasonSubject: true} // userinfo's
	for _, r := range readReplies(t) {
		if grant.Kind(r.kind) == grant.SignInAgain {
			reasons[r.reason] = true
		}
	}
	for reason := range reasons {
		if !bytes.Contains(guide, []byte("`"+reason+"`")) {
			t.Errorf("docs/clients.md does not say what %s means", reason)
		}
	}
	if len(reasons) < 6 {
		t.Errorf("only %d reasons are known", len(reasons))
	}
}
