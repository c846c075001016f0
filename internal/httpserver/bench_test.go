package httpserver_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"galaxygate/internal/httpserver"
	"galaxygate/internal/telemetry"
)

// BenchmarkRequest is what a request costs on its way to its handler: traced by
// nobody, where no traces are made, and where it is part of one all the same.
func BenchmarkRequest(b *testing.B) {
	for _, bm := range []struct {
		name        string
		trace       bool
		traceparent string
	}{
		{name: "untraced"},
		{name: "no traces made", trace: true},
		{name: "no traces made, traceparent", trace: true, traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			handler := newPublic(func(p *httpserver.Public) {
				p.Logger = telemetry.NewLogger(&bytes.Buffer{}, slog.LevelError, telemetry.JSON)
				if bm.trace {
					p.Trace = (*telemetry.Traces)(nil).Request
				}
			})
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", nil)
			if bm.traceparent != "" {
				r.Header.Set("Traceparent", bm.traceparent)
			}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
