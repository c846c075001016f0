package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// asked asks Galaxy the document as Alice.
func asked(ctx context.Context, g *Galaxy, document string) error {
	return g.ask(ctx, secret.New("alices-access"), always, document, nil, &struct{}{})
}

// unavailable returns the error's *Error, which must be Unavailable.
func unavailable(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
	return e
}

// scripted answers each request in turn; the last answer stands for all that
// follow. "drop" breaks the connection, a number is a status, anything else a body.
func scripted(calls *atomic.Int64, answers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		n := int(calls.Add(1))
		answer := answers[min(n, len(answers))-1]
		var status int
		switch _, err := fmt.Sscanf(answer, "%d", &status); {
		case answer == "drop":
			panic(http.ErrAbortHandler)
		case err != nil:
			_, _ = io.WriteString(w, answer)
		default:
			if _, after, ok := strings.Cut(answer, " after "); ok {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
		}
	}
}

const appDataDocument = `query AppData { getExternalAppData }`

func TestOnlyWhatMayHelpIsAskedAgain(t *testing.T) {
	t.Parallel()
	const fine = `{"data":{}}`
	tests := []struct {
		name     string
		document string
		answers  []string
		want     Kind // empty: no error
		calls    int64
	}{
		{"a dropped query", appDataDocument, []string{"drop", fine}, "", 2},
		{"a query at a proxy without a server", appDataDocument, []string{"502", fine}, "", 2},
		{"a query at a server that is away", appDataDocument, []string{"503", fine}, "", 2},
		{"a query that took a proxy too long", appDataDocument, []string{"504", fine}, "", 2},
		{"a query, but not a third time", appDataDocument, []string{"502"}, Unavailable, 2},
		{"a query at a server that says when", appDataDocument, []string{"503 after 1", fine}, Unavailable, 1},
		{"a query that broke the server", appDataDocument, []string{"500", fine}, Unavailable, 1},
		{"a query beyond the limit", appDataDocument, []string{"429", fine}, RateLimited, 1},
		{"a query with a bad token", appDataDocument, []string{"401", fine}, TokenRejected, 1},
		{"a query that is not allowed", appDataDocument, []string{"403", fine}, Forbidden, 1},
		{"a query with an error of its own", appDataDocument, []string{`{"errors":[{"message":"No."}]}`, fine}, Failed, 1},
		{"a query with nonsense for an answer", appDataDocument, []string{"<html>", fine}, Unavailable, 1},
		{"a dropped mutation", setAppDataDocument, []string{"drop", fine}, Unavailable, 1},
		{"a mutation at a proxy without a server", setAppDataDocument, []string{"502", fine}, Unavailable, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			g, _ := newTestGalaxy(t, scripted(&calls, test.answers...))
			err := asked(t.Context(), g, test.document)
			var e *Error
			if errors.As(err, &e); (err == nil) != (test.want == "") || e != nil && e.Kind != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got := calls.Load(); got != test.calls {
				t.Errorf("got %d requests, want %d", got, test.calls)
			}
		})
	}
}

func TestASlowAnswerIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	end := make(chan struct{})
	g, _ := newTestGalaxy(t, func(http.ResponseWriter, *http.Request) { calls.Add(1); <-end })
	t.Cleanup(func() { close(end) })
	g.timeout = 20 * time.Millisecond
	_ = unavailable(t, asked(t.Context(), g, appDataDocument))
	if got := calls.Load(); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
}

func TestWhoLeavesDoesNotAskAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := newGalaxyGuard(nil).run(ctx, true, func(context.Context) error {
		calls++
		cancel() // in the pause, as it were
		return &Error{Kind: Unavailable}
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("got %v after %d calls, want context.Canceled after 1", err, calls)
	}
}

