package graph_test

import (
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"galaxygate/graph"
)

// TestASpanNamesTheOperation but for a name that is long enough to be a secret.
func TestASpanNamesTheOperation(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	w := newWorld(t, func(_ *world, cfg *graph.Config) { cfg.Tracer = provider.Tracer("") })
	for _, test := range []struct {
		name, document, span string
		want                 []attribute.KeyValue
		unwanted             attribute.Key
	}{
		{
			"of a usual name", "query Me { __typename }", "graphql query",
			[]attribute.KeyValue{attribute.String("graphql.operation.name", "Me"), attribute.String("graphql.operation.type", "query")},
			"galaxygate.error.codes",
		},
		{"of a long name", "query " + strings.Repeat("a", 41) + " { __typename }", "graphql query", nil, "graphql.operation.name"},
		{
			"that is refused", "query Me { nope }", "graphql",
			[]attribute.KeyValue{attribute.StringSlice("galaxygate.error.codes", []string{"GRAPHQL_VALIDATION_FAILED"})},
			"graphql.operation.name",
		},
	} {
		w.do(person{}, test.document, nil)
		spans := recorder.Ended()
		last := spans[len(spans)-1]
		if last.Name() != test.span {
			t.Errorf("%s: got span %q, want %q", test.name, last.Name(), test.span)
		}
		for _, want := range test.want {
			if !slices.Contains(last.Attributes(), want) {
				t.Errorf("%s: got %v, want %v", test.name, last.Attributes(), want)
			}
		}
		if slices.ContainsFunc(last.Attributes(), func(a attribute.KeyValue) bool { return a.Key == test.unwanted }) {
			t.Errorf("%s: got %v, without %s", test.name, last.Attributes(), test.unwanted)
		}
	}
}
