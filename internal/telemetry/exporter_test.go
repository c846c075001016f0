package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"

	"galaxygate/internal/secret"
)

// quoting is an exporter whose collector quotes the header that it does not like.
type quoting struct{ sdktrace.SpanExporter }

func (quoting) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New("failed to send to http://collector/v1/traces: 401 (body: what is api-key=hush?)")
}

func TestAnExportThatFailsIsToldSeldomAndWithoutHeaders(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := exporter{
		SpanExporter: quoting{}, secrets: []secret.Text{secret.New("hush")},
		logger: slog.New(slog.NewTextHandler(&out, nil)), seldom: rate.NewLimiter(rate.Every(complaint), 1),
	}
	for range 3 {
		if err := e.ExportSpans(t.Context(), nil); err != nil {
			t.Errorf("the library, which would print it, is told %v", err)
		}
	}
	if got := out.String(); strings.Count(got, "traces not exported") != 1 || !strings.Contains(got, "401") || strings.Contains(got, "hush") {
		t.Errorf("got %s", got)
	}
}
