package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"galaxygate/internal/telemetry"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

// span is one as the console exporter writes it.
type span struct {
	Name                string
	SpanContext, Parent struct{ TraceID, SpanID, TraceState string }
	SpanKind            int
	Attributes          []struct {
		Key   string
		Value struct{ Value any }
	}
	Status struct{ Code, Description string }
}

func (s span) attribute(key string) any {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.Value
		}
	}
	return nil
}

// traced runs do with traces by that sampler, and returns the spans and all that was
// exported.
func traced(t *testing.T, sampler string, ratio float64, do func(*telemetry.Traces)) (spans []span, exported string) {
	t.Helper()
	var out bytes.Buffer
	traces, err := telemetry.NewTraces(t.Context(), telemetry.TracesConfig{
		Exporters: []string{"console"}, Sampler: sampler, Ratio: ratio, Propagate: true,
		Console: &out, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	do(traces)
	traces.Close(t.Context())
	exported = out.String()
	decoder := json.NewDecoder(&out)
	for {
		var s span
		if err := decoder.Decode(&s); errors.Is(err, io.EOF) {
			return spans, exported
		} else if err != nil {
			t.Fatalf("decode %s: %v", exported, err)
		}
		spans = append(spans, s)
	}
}

func request(t *testing.T, header map[string]string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql?query=canary", strings.NewReader("canary"))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return r
}

func TestARequestIsPartOfTheTraceThatItNames(t *testing.T) {
	t.Parallel()
	spans, exported := traced(t, "parentbased_always_on", 1, func(traces *telemetry.Traces) {
		_, end := traces.Request(t.Context(), request(t, map[string]string{
			"traceparent": "00-" + traceID + "-" + parentID + "-01", "tracestate": "canary=1", "baggage": "canary=1", "Cookie": "canary",
		}), "POST /graphql", false)
		end(http.StatusBadGateway)
		_, end = traces.Request(t.Context(), httptest.NewRequestWithContext(t.Context(), "CANARY", "/canary", nil), "", false)
		end(http.StatusNotFound)
	})
	if len(spans) != 2 || strings.Contains(strings.ToLower(exported), "canary") {
		t.Fatalf("got %s", exported)
	}
	s := spans[0]
	if s.Name != "POST /graphql" || s.SpanContext.TraceID != traceID || s.Parent.SpanID != parentID || s.SpanKind != int(trace.SpanKindServer) {
		t.Errorf("got %+v", s)
	}
	if s.attribute("http.route") != "/graphql" || s.attribute("http.response.status_code") != 502.0 || s.Status.Code != "Error" {
		t.Errorf("got %+v", s)
	}
	if s = spans[1]; s.Name != "_OTHER" || s.Parent.SpanID != "0000000000000000" || s.Status.Code != "Unset" {
		t.Errorf("a request of an unknown method: got %+v", s)
	}
}

func TestOnlyATrustedProxyDecidesWhatIsKept(t *testing.T) {
	t.Parallel()
	const sampled, unsampled = "00-" + traceID + "-" + parentID + "-01", "00-" + traceID + "-" + parentID + "-00"
	tests := []struct {
		name        string
		sampler     string
		ratio       float64
		traceparent string
		trusted     bool
		want        int // of 20
	}{
		{"a client cannot force it", "parentbased_always_off", 1, sampled, false, 0},
		{"a client cannot prevent it", "parentbased_always_on", 1, unsampled, false, 20},
		{"a proxy forces it", "parentbased_always_off", 1, sampled, true, 20},
		{"a proxy prevents it", "parentbased_always_on", 1, unsampled, true, 0},
		{"a client cannot choose an ID for it", "parentbased_traceidratio", 0.5, "00-00000000000000000000000000000001-" + parentID + "-01", false, -1},
		{"without a parent", "traceidratio", 0.5, "", false, -1},
		{"always", "always_on", 1, unsampled, true, 20},
		{"never", "always_off", 1, sampled, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spans, _ := traced(t, tt.sampler, tt.ratio, func(traces *telemetry.Traces) {
				for range 20 {
					_, end := traces.Request(t.Context(), request(t, map[string]string{"traceparent": tt.traceparent}), "", tt.trusted)
					end(http.StatusOK)
				}
			})
			// By chance all or none of 20 are kept once in half a million.
			if got := len(spans); tt.want >= 0 && got != tt.want || tt.want < 0 && (got == 0 || got == 20) {
				t.Errorf("got %d of 20, want %d", got, tt.want)
			}
		})
	}
}

// TestATraceIsKeptWholeOrNotAtAll sends IDs of traces that a sampler by ratio would
// always keep: what happens within a request goes by the request's own fate.
func TestATraceIsKeptWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	const kept = "00-4bf92f3577b34da60000000000000001-" + parentID + "-01"
	spans, _ := traced(t, "traceidratio", 0.5, func(traces *telemetry.Traces) {
		for range 20 {
			ctx, end := traces.Request(t.Context(), request(t, map[string]string{"traceparent": kept}), "POST /graphql", false)
			_, operation := traces.Tracer().Start(ctx, "graphql query")
			operation.End()
			end(http.StatusOK)
		}
	})
	requests := make(map[string]bool)
	for _, s := range spans {
		requests[s.SpanContext.SpanID] = s.Name == "POST /graphql"
	}
	for _, s := range spans {
		if s.Name == "graphql query" && !requests[s.Parent.SpanID] {
			t.Errorf("an operation is exported without its request: %+v", s)
		}
	}
	// By chance all or none of 20 requests are kept once in half a million.
	if len(spans) == 0 || len(spans) == 40 {
		t.Errorf("got %d of 40 spans", len(spans))
	}
}