func TestTheBreakerOpensForAWhileAndTriesAnew(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	var back atomic.Bool
	g, _ := newTestGalaxy(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if !back.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"data":{}}`)
	})
	const rest = 500 * time.Millisecond
	g.guard = newGuard(guardConfig{outcome: g.guard.cfg.outcome, refuse: g.guard.cfg.refuse, rest: rest})
	for range breakerCalls {
		if e := unavailable(t, asked(t.Context(), g, appDataDocument)); e.Status == 0 {
			t.Fatalf("the breaker is open after %d requests, want %d", calls.Load(), breakerCalls)
		}
	}
	e := unavailable(t, asked(t.Context(), g, appDataDocument))
	if got := calls.Load(); got != breakerCalls || e.Status != 0 || e.RetryAfter <= 0 || e.RetryAfter > rest {
		t.Fatalf("open: got %d requests and %v to wait, want %d and at most %v", got, e.RetryAfter, breakerCalls, rest)
	}
	awaitRested(g.guard) // half open: one tries, and fails
	_ = unavailable(t, asked(t.Context(), g, appDataDocument))
	_ = unavailable(t, asked(t.Context(), g, appDataDocument))
	if got := calls.Load(); got != breakerCalls+1 {
		t.Fatalf("half open: got %d requests, want one", got-breakerCalls)
	}
	back.Store(true)
	awaitRested(g.guard)
	for range 3 {
		if err := asked(t.Context(), g, appDataDocument); err != nil {
			t.Fatalf("closed again: %v", err)
		}
	}
}

// awaitRested waits until the open breaker lets one try.
func awaitRested(g *guard) {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for g.breaker.RemainingDelay() > 0 {
		<-poll.C
	}
}

func TestTheBreakerStaysClosedForWhatIsNoFailure(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"limits": "429", "bad tokens": "401", "what is not allowed": "403",
		"a bad key": `{"errors":[{"message":"Invalid API key provided.","extensions":{"http":{"status":401}}}]}`,
		"errors":    `{"errors":[{"message":"No."}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			g, _ := newTestGalaxy(t, scripted(&calls, answer))
			for range 2 * breakerCalls {
				_ = asked(t.Context(), g, appDataDocument)
			}
			if got := calls.Load(); got != 2*breakerCalls {
				t.Errorf("got %d requests, want %d", got, 2*breakerCalls)
			}
		})
	}
	t.Run("callers who leave", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g, _ := newTestGalaxy(t, scripted(&calls, `{"data":{}}`))
		for range 2 * breakerCalls {
			_ = asked(ctx, g, appDataDocument)
		}
		if err := asked(t.Context(), g, appDataDocument); err != nil {
			t.Error(err)
		}
	})
	t.Run("a minority of failures", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int64
		g, _ := newTestGalaxy(t, scripted(&calls, `{"data":{}}`, `{"data":{}}`, `{"data":{}}`, `{"data":{}}`, `{"data":{}}`,
			`{"data":{}}`, `{"data":{}}`, `{"data":{}}`, `{"data":{}}`, `{"data":{}}`, "500"))
		for range breakerCalls - 1 {
			_ = asked(t.Context(), g, appDataDocument)
		}
		if e := unavailable(t, asked(t.Context(), g, appDataDocument)); e.Status != http.StatusInternalServerError {
			t.Errorf("got %v, want Galaxy's own error", e)
		}
	})
}

