package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/budget"
	"galaxygate/internal/grant"
	"galaxygate/internal/plan"
	"galaxygate/internal/secret"
)

// told is an Observer that writes down what it is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (o *told) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

func (o *told) Asked(upstream, outcome string, _ time.Duration) { o.add(upstream + " " + outcome) }
func (o *told) Refused(upstream, reason string)                 { o.add(upstream + " refused " + reason) }

func (o *told) Broken(upstream string, broken bool) { o.add(fmt.Sprint(upstream, " broken ", broken)) }
func (o *told) AwaitedTurn(time.Duration)           { o.add("turn") }
func (o *told) Answered(from string, n int)         { o.add(fmt.Sprint(from, " ", n)) }

// want compares what was told since the last time.
func (o *told) want(t *testing.T, lines ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.lines, lines) {
		t.Errorf("told %q, want %q", o.lines, lines)
	}
	o.lines = nil
}

func TestHowRequestsEndIsTold(t *testing.T) {
	t.Parallel()
	observer, calls := &told{}, &atomic.Int64{}
	answers := scripted(calls, `{"data":{}}`, "401", "403", "429", "drop", `{"data":{}}`, "500")
	server := httptest.NewServer(answers)
	defer server.Close()
	g := NewGalaxy(GalaxyConfig{
		URL: server.URL, APIKey: secret.New(testKey), Now: testNow, Logger: slog.New(slog.DiscardHandler), Observer: observer,
	})
	defer g.Close()
	for range 5 {
		_ = asked(t.Context(), g, appDataDocument)
	}
	observer.want(t, "galaxy answered", "galaxy token_rejected", "galaxy forbidden", "galaxy rate_limited",
		"galaxy unavailable", "galaxy answered")
	gone, leave := context.WithCancel(t.Context())
	leave()
	_ = asked(gone, g, appDataDocument)
	observer.want(t, "galaxy left")
	for range breakerCalls {
		_ = asked(t.Context(), g, appDataDocument)
	}
	if last := observer.lines[len(observer.lines)-1]; last != "galaxy refused broken" || !slices.Contains(observer.lines, "galaxy broken true") {
		t.Errorf("told %q of a Galaxy that fails", observer.lines)
	}
}

func TestHowUserInfoEndsIsTold(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"answered":       nil,
		"left":           context.Canceled,
		"token_rejected": fmt.Errorf("userinfo: %w", grant.ErrTokenRejected),
		"rate_limited":   &grant.Failure{Kind: grant.Later, Status: http.StatusTooManyRequests},
		"operator_fault": &grant.Failure{Kind: grant.OperatorFault},
		"unavailable":    &grant.Failure{Kind: grant.Later, Status: http.StatusInternalServerError},
		"failed":         &grant.Failure{Kind: grant.SignInAgain},
	} {
		observer := &told{}
		if got := GuardUserInfo(says{err}, observer).UserInfo(t.Context(), secret.Text{}, "", nil); !errors.Is(got, err) {
			t.Errorf("got %v, want %v", got, err)
		}
		observer.want(t, "userinfo "+want)
	}
}

// says is a UserInfo that answers with that error.
type says struct{ err error }

func (s says) UserInfo(context.Context, secret.Text, string, any) error { return s.err }

