package httpserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"galaxygate/internal/audit"
	"galaxygate/internal/graphqlhttp"
	"galaxygate/internal/secret"
)

// observe traces, logs and measures each request, and answers 500 for a handler
// that panics. What the request says beside its method and path is never logged.
func (p *Public) observe(route func(*http.Request) string) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start, pattern := p.Now(), route(r)
			ctx, traced := p.traced(r.Context(), r, pattern)
			if ctx != r.Context() { // most requests are part of no trace: they need no copy
				r = r.WithContext(ctx)
			}
			response := &response{ResponseWriter: w}
			whole := serve(p.Logger, next, response, r)
			took := p.Now().Sub(start)
			traced(response.Status())
			if p.Observe != nil && !response.streamed() {
				p.Observe(pattern, response.Status(), took)
			}
			p.Logger.InfoContext(ctx, "request served",
				"method", secret.Scrub(r.Method), "path", loggablePath(r, pattern), "status", response.Status(),
				"bytes", response.bytes, "took", took, "client", audit.ActorFrom(ctx).IPAddress)
			if !whole {
				panic(http.ErrAbortHandler) // the client must not take the answer for a whole one
			}
		})
	}
}

// traced is the request's context with its trace, and what ends that.
func (p *Public) traced(ctx context.Context, r *http.Request, pattern string) (_ context.Context, end func(status int)) {
	if p.Trace == nil {
		return ctx, func(int) {}
	}
	peer, _ := parseAddress(r.RemoteAddr) // an invalid one is within no network
	return p.Trace(ctx, r, pattern, within(p.TrustedProxies, peer))
}

// serve runs next and reports whether the answer is whole.
func serve(logger *slog.Logger, next http.Handler, w *response, r *http.Request) (whole bool) {
	ctx := r.Context()
	defer func() {
		v := recover()
		if v == nil || v == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
			return
		}
		logger.ErrorContext(ctx, "handler panicked", "panic", secret.Scrub(fmt.Sprint(v)), "stack", string(debug.Stack()))
		if w.status == 0 {
			Refuse(w, r, graphqlhttp.InternalError())
			whole = true
		}
	}()
	next.ServeHTTP(w, r)
	return true
}

// loggablePath returns the request's path where the pattern of its route spells
// it out. Any other may hold anything, a token too.
func loggablePath(r *http.Request, pattern string) string {
	_, path, found := strings.Cut(pattern, " ")
	if !found {
		path = pattern
	}
	if strings.TrimSuffix(path, "{$}") == r.URL.Path {
		return r.URL.Path
	}
	return secret.Scrub(r.URL.Path)
}

// response remembers the status and the size of what is written.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Status returns the status sent, 200 where the handler wrote nothing.
func (w *response) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// streamed reports whether the answer lasted for as long as its client wanted, which
// says nothing of how fast requests are served.
func (w *response) streamed() bool {
	return w.status == http.StatusSwitchingProtocols || strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream")
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	// 1xx but 101 are announcements, the answer is still to come.
	if w.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher. Compression looks for it here, and not beneath.
func (w *response) Flush() { _ = w.FlushError() } // the next write fails too

// FlushError sends what is written, for http.ResponseController.
func (w *response) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
