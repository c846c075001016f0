package telemetry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// deciding is the key of a context whose trace's parent decides whether it is kept.
type deciding struct{}

func mayDecide(ctx context.Context) bool { return ctx.Value(deciding{}) != nil }

// Request begins the span of a request, whose route is the pattern that matched,
// within the trace that its traceparent names (W3C Trace Context), if that is
// valid. Where a proxy of the operator's sent it, which trusted says, it also
// decides whether the trace is kept. It returns the request's context, and what
// ends the span with the status of the answer.
//
// A tracestate is left aside, and baggage: what a client tells other systems about
// its users is not for the log's nor for the upstreams' eyes.
func (t *Traces) Request(
	ctx context.Context, r *http.Request, route string, trusted bool,
) (_ context.Context, end func(status int)) {
	if parent := parentOf(r); parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
		if trusted {
			ctx = context.WithValue(ctx, deciding{}, true)
		}
	}
	if t == nil {
		return ctx, func(int) {}
	}
	method := methodOf(r)
	name := method
	if _, path, found := strings.Cut(route, " "); found {
		route = path
	}
	if route != "" {
		name += " " + route
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("http.route", route)))
	return ctx, func(status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			fail(span, strconv.Itoa(status))
		}
		span.End()
	}
}

// traceparentLength is how long a traceparent of version 00 is.
const traceparentLength = 55

// parentOf is the span that the request's one traceparent names, else invalid.
func parentOf(r *http.Request) trace.SpanContext {
	values := r.Header["Traceparent"]
	// The library takes one of version 00 that goes on with a dash for valid.
	if len(values) != 1 || strings.HasPrefix(values[0], "00-") && len(values[0]) != traceparentLength {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": values[0]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// methodOf is the request's method where it is a common one: any other may be
// anything.
func methodOf(r *http.Request) string {
	common := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
	}
	if slices.Contains(common, r.Method) {
		return r.Method
	}
	return "_OTHER"
}

// Transport returns base with a span around each request, which is such a call to
// that service and is sent the traceparent; base itself where no spans are made.
func (t *Traces) Transport(service, call string, base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	return transport{t, service, call, base}
}

type transport struct {
	*Traces
	service, call string
	base          http.RoundTripper
}

// RoundTrip implements http.RoundTripper. The span ends when the body is closed.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := t.tracer.Start(req.Context(), t.service+" "+t.call, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("service.peer.name", t.service), attribute.String("galaxygate.call", t.call),
		attribute.String("http.request.method", req.Method), attribute.String("server.address", req.URL.Hostname())))
	req = req.Clone(ctx)
	if t.propagate {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		fail(span, errorType(err))
		span.End()
		return nil, err //nolint:wrapcheck // as base's
	}
	span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		fail(span, strconv.Itoa(resp.StatusCode))
	}
	resp.Body = spanned{resp.Body, span}
	return resp, nil
}

// spanned is a body that is read within the span.
type spanned struct {
	io.ReadCloser
	span trace.Span
}

// Read implements io.Reader.
func (b spanned) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		fail(b.span, errorType(err))
	}
	return n, err
}

// Close implements io.Closer.
func (b spanned) Close() error {
	defer b.span.End()
	return b.ReadCloser.Close()
}

// fail marks the span as failed. What went wrong is a word: the text of an error
// may quote anything.
func fail(span trace.Span, what string) {
	span.SetAttributes(attribute.String("error.type", what))
	span.SetStatus(codes.Error, "")
}

// errorType is a word for why no answer came.
func errorType(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return "connection"
	}
}