func TestWhereAnswersComeFromIsTold(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"q0":[]}}`)
	}))
	defer server.Close()
	g := NewGalaxy(GalaxyConfig{URL: server.URL, Now: testNow, Logger: slog.New(slog.DiscardHandler)})
	defer g.Close()
	observer, shelf := &told{}, &shelfInMemory{}
	replica := func() (*Client, func(time.Duration)) {
		a, advance := newTestAnswers(t, 1<<20)
		a.Observer, a.shared = observer, shelf
		return &Client{
			Tokens: anyToken{}, Galaxy: g, Answers: a, Observer: observer,
			Budget: budget.New(budget.Config{PerMinute: 1}),
		}, advance
	}
	one, advance := replica()
	ask := func(c *Client) *Cost {
		t.Helper()
		cost := &Cost{}
		q, err := plan.Accounts().With()
		if err != nil {
			t.Fatal(err)
		}
		if a := c.Ask(t.Context(), Caller{UserID: "alice", Cost: cost}, []plan.Question{q})[0]; a.Err != nil {
			t.Error(a.Err)
		}
		return cost
	}
	ask(one)
	observer.want(t, "turn", "asked 1")
	ask(one)
	observer.want(t, "memory 1")
	if one.Answers.Bytes() == 0 {
		t.Error("a kept answer takes no memory")
	}
	if err := one.Answers.Wait(t.Context()); err != nil { // it is on the shelf then
		t.Fatal(err)
	}
	other, _ := replica()
	if cost := ask(other); cost.Cached.Load() != 1 || cost.Galaxy.Load() != 0 {
		t.Errorf("cached %d, requests %d, want another replica's answer counted as cached", cost.Cached.Load(), cost.Galaxy.Load())
	}
	observer.want(t, "shared 1")
	if cost := ask(other); cost.Cached.Load() != 1 {
		t.Errorf("cached %d, want 1", cost.Cached.Load())
	}
	observer.want(t, "memory 1")
	advance(time.Minute)
	ask(one)
	observer.want(t, "galaxy refused budget", "stale 1")
}

func TestWhatIsAskedTogetherIsTold(t *testing.T) {
	t.Parallel()
	a, _ := newTestAnswers(t, 0)
	observer, h := &told{}, hold()
	a.Observer = observer
	var waiting sync.WaitGroup
	waiting.Go(func() { a.get(t.Context(), []string{"a"}, h.fetch) })
	<-h.begun
	waiting.Go(func() { a.get(t.Context(), []string{"a"}, h.fetch) })
	a.waitingFor(t, "a", 2)
	h.release <- []*Answer{newAnswer([]byte("1"), a.now())}
	waiting.Wait()
	slices.Sort(observer.lines) // the two may be told in either order
	observer.want(t, "asked 1", "joined 1")
}

func TestTheTimeOfAChangeIsTold(t *testing.T) {
	t.Parallel()
	a, advance := newTestAnswers(t, 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		advance(time.Second)
		_, _ = io.WriteString(w, `{"data":{"setExternalAppData":true}}`)
	}))
	defer server.Close()
	g := NewGalaxy(GalaxyConfig{URL: server.URL, Now: testNow, Logger: slog.New(slog.DiscardHandler)})
	defer g.Close()
	c := &Client{Tokens: anyToken{}, Galaxy: g, Answers: a, Writes: noted{}, Budget: budget.New(budget.Config{})}
	cost := &Cost{}
	if err := c.SetAppData(t.Context(), Caller{UserID: "alice", Cost: cost}, 1); err != nil {
		t.Fatal(err)
	}
	if took := time.Duration(cost.Took.Load()); took != time.Second {
		t.Errorf("told that it took %v, want 1s", took)
	}
}

// noted is a Writes.
type noted struct{}

func (noted) Wrote(context.Context, string) error { return nil }

// anyToken is a Tokens that has one.
type anyToken struct{}

func (anyToken) Token(context.Context, string) (grant.Token, error) { return grant.Token{}, nil }

func (anyToken) Call(ctx context.Context, _ string, do func(context.Context, grant.Token) error) error {
	return do(ctx, grant.Token{Value: secret.New("alices-access")})
}

// shelfInMemory is a Shelf.
type shelfInMemory struct{ values sync.Map }

func (s *shelfInMemory) Get(_ context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if value, ok := s.values.Load(key); ok {
			values[i], _ = value.([]byte)
		}
	}
	return values, nil
}

func (s *shelfInMemory) Set(_ context.Context, values map[string][]byte, _ time.Duration) error {
	for key, value := range values {
		s.values.Store(key, value)
	}
	return nil
}
