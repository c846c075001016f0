package httpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"galaxygate/internal/httpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started is a server under test.
type started struct {
	public, admin string // base URLs
	entered       chan struct{}
	release       chan struct{}
	stop          context.CancelFunc
	done          chan error
}

// start runs a server whose public side holds requests until released.
func start(t *testing.T, grace time.Duration) *started {
	t.Helper()
	return startWith(t, grace, func(*started, context.Context) error { return nil })
}

// startWith runs one that ends its streams so.
func startWith(t *testing.T, grace time.Duration, endStreams func(*started, context.Context) error) *started {
	t.Helper()
	s := &started{entered: make(chan struct{}, 1), release: make(chan struct{}), done: make(chan error, 1)}
	hold := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.entered <- struct{}{}
		select {
		case <-s.release:
			_, _ = io.WriteString(w, "whole")
		case <-r.Context().Done():
		}
	})
	health := &httpserver.Health{}
	server := &httpserver.Server{
		PublicListener: listen(t), Public: hold,
		AdminListener: listen(t), Admin: httpserver.Admin(health, http.NotFoundHandler()),
		Health: health, Grace: grace, Logger: slog.New(slog.DiscardHandler),
		EndStreams: func(ctx context.Context) error { return endStreams(s, ctx) },
	}
	s.public = "http://" + server.PublicListener.Addr().String()
	s.admin = "http://" + server.AdminListener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	go func() { s.done <- server.Run(ctx) }()
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := httpserver.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// transports are the protocols of clients.
func transports() map[string]*http.Transport {
	priorKnowledge := new(http.Protocols)
	priorKnowledge.SetUnencryptedHTTP2(true)
	return map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": {Protocols: priorKnowledge}}
}

// inFlight sends a request by the transport and returns once it is being served.
func (s *started) inFlight(t *testing.T, transport *http.Transport) <-chan string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		_, body, err := tryFetchBy(t, transport, s.public)
		if err != nil {
			body = "broken off"
		}
		got <- body
	}()
	<-s.entered
	return got
}

// awaitDraining returns once the process says that it is not ready any more.
func (s *started) awaitDraining(t *testing.T) {
	t.Helper()
	for {
		if response, _ := fetch(t, s.admin+"/readyz"); response.StatusCode == http.StatusServiceUnavailable {
			return
		}
	}
}

func TestServerFinishesRequestsBeforeItStops(t *testing.T) {
	t.Parallel()
	for protocol, transport := range transports() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := start(t, time.Minute)
			body := s.inFlight(t, transport)
			s.stop()
			s.awaitDraining(t)
			if response, _ := fetch(t, s.admin+"/healthz"); response.StatusCode != http.StatusOK {
				t.Errorf("liveness while stopping: got %d, want 200", response.StatusCode)
			}
			close(s.release)
			if got := <-body; got != "whole" {
				t.Errorf("request in flight: got %q, want whole", got)
			}
			if err := <-s.done; err != nil {
				t.Errorf("Run: %v", err)
			}
			for _, url := range []string{s.public, s.admin} {
				if _, _, err := tryFetch(t, url); err == nil {
					t.Errorf("%s still answers", url)
				}
			}
		})
	}
}

func TestServerCutsRequestsOffAfterTheGrace(t *testing.T) {
	t.Parallel()
	for protocol, transport := range transports() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := start(t, time.Millisecond)
			body := s.inFlight(t, transport)
			s.stop()
			if err := <-s.done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if got := <-body; got != "broken off" {
				t.Errorf("request in flight: got %q, want it broken off", got)
			}
		})
	}
}