// A breaker that waits for a request that tells nothing would never close again.
func TestATrialThatTellsNothingIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.CancelFunc) error{
		"the caller leaves": func(cancel context.CancelFunc) error { cancel(); return context.Canceled },
		"it panics":         func(context.CancelFunc) error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(guardConfig{
				outcome: galaxyOutcome, rest: time.Millisecond, concurrent: 1,
				refuse: func(string, time.Duration) error { return errors.New("refused") },
			})
			g.breaker.Open()
			awaitRested(g)
			func() {
				defer func() { _ = recover() }()
				ctx, cancel := context.WithCancel(t.Context())
				_ = g.run(ctx, false, func(context.Context) error { return end(cancel) })
			}()
			if !g.breaker.IsOpen() {
				t.Errorf("got a breaker that is %v, want open", g.breaker.State())
			}
			awaitRested(g)
			if err := g.run(t.Context(), false, func(context.Context) error { return nil }); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

func TestOneTriesForAll(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	g := newGuard(guardConfig{
		outcome: galaxyOutcome, rest: time.Millisecond,
		refuse: func(string, time.Duration) error { return refused },
	})
	g.breaker.Open()
	awaitRested(g)
	err := g.run(t.Context(), false, func(ctx context.Context) error {
		if err := g.run(ctx, false, func(context.Context) error { return nil }); !errors.Is(err, refused) {
			t.Errorf("another, while one tries: got %v, want it refused", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("the one that tries: %v", err)
	}
}

func TestNoMoreThanSoManyAskAtATime(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	goOn := make(chan struct{})
	g, _ := newTestGalaxy(t, func(w http.ResponseWriter, _ *http.Request) {
		now.Add(1)
		<-goOn
		_, _ = io.WriteString(w, `{"data":{}}`)
	})
	var all sync.WaitGroup
	for range maxConcurrent {
		all.Go(func() {
			if err := asked(t.Context(), g, appDataDocument); err != nil {
				t.Errorf("within the limit: %v", err)
			}
		})
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for now.Load() < maxConcurrent {
		<-poll.C
	}
	if e := unavailable(t, asked(t.Context(), g, appDataDocument)); e.RetryAfter != overloadPause || e.Status != 0 {
		t.Errorf("one more: got %v after %v, want to come again in %v", e, e.RetryAfter, overloadPause)
	}
	close(goOn)
	all.Wait()
	if got := now.Load(); got != maxConcurrent {
		t.Errorf("got %d requests, want %d", got, maxConcurrent)
	}
	if err := asked(t.Context(), g, appDataDocument); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The pool keeps what the guard lets be used: a second wave opens no connections.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var opened, waiting atomic.Int64
	var wave atomic.Pointer[chan struct{}]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		gate := *wave.Load()
		if waiting.Add(1) == maxConcurrent {
			close(gate)
		}
		<-gate
		_, _ = io.WriteString(w, `{"data":{}}`)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	g := NewGalaxy(GalaxyConfig{URL: server.URL, APIKey: secret.New(testKey), Now: testNow, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(g.Close)
	for range 2 {
		gate := make(chan struct{})
		waiting.Store(0)
		wave.Store(&gate)
		var all sync.WaitGroup
		for range maxConcurrent {
			all.Go(func() {
				if err := asked(t.Context(), g, appDataDocument); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if got := opened.Load(); got != maxConcurrent {
		t.Errorf("got %d connections, want %d", got, maxConcurrent)
	}
}

// info asks a server as the provider's userinfo client does, as far as the guard
// can tell.
type info struct{ url string }

func (i info) UserInfo(ctx context.Context, _ secret.Text, _ string, claims any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	switch {
	case errors.Is(err, context.Canceled):
		return &grant.Failure{Kind: grant.Later, Reason: "canceled", Err: context.Canceled}
	case err != nil:
		return &grant.Failure{Kind: grant.Later, Reason: "connection_closed"}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return json.NewDecoder(resp.Body).Decode(claims)
	case http.StatusUnauthorized:
		return fmt.Errorf("userinfo: %w", grant.ErrTokenRejected)
	case http.StatusForbidden:
		return &grant.Failure{Kind: grant.SignInAgain, Reason: "consent_withdrawn", Status: resp.StatusCode}
	}
	return &grant.Failure{Kind: grant.Later, Reason: "http", Status: resp.StatusCode}
}

func TestUserInfoIsGuardedToo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		answers []string
		asked   int
		calls   int64
		opens   bool
	}{
		{"dropped once", []string{"drop", `{"name":"Alice"}`}, 1, 2, false},
		{"away once", []string{"503", `{"name":"Alice"}`}, 1, 2, false},
		{"broken", []string{"500"}, breakerCalls, breakerCalls, true},
		{"limiting", []string{"429"}, 2 * breakerCalls, 2 * breakerCalls, false},
		{"refusing tokens", []string{"401"}, 2 * breakerCalls, 2 * breakerCalls, false},
		{"wanting consent", []string{"403"}, 2 * breakerCalls, 2 * breakerCalls, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			server := httptest.NewServer(scripted(&calls, test.answers...))
			t.Cleanup(server.Close)
			guarded := GuardUserInfo(info{server.URL}, nil)
			var claims Claims
			for range test.asked {
				_ = guarded.UserInfo(t.Context(), secret.New("t"), "alice", &claims)
			}
			if got := calls.Load(); got != test.calls {
				t.Errorf("got %d requests, want %d", got, test.calls)
			}
			err := guarded.UserInfo(t.Context(), secret.New("t"), "alice", &claims)
			var f *grant.Failure
			if opened := errors.As(err, &f) && f.Unsent && f.Kind == grant.Later && f.RetryAfter > 0; opened != test.opens {
				t.Errorf("got %v, want an open breaker: %v", err, test.opens)
			}
		})
	}
}

func BenchmarkGuard(b *testing.B) {
	do := func(context.Context) error { return nil }
	b.Run("guarded", func(b *testing.B) {
		g := newGalaxyGuard(nil)
		b.ReportAllocs()
		for b.Loop() {
			_ = g.run(b.Context(), true, do)
		}
	})
	b.Run("directly", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = do(b.Context())
		}
	})
}
