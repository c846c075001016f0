package e2e_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	traceparent = "00-" + clientTrace + "-" + clientSpan + "-01"
	// wireCanary is in whatever a client writes that is nobody's business.
	wireCanary = "canary-51cf3b90"
	// collectorKey is what the collector wants to see.
	collectorKey = "collector-key-canary"
)

// collector is where an operator's traces go: it takes OTLP over HTTP.
type collector struct {
	url string

	mu     sync.Mutex
	raw    bytes.Buffer
	spans  []*tracepb.Span
	of     []string // the services that sent them
	sealed bool     // whether each request came with the key
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{sealed: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collectorpb.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		c.take(body, &sent, r.Header.Get("Api-Key") == collectorKey)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collector) take(body []byte, sent *collectorpb.ExportTraceServiceRequest, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(body)
	c.sealed = c.sealed && known
	for _, from := range sent.GetResourceSpans() {
		for _, a := range from.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.of = append(c.of, a.GetValue().GetStringValue())
			}
		}
		for _, scope := range from.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// in are the spans of that name in the trace, of any trace where it is empty.
func (c *collector) in(trace, name string) []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*tracepb.Span
	for _, s := range c.spans {
		if s.GetName() == name && (trace == "" || hex.EncodeToString(s.GetTraceId()) == trace) {
			found = append(found, s)
		}
	}
	return found
}

// only is the one span of that name in the trace.
func (c *collector) only(t *testing.T, trace, name string) *tracepb.Span {
	t.Helper()
	found := c.in(trace, name)
	if len(found) != 1 {
		t.Fatalf("%d spans %q", len(found), name)
	}
	return found[0]
}

// attributesOf are the span's, as text.
func attributesOf(s *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.GetAttributes() {
		all[a.GetKey()] = a.GetValue().String()
	}
	return all
}

// calls are the requests that reached the provider and Galaxy.
type calls struct {
	mu      sync.Mutex
	parents []string // by traceparent
	strange []string // headers that a client sent
}

func (c *calls) record(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parents = append(c.parents, r.Header.Get("Traceparent"))
	for _, name := range []string{"Tracestate", "Baggage"} {
		c.strange = append(c.strange, r.Header.Values(name)...)
	}
}

// ask sends an operation with the canary wherever a client can put one, as part of
// the client's trace.
func (b *browser) askTraced(t *testing.T, method string, traceparents ...string) result {
	t.Helper()
	const document = `query TwoHops($id: ID!) {
		viewer { email profile { displayName } connectedAccounts { nodes { identifier title } } }
		node(id: $id) { id } other: node(id: "` + wireCanary + `") { id }
	}`
	body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"id": wireCanary}})
	if err != nil {
		t.Fatal(err)
	}
	target := b.w.url + "/graphql?canary=" + wireCanary
	if method == http.MethodGet {
		target += "&query=" + url.QueryEscape(document) + "&variables=" + url.QueryEscape(`{"id":"`+wireCanary+`"}`)
		body = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Tracestate": "canary=" + wireCanary, "Baggage": "user=" + wireCanary,
		"User-Agent": wireCanary, "Referer": wireCanary, "X-Canary": wireCanary, "Sec-Fetch-Site": "same-origin",
	} {
		req.Header.Set(name, value)
	}
	for _, value := range traceparents {
		req.Header.Add("Traceparent", value)
	}
	resp, text := b.send(t, req)
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d: %s", resp.StatusCode, text)
	}
	return r
}

func TestATraceLeadsFromTheClientToTheUpstreams(t *testing.T) {
	t.Parallel()
	to, seen := newCollector(t), &calls{}
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("api-key="+collectorKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := settle(t, postgres(t), rollup, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": to.url, "OTEL_EXPORTER_OTLP_HEADERS_FILE": headers, "OTEL_SERVICE_NAME": "gate-under-test",
	})
	if out, status := w.command(t, "config"); status != 0 || strings.Contains(out, collectorKey) || !strings.Contains(out, to.url) {
		t.Errorf("galaxygate config: %d\n%s", status, out)
	}
	w.run(t)
	w.await(t, w.admin+"/readyz", http.StatusOK)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	record := seen.record
	w.front.arrived.Store(&record)
	if r := b.askTraced(t, http.MethodPost, traceparent); r.at("viewer", "connectedAccounts", "nodes", 0, "identifier") == nil {
		t.Errorf("got %+v", r)
	}
	b.askTraced(t, http.MethodGet)
	b.query(t, `query `+strings.Repeat("A", 43)+` { viewer { id } }`) // as long as a token
	w.stop(t)

	if !to.sealed || len(to.of) == 0 || to.of[0] != "gate-under-test" {
		t.Errorf("it came with the key: %v, from %q", to.sealed, to.of)
	}
	wantChain(t, to, seen)
	wantNoSecretIn(t, w, b, to.raw.String())
}

