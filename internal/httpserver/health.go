package httpserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"galaxygate/internal/secret"
)

// checkLimit is how long one check may take.
const checkLimit = 2 * time.Second

// Health says whether the process can serve. The zero Health is ready.
type Health struct {
	// Checks must pass for the process to be ready, each within two seconds. A
	// check's error is shown, scrubbed, to whoever may ask.
	Checks map[string]func(context.Context) error

	draining atomic.Bool
}

// Drain makes the process not ready for good.
func (h *Health) Drain() { h.draining.Store(true) }

// report is the body of /readyz.
type report struct {
	Status string            `json:"status"` // "ready", "not ready" or "draining"
	Checks map[string]string `json:"checks"` // "ok", or the reason why not
}

// ready runs every check at once.
func (h *Health) ready(ctx context.Context) report {
	out := report{Status: "ready", Checks: make(map[string]string, len(h.Checks))}
	var (
		mu      sync.Mutex
		running sync.WaitGroup
	)
	for name, check := range h.Checks {
		running.Go(func() {
			reason := run(ctx, check)
			mu.Lock()
			defer mu.Unlock()
			out.Checks[name] = reason
			if reason != "ok" {
				out.Status = "not ready"
			}
		})
	}
	running.Wait()
	if h.draining.Load() {
		out.Status = "draining"
	}
	return out
}

// run returns "ok", or why the check did not pass.
func run(ctx context.Context, check func(context.Context) error) string {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- check(ctx) }() // what it waits for may not heed the context
	select {
	case err := <-done:
		if err != nil {
			return secret.Scrub(err.Error())
		}
		return "ok"
	case <-ctx.Done():
		return "no answer within " + checkLimit.String()
	}
}

// Admin returns the handler of the private listener: /healthz, which answers
// 200 while the process lives, /readyz, which answers 503 with the reasons while
// it cannot serve, /metrics and /debug/pprof/.
func Admin(health *Health, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, body := http.StatusOK, health.ready(r.Context())
		if body.Status != "ready" {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, body)
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to tell
}
