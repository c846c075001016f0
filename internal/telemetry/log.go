package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/trace"

	"galaxygate/internal/audit"
)

// Format is how log records are written.
type Format string

// The formats of the log.
const (
	Text Format = "text" // key=value, for people
	JSON Format = "json" // one object a line, for machines
	Auto Format = "auto" // Text on a terminal, else JSON
)

// NewLogger returns a logger that writes records of that level and above to w.
// Each record made with a request's context has its request_id, and the trace_id and
// span_id where it is part of a trace. Whatever looks like a secret is masked.
func NewLogger(w io.Writer, level slog.Leveler, format Format) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: mask}
	if format == Text || format == Auto && IsTerminal(w) {
		return slog.New(requestHandler{slog.NewTextHandler(w, options)})
	}
	return slog.New(requestHandler{slog.NewJSONHandler(w, options)})
}

// IsTerminal reports whether a person may read what is written to w.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// requestHandler adds to each record the IDs of the request it was made for.
type requestHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h requestHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := audit.ActorFrom(ctx).RequestID; id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", id))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}
