package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/budget"
	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

const testKey = "the-api-key"

func always(context.Context) error { return nil }

func testNow() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// newTestGalaxy returns a client of the handler, and what it logs.
func newTestGalaxy(t *testing.T, handler http.HandlerFunc) (*Galaxy, *strings.Builder) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	var logged strings.Builder
	g := NewGalaxy(GalaxyConfig{
		URL: server.URL, APIKey: secret.New(testKey), Now: testNow,
		Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	t.Cleanup(g.Close)
	return g, &logged
}

type recorded struct {
	name, body, want string
	status           int
	header           http.Header
}

// readReplies reads testdata/galaxy-replies.txt.
func readReplies(t *testing.T) []recorded {
	t.Helper()
	file, err := os.Open("testdata/galaxy-replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var replies []recorded
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		var r *recorded
		if len(replies) > 0 {
			r = &replies[len(replies)-1]
		}
		name, isName := strings.CutPrefix(line, "-- ")
		header, value, isHeader := strings.Cut(line, ": ")
		switch {
		case isName:
			replies = append(replies, recorded{name: strings.TrimSuffix(name, " --"), header: http.Header{}})
		case r == nil || r.want != "":
		case strings.HasPrefix(line, "HTTP "):
			if _, err := fmt.Sscanf(line, "HTTP %d", &r.status); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
		case strings.HasPrefix(line, "= "):
			r.want = line[2:]
		case isHeader && (header == "Retry-After" || header == "Location"):
			r.header.Set(header, value)
		default:
			r.body += line
		}
	}
	return replies
}

func TestRecordedReplies(t *testing.T) {
	t.Parallel()
	replies := readReplies(t)
	if len(replies) < 30 {
		t.Fatalf("got %d replies, want at least 30", len(replies))
	}
	for _, r := range replies {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			g, logged := newTestGalaxy(t, func(w http.ResponseWriter, _ *http.Request) {
				for name := range r.header {
					w.Header().Set(name, r.header.Get(name))
				}
				w.WriteHeader(r.status)
				_, _ = w.Write([]byte(r.body))
			})
			var data struct {
				Profile *struct{ DisplayName string }
			}
			err := g.ask(t.Context(), secret.New("alices-access"), always, revokeAppDocument, nil, &data)
			if got := describe(t, err, r.want); got != r.want {
				t.Errorf("got %q, want %q", got, r.want)
			}
			if rejected := strings.HasPrefix(r.want, "token_rejected"); errors.Is(err, grant.ErrTokenRejected) != rejected {
				t.Errorf("got %v, want ErrTokenRejected: %v", err, rejected)
			}
			if alarm := strings.Contains(logged.String(), "alarm=true"); alarm != (r.want == "operator_fault") {
				t.Errorf("got an alarm: %v", alarm)
			}
			if e := (*Error)(nil); errors.As(err, &e) && e.Partial && (data.Profile == nil || data.Profile.DisplayName != "Alice") {
				t.Errorf("got %v, want the data that came", data.Profile)
			}
			for _, s := range []string{"alices-access", testKey} {
				if strings.Contains(fmt.Sprint(logged, err), s) {
					t.Errorf("got %q in the log or the error", s)
				}
			}
		})
	}
}

// describe says the error in the words of the file, as far as want does.
func describe(t *testing.T, err error, want string) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want an *Error", err, err)
	}
	got := string(e.Kind)
	if e.Partial {
		got = "partial " + got
	}
	switch {
	case strings.Contains(want, " after "):
		return got + " after " + e.RetryAfter.String()
	case strings.HasPrefix(want, got+" "):
		return got + " " + e.Message
	}
	return got
}

func TestGalaxyIsAskedAsTheUserAndTheApplication(t *testing.T) {
	t.Parallel()
	var got *http.Request
	g, _ := newTestGalaxy(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write([]byte(`{"data":{}}`))
	})
	var data struct{}
	if err := g.ask(t.Context(), secret.New("alices-access"), always, revokeAppDocument, nil, &data); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer alices-access", "X-GALAXY-KEY": testKey, "Content-Type": "application/json",
	} {
		if got.Header.Get(name) != want || got.Method != http.MethodPost {
			t.Errorf("got %s %q, want POST %q", got.Method, got.Header.Get(name), want)
		}
	}
}

func TestGalaxyFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("followed")
	}))
	t.Cleanup(elsewhere.Close)
	g, _ := newTestGalaxy(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	var e *Error
	if err := g.ask(t.Context(), secret.New("t"), always, revokeAppDocument, nil, nil); !errors.As(err, &e) || e.Kind != Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestGalaxysAnswerIsBounded(t *testing.T) {
	t.Parallel()
	g, _ := newTestGalaxy(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":"` + strings.Repeat("x", maxGalaxyReply) + `"}`))
	})
	var e *Error
	err := g.ask(t.Context(), secret.New("t"), always, revokeAppDocument, nil, nil)
	if !errors.As(err, &e) || e.Kind != Unavailable || e.Message != "The answer is too large." {
		t.Errorf("got %v, want unavailable: too large", err)
	}
	if galaxyOutcome(err) != answered { // a user can ask for much
		t.Error("got the breaker told of a failure")
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	g, _ := newTestGalaxy(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	var e *Error
	err := g.ask(t.Context(), secret.New("t"), always, revokeAppDocument, nil, nil)
	if !errors.As(err, &e) || e.Kind != Unavailable || e.Status != 0 {
		t.Errorf("a broken connection: got %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.ask(ctx, secret.New("t"), always, revokeAppDocument, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: got %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := g.ask(ctx, secret.New("t"), always, revokeAppDocument, nil, nil); !errors.As(err, &e) || e.Kind != Unavailable {
		t.Errorf("when the time is up: got %v, want unavailable", err)
	}
}

func TestAppRevoker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reply, access string
		want, rejected      bool
		kind                grant.Kind
		reason              string
		wantCalls           int
	}{
		{name: "confirmed", access: "t", reply: `{"data":{"revokeAppAuthorization":true}}`, want: true, wantCalls: 1},
		{
			name: "not confirmed", access: "t", reply: `{"data":{"revokeAppAuthorization":null}}`,
			kind: grant.Later, reason: "galaxy_failed", wantCalls: 1,
		},
		{name: "refused", access: "t", reply: `{"errors":[{"message":"No."}]}`, kind: grant.Later, reason: "galaxy_failed", wantCalls: 1},
		{
			name: "the access token is not valid any more", access: "t",
			reply: `{"errors":[{"message":"You are not authenticated!","extensions":{"http":{"status":401}}}]}`,
			kind:  grant.Later, reason: "galaxy_token_rejected", rejected: true, wantCalls: 1,
		},
		{
			name: "the gateway is refused", access: "t",
			reply: `{"errors":[{"message":"Invalid API key provided.","extensions":{"http":{"status":401}}}]}`,
			kind:  grant.OperatorFault, reason: "galaxy_operator_fault", wantCalls: 1,
		},
		{name: "without an access token nobody is asked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			g, _ := newTestGalaxy(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				_, _ = w.Write([]byte(test.reply))
			})
			var revoker grant.Revoker = AppRevoker{Galaxy: g, ClientID: "app", Budget: budget.New(budget.Config{})}
			got, err := revoker.Revoke(t.Context(), secret.New(test.access), secret.Text{})
			if got != test.want || (err != nil) != (test.reason != "") || calls != test.wantCalls {
				t.Errorf("got %v, %v, %d calls; want %v, reason %q, %d", got, err, calls, test.want, test.reason, test.wantCalls)
			}
			if err == nil {
				return
			}
			if f := grant.AsFailure(err); f.Kind != test.kind || f.Reason != test.reason || errors.Is(err, grant.ErrTokenRejected) != test.rejected {
				t.Errorf("got %v, rejected %v", err, errors.Is(err, grant.ErrTokenRejected))
			}
		})
	}
}

func TestRevocationsTakeTheirTurn(t *testing.T) {
	t.Parallel()
	calls := 0
	g, _ := newTestGalaxy(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		_, _ = w.Write([]byte(`{"data":{"revokeAppAuthorization":true}}`))
	})
	revoker := AppRevoker{Galaxy: g, ClientID: "app", Budget: budget.New(budget.Config{PerMinute: 1})}
	if done, err := revoker.Revoke(t.Context(), secret.New("t"), secret.Text{}); !done || err != nil {
		t.Errorf("got %v, %v", done, err)
	}
	_, err := revoker.Revoke(t.Context(), secret.New("t"), secret.Text{})
	if f := grant.AsFailure(err); f.Kind != grant.Later || f.RetryAfter < time.Second || calls != 1 {
		t.Errorf("got %+v after %d calls, want later, and one", f, calls)
	}
}