// wantChain wants the spans of the client's request to hang together.
func wantChain(t *testing.T, to *collector, seen *calls) {
	t.Helper()
	served, operation := to.only(t, clientTrace, "POST /graphql"), to.only(t, clientTrace, "graphql query")
	if got := hex.EncodeToString(served.GetParentSpanId()); got != clientSpan {
		t.Errorf("the request's parent is %s", got)
	}
	if !bytes.Equal(operation.GetParentSpanId(), served.GetSpanId()) {
		t.Errorf("the operation's parent is %x", operation.GetParentSpanId())
	}
	of := attributesOf(operation)
	if !strings.Contains(of["graphql.operation.name"], "TwoHops") || !strings.Contains(of["galaxygate.galaxy.requests"], "2") {
		t.Errorf("the operation says %v", of)
	}
	questions, claims := to.in(clientTrace, "galaxy query"), to.in(clientTrace, "passport userinfo")
	if len(questions) != 2 || len(claims) != 1 {
		t.Errorf("asked Galaxy %d times and userinfo %d times", len(questions), len(claims))
	}
	var want []string
	for _, call := range slices.Concat(questions, claims) {
		if !bytes.Equal(call.GetParentSpanId(), operation.GetSpanId()) || call.GetKind() != tracepb.Span_SPAN_KIND_CLIENT {
			t.Errorf("%s: its parent is %x", call.GetName(), call.GetParentSpanId())
		}
		want = append(want, fmt.Sprintf("00-%s-%x-01", clientTrace, call.GetSpanId()))
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, parent := range want {
		if !slices.Contains(seen.parents, parent) {
			t.Errorf("no upstream was told %s but %q", parent, seen.parents)
		}
	}
	if len(seen.strange) > 0 || slices.Contains(seen.parents, "") {
		t.Errorf("upstreams were told %q and %q", seen.parents, seen.strange)
	}
	token, callback := to.only(t, "", "passport token"), to.only(t, "", "GET /auth/callback")
	if !bytes.Equal(token.GetParentSpanId(), callback.GetSpanId()) {
		t.Errorf("the code's exchange belongs to %x", token.GetParentSpanId())
	}
}

// wantNoSecretIn searches what was exported, and the log.
func wantNoSecretIn(t *testing.T, w *world, b *browser, exported string) {
	t.Helper()
	secrets := slices.Concat(w.issued(), b.jar, []string{
		clientSecret, galaxyKey, w.keyset, collectorKey, wireCanary, strings.Repeat("A", 43), "alice@", "127.0.0.1:",
	})
	if len(secrets) < 12 || len(exported) < 2000 {
		t.Fatalf("only %d secrets, %d bytes", len(secrets), len(exported))
	}
	for _, secret := range secrets {
		if i := strings.Index(exported, secret); i >= 0 {
			t.Errorf("exported: %q after %q", secret, exported[max(0, i-80):i])
		}
		if secret != "127.0.0.1:" && strings.Contains(w.log.String(), secret) {
			t.Errorf("logged: %q", secret)
		}
	}
}

func TestWithoutACollectorTheLogStillNamesTheTrace(t *testing.T) {
	t.Parallel()
	seen := &calls{}
	w := found(t, sqlite(t), rollup, nil)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	record := seen.record
	w.front.arrived.Store(&record)
	b.askTraced(t, http.MethodPost, strings.ToUpper(traceparent))
	b.askTraced(t, http.MethodPost, traceparent, traceparent)
	if log := w.log.String(); strings.Contains(strings.ToLower(log), clientTrace) || strings.Contains(log, "trace_id") {
		t.Error("an invalid traceparent is in the log")
	}
	b.askTraced(t, http.MethodPost, traceparent)
	w.stop(t)
	for _, message := range []string{"galaxy asked", "request served"} {
		line := lineOf(w.log.String(), message, clientTrace)
		if line["span_id"] != clientSpan || line["request_id"] == nil {
			t.Errorf("%s: got %v", message, line)
		}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.parents) == 0 || strings.Join(append(seen.parents, seen.strange...), "") != "" {
		t.Errorf("upstreams were told %q and %q", seen.parents, seen.strange)
	}
}

// lineOf is the line of the log with that message about the trace.
func lineOf(log, message, trace string) map[string]any {
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message && line["trace_id"] == trace {
			return line
		}
	}
	return nil
}

func TestACollectorThatIsAwayHindersNobody(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := found(t, sqlite(t), rollup, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + freeAddress(t), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
				"OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + collectorKey,
				"OTEL_BSP_SCHEDULE_DELAY":    "20", "OTEL_BSP_EXPORT_TIMEOUT": "100", "OTEL_BSP_MAX_QUEUE_SIZE": "1",
			})
			b := w.browser(t)
			for range 20 {
				if r := b.query(t, `{ viewer { id } }`); len(r.Errors) > 0 {
					t.Errorf("got %+v", r.Errors)
				}
			}
			eventually(t, 20*time.Second, func() bool { return strings.Contains(w.log.String(), "traces not exported") },
				func() string { return "nothing is said of it" })
			w.stop(t)
			if n := strings.Count(w.log.String(), "traces not exported"); n != 1 || strings.Contains(w.log.String(), collectorKey) {
				t.Errorf("said %d times:\n%s", n, tail(w.log.String(), 3000))
			}
		})
	}
}
