package telemetry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"galaxygate/internal/secret"
)

// flushLimit bounds how long the last spans may take to be exported.
const flushLimit = 2 * time.Second

// complaint is how often at most the log says that spans are not exported.
const complaint = time.Minute

// TracesConfig says which traces are made. The endpoint, and whatever else the
// standard variables say of the exporter, its libraries read in the environment.
type TracesConfig struct {
	Exporters []string      // of "otlp" and "console"; none: no spans are made
	Protocol  string        // of OTLP: "grpc", "http/protobuf" or "http/json"
	Sampler   string        // a value of OTEL_TRACES_SAMPLER
	Ratio     float64       // of traces, for a sampler that takes one
	Propagate bool          // whether upstreams are told the trace
	Secrets   []secret.Text // masked in the exporter's errors
	Version   string        // the gateway's
	Replica   string        // the replica's ID
	Console   io.Writer     // for "console"
	Logger    *slog.Logger
}

// Traces makes spans and has them exported. A nil *Traces makes none, but still
// takes over the trace that a request is part of.
//
// Spans never hold what a client wrote, but the IDs of its trace and the name of
// an operation; nor a URL's query, a header, or the text of an error.
type Traces struct {
	provider  *sdktrace.TracerProvider
	tracer    trace.Tracer
	propagate bool
}

// NewTraces returns nil where there is nothing to export to. An exporter connects
// in the background, and one that cannot is no error.
func NewTraces(ctx context.Context, cfg TracesConfig) (*Traces, error) {
	if len(cfg.Exporters) == 0 {
		return nil, nil
	}
	// The libraries' own complaints quote what they were given, headers too.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(describeProcess(ctx, cfg)),
		sdktrace.WithSampler(ownDecision{newSampler(cfg.Sampler, cfg.Ratio)}),
	}
	for _, name := range cfg.Exporters {
		to, err := newExporter(ctx, name, cfg)
		if err != nil {
			return nil, fmt.Errorf("make %s exporter of traces: %s", name, secret.Scrub(err.Error(), cfg.Secrets...))
		}
		options = append(options, sdktrace.WithBatcher(exporter{
			SpanExporter: to, secrets: cfg.Secrets, logger: cfg.Logger,
			seldom: rate.NewLimiter(rate.Every(complaint), 1),
		}))
	}
	provider := sdktrace.NewTracerProvider(options...)
	return &Traces{provider: provider, tracer: provider.Tracer("galaxygate"), propagate: cfg.Propagate}, nil
}

// Tracer makes spans within a request's; nil where none are made.
func (t *Traces) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Close exports what is left, as far as that is done soon.
func (t *Traces) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has said what there is to say
}

// describeProcess is what every span says of the process: what the environment
// says goes before what the gateway does. Where a part of it is of no use, the
// rest is.
func describeProcess(ctx context.Context, cfg TracesConfig) *resource.Resource {
	described, _ := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", "galaxygate"),
			attribute.String("service.version", cfg.Version),
			attribute.String("service.instance.id", cfg.Replica),
		),
		resource.WithFromEnv(),
	)
	return described
}

func newExporter(ctx context.Context, name string, cfg TracesConfig) (sdktrace.SpanExporter, error) {
	switch {
	case name == "console":
		return stdouttrace.New(stdouttrace.WithWriter(cfg.Console))
	case cfg.Protocol == "grpc":
		return otlptracegrpc.New(ctx)
	default: // which of the two protocols over HTTP it is, it reads itself
		return otlptracehttp.New(ctx)
	}
}

// exporter says now and then that spans are lost, and why.
type exporter struct {
	sdktrace.SpanExporter
	secrets []secret.Text
	logger  *slog.Logger
	seldom  *rate.Limiter
}

// ExportSpans implements sdktrace.SpanExporter. Its error is nil.
func (e exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil && e.seldom.Allow() {
		e.logger.WarnContext(ctx, "traces not exported", "spans", len(spans), "error", secret.Scrub(err.Error(), e.secrets...))
	}
	return nil
}

// newSampler is the one that OTEL_TRACES_SAMPLER names.
func newSampler(name string, ratio float64) sdktrace.Sampler {
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio)
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))
	default:
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	}
}

// ownDecision keeps clients from deciding which traces are kept. What anyone on
// the Internet sends as the parent of a request joins the two, and no more: neither
// its flag counts nor its trace's ID, which a sampler by ratio goes by. What happens
// within a request is kept where the request is.
type ownDecision struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (d ownDecision) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	switch {
	case parent.IsValid() && !parent.IsRemote():
		return sdktrace.ParentBased(d.Sampler).ShouldSample(p)
	case parent.IsRemote() && !mayDecide(p.ParentContext):
		p.ParentContext = trace.ContextWithSpanContext(p.ParentContext, trace.SpanContext{})
		_, _ = rand.Read(p.TraceID[:]) // never fails
	}
	return d.Sampler.ShouldSample(p)
}