func TestAnUpstreamIsToldTheTraceAndNothingElse(t *testing.T) {
	t.Parallel()
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	var sent *http.Request
	spans, exported := traced(t, "parentbased_always_on", 1, func(traces *telemetry.Traces) {
		ctx, end := traces.Request(t.Context(), request(t, map[string]string{
			"traceparent": "00-" + traceID + "-" + parentID + "-01", "tracestate": "canary=1", "baggage": "canary=1",
		}), "POST /graphql", false)
		sent, _ = http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/path?canary=1", nil)
		sent.Header.Set("Authorization", "Bearer canary")
		resp, err := traces.Transport("galaxy", "query", http.DefaultTransport).RoundTrip(sent)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()

		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := traces.Transport("galaxy", "query", http.DefaultTransport).RoundTrip(sent.WithContext(ctx)); err == nil {
			t.Error("a cancelled request is answered")
		}
		end(http.StatusOK)
	})
	if len(spans) != 3 || strings.Contains(exported, "canary") {
		t.Fatalf("got %s", exported)
	}
	call, left, served := spans[0], spans[1], spans[2]
	if call.Name != "galaxy query" || call.Parent.SpanID != served.SpanContext.SpanID || call.SpanKind != int(trace.SpanKindClient) {
		t.Errorf("got %+v", call)
	}
	if call.attribute("http.response.status_code") != 429.0 || call.attribute("error.type") != "429" || call.Status.Code != "Error" {
		t.Errorf("got %+v", call)
	}
	if left.attribute("error.type") != "canceled" || left.Status.Description != "" {
		t.Errorf("got %+v", left)
	}
	if want := "00-" + traceID + "-" + call.SpanContext.SpanID + "-01"; got.Get("traceparent") != want {
		t.Errorf("got traceparent %q, want %q", got.Get("traceparent"), want)
	}
	if got.Get("tracestate")+got.Get("baggage") != "" || sent.Header.Get("traceparent") != "" {
		t.Errorf("got %v of %v", got, sent.Header)
	}
}

func TestWithoutTracesTheLogNamesTheTraceOfARequest(t *testing.T) {
	t.Parallel()
	traces, err := telemetry.NewTraces(t.Context(), telemetry.TracesConfig{})
	if err != nil || traces != nil || traces.Tracer() != nil || traces.Transport("a", "b", http.DefaultTransport) != http.DefaultTransport {
		t.Fatalf("got %v, %v", traces, err)
	}
	traces.Close(t.Context())
	const valid = "00-" + traceID + "-" + parentID + "-00"
	tests := []struct {
		name   string
		values []string
		want   bool
	}{
		{"a valid one", []string{valid}, true},
		{"of a later version", []string{"01-" + traceID + "-" + parentID + "-00-more"}, true},
		{"none", nil, false},
		{"two", []string{valid, valid}, false},
		{"empty", []string{""}, false},
		{"of a version that cannot be", []string{"ff-" + traceID + "-" + parentID + "-00"}, false},
		{"upper case", []string{strings.ToUpper(valid)}, false},
		{"no trace", []string{"00-" + strings.Repeat("0", 32) + "-" + parentID + "-00"}, false},
		{"no parent", []string{"00-" + traceID + "-0000000000000000-00"}, false},
		{"too much", []string{valid + "-00"}, false},
		{"a token", []string{"00-" + traceID + "-secret-00"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request(t, nil)
			for _, value := range tt.values {
				r.Header.Add("traceparent", value)
			}
			ctx, end := traces.Request(r.Context(), r, "POST /graphql", true)
			var out bytes.Buffer
			telemetry.NewLogger(&out, slog.LevelInfo, telemetry.Text).InfoContext(ctx, "told")
			end(http.StatusOK)
			if got := strings.Contains(out.String(), " trace_id="+traceID+" span_id="+parentID); got != tt.want {
				t.Errorf("got %s", out.String())
			}
			if got := strings.Contains(out.String(), "trace_id"); got != tt.want || (ctx == r.Context()) == tt.want {
				t.Errorf("got %s", out.String())
			}
		})
	}
}