func TestServerSpeaksBothProtocols(t *testing.T) {
	t.Parallel()
	s := start(t, time.Minute)
	close(s.release)
	for protocol, transport := range transports() {
		response, body, err := tryFetchBy(t, transport, s.public)
		if err != nil || response.Proto != protocol || body != "whole" {
			t.Errorf("%s: got %v %q, %v", protocol, response, body, err)
		}
		<-s.entered
	}
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServerEndsStreamsWhileItWaitsForThem(t *testing.T) {
	t.Parallel()
	s := startWith(t, time.Minute, func(s *started, _ context.Context) error {
		close(s.release) // a stream ends when it is told to, and not before
		return nil
	})
	body := s.inFlight(t, &http.Transport{DisableKeepAlives: true})
	s.stop()
	if got := <-body; got != "whole" {
		t.Errorf("the stream: got %q, want whole", got)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServerWaitsForStreamsNoLongerThanTheGrace(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	s := startWith(t, 50*time.Millisecond, func(_ *started, ctx context.Context) error {
		close(told)
		<-ctx.Done()
		return ctx.Err()
	})
	s.stop()
	<-told
	if err := <-s.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServerStopsWhenAListenerFails(t *testing.T) {
	t.Parallel()
	admin := listen(t)
	if err := admin.Close(); err != nil {
		t.Fatal(err)
	}
	server := &httpserver.Server{
		PublicListener: listen(t), Public: http.NotFoundHandler(),
		AdminListener: admin, Admin: http.NotFoundHandler(),
		Health: &httpserver.Health{}, EndStreams: func(context.Context) error { return nil },
		Grace: time.Second, Logger: slog.New(slog.DiscardHandler),
	}
	if err := server.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: got %v, want net.ErrClosed", err)
	}
}

func TestListenNamesTheAddressThatItCannotTake(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	t.Cleanup(func() { _ = taken.Close() })
	if _, err := httpserver.Listen(t.Context(), taken.Addr().String()); err == nil {
		t.Error("a taken address: got no error")
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	ok := func(context.Context) error { return nil }
	tests := []struct {
		name   string
		checks map[string]func(context.Context) error
		status int
		want   map[string]any
	}{
		{name: "no checks", status: 200, want: map[string]any{"status": "ready", "checks": map[string]any{}}},
		{
			name:   "all pass",
			checks: map[string]func(context.Context) error{"database": ok, "provider": ok},
			status: 200,
			want:   map[string]any{"status": "ready", "checks": map[string]any{"database": "ok", "provider": "ok"}},
		},
		{
			name: "one fails, and its reason is scrubbed",
			checks: map[string]func(context.Context) error{
				"database": ok,
				"provider": func(context.Context) error {
					return errors.New("discovery refused abcdefghijklmnopqrstuvwxyzABCDEF")
				},
			},
			status: 503,
			want: map[string]any{"status": "not ready", "checks": map[string]any{
				"database": "ok", "provider": "discovery refused ***",
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := httpserver.Admin(&httpserver.Health{Checks: tt.checks}, http.NotFoundHandler())
			got := send(t, h, http.MethodGet, "/readyz", "", nil)
			var body map[string]any
			if err := json.Unmarshal([]byte(got.body), &body); err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status {
				t.Errorf("status: got %d, want %d", got.status, tt.status)
			}
			if diff := cmp.Diff(tt.want, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadinessGivesEveryCheckADeadline(t *testing.T) {
	t.Parallel()
	h := httpserver.Admin(&httpserver.Health{Checks: map[string]func(context.Context) error{
		"slow": func(ctx context.Context) error {
			if _, limited := ctx.Deadline(); !limited {
				return errors.New("no deadline")
			}
			return nil
		},
	}}, http.NotFoundHandler())
	if got := send(t, h, http.MethodGet, "/readyz", "", nil); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
}

func TestAdminServesMetricsAndProfiles(t *testing.T) {
	t.Parallel()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "numbers") })
	h := httpserver.Admin(&httpserver.Health{}, metrics)
	if got := send(t, h, http.MethodGet, "/metrics", "", nil); got.body != "numbers" {
		t.Errorf("/metrics: got %q, want numbers", got.body)
	}
	if got := send(t, h, http.MethodGet, "/debug/pprof/goroutine?debug=1", "", nil); got.status != http.StatusOK {
		t.Errorf("/debug/pprof/goroutine: got %d, want 200", got.status)
	}
}
