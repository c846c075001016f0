package graphqlhttp_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/graphqlhttp"
)

// events is a stream as its client reads it.
type events struct {
	response *http.Response
	lines    *bufio.Reader
}

// client speaks HTTP/1.1, or HTTP/2 without TLS.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask asks for a stream: by GET, or by POST where the method says so.
func (p *place) ask(t *testing.T, c *http.Client, method, query string, header http.Header) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	target, body := p.server.URL+"/graphql?query="+url.QueryEscape(query), ""
	if method != http.MethodGet {
		target, body = p.server.URL+"/graphql", `{"query":"`+strings.ReplaceAll(query, `"`, `\"`)+`"}`
	}
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Content-Type", mediaJSON)
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return &events{response: response, lines: bufio.NewReader(response.Body)}
}

// begins fails where the response is no stream of events.
func (e *events) begins(t *testing.T) *events {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept",
	} {
		if got := e.response.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if e.response.StatusCode != http.StatusOK {
		t.Fatalf("got %d, want 200", e.response.StatusCode)
	}
	return e
}

// hears fails where the next events are others. Comments are passed over.
func (e *events) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		var got strings.Builder
		for got.Len() == 0 || !strings.HasSuffix(got.String(), "\n\n") {
			line, err := e.lines.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v, want %q", got.String(), err, w)
			}
			if strings.HasPrefix(line, ":") || line == "\n" && got.Len() == 0 {
				continue
			}
			got.WriteString(line)
		}
		if got.String() != w {
			t.Fatalf("got %q, want %q", got.String(), w)
		}
	}
}

// ends fails where there is more but comments.
func (e *events) ends(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(e.lines)
	if got := strings.Trim(string(rest), ":\n"); err != nil || got != "" {
		t.Errorf("got %q, %v, want the end", got, err)
	}
}

const completed = "event: complete\ndata: \n\n"

func next(data string) string { return "event: next\ndata: {\"data\":" + data + "}\n\n" }

func TestEventsOfEveryKindOfOperation(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, http2)
			for _, tt := range []struct {
				method, query string
				want          []string
			}{
				{"GET", `{name}`, []string{next(`{"name":"Alice"}`)}},
				{"POST", `{name}`, []string{next(`{"name":"Alice"}`)}},
				{"POST", `mutation{rename(to:"Bob")}`, []string{next(`{"rename":"Alice"}`)}},
				{"GET", `subscription{count(to:2)}`, []string{next(`{"count":1}`), next(`{"count":2}`)}},
				{"POST", `subscription{count(to:2)}`, []string{next(`{"count":1}`), next(`{"count":2}`)}},
				{"GET", `subscription{lines}`, []string{next(`{"lines":"a"}`)}},
				{"GET", `subscription{refused}`, []string{"event: next\ndata: {\"errors\":[{\"message\":\"not for you\"}]}\n\n"}},
				{"GET", `subscription{panics}`, []string{"event: next\ndata: {\"errors\":[{\"message\":\"internal system error\"}]}\n\n"}},
			} {
				e := p.ask(t, c, tt.method, tt.query, nil).begins(t)
				if e.response.Proto != name {
					t.Errorf("got %s, want %s", e.response.Proto, name)
				}
				e.hears(t, append(tt.want, completed)...)
				e.ends(t)
			}
		})
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		query  string
		accept string
		status int
		code   string
		media  string
		allow  string
	}{
		{name: "a document that does not parse", method: "GET", query: `{`, status: 400, code: "GRAPHQL_PARSE_FAILED", media: mediaJSON},
		{name: "an unknown field", method: "POST", query: `{nope}`, status: 400, code: "GRAPHQL_VALIDATION_FAILED", media: mediaJSON},
		{name: "for the newer media type", method: "POST", query: `{nope}`, accept: "text/event-stream, " + mediaGraphQL + ";q=0.5", status: 400, code: "GRAPHQL_VALIDATION_FAILED", media: mediaGraphQL},
		{name: "no query", method: "GET", status: 400, code: "BAD_USER_INPUT", media: mediaJSON},
		{name: "a mutation by GET", method: "GET", query: `mutation{rename(to:"Bob")}`, status: 405, code: "BAD_USER_INPUT", media: mediaJSON, allow: "POST"},
		{name: "a reservation", method: "PUT", query: `{name}`, status: 405, code: "BAD_USER_INPUT", media: mediaJSON, allow: "GET, POST"},
		{name: "a stop", method: "DELETE", query: `{name}`, status: 405, code: "BAD_USER_INPUT", media: mediaJSON, allow: "GET, POST"},
		{name: "a subscription as JSON", method: "POST", query: `subscription{wait}`, accept: mediaJSON + ", text/event-stream", status: 400, code: "BAD_USER_INPUT", media: mediaJSON},
	}
	p := open(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if tt.accept != "" {
				header.Set("Accept", tt.accept)
			}
			e := p.ask(t, client(t, false), tt.method, tt.query, header)
			body, err := io.ReadAll(e.lines)
			if err != nil {
				t.Fatal(err)
			}
			members, code := answer{body: string(body)}.result(t)
			if e.response.StatusCode != tt.status || code != tt.code {
				t.Errorf("got %d %s, want %d %s", e.response.StatusCode, body, tt.status, tt.code)
			}
			if members["data"] != nil {
				t.Errorf("there are data: %s", body)
			}
			if got := e.response.Header.Get("Content-Type"); got != tt.media+"; charset=utf-8" {
				t.Errorf("Content-Type: got %q, want %q", got, tt.media)
			}
			if got := e.response.Header.Get("Allow"); got != tt.allow {
				t.Errorf("Allow: got %q, want %q", got, tt.allow)
			}
		})
	}
}

func TestEventsOutliveEveryDeadline(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) {
		all.requests = time.Second
		all.events.WriteTimeout, all.events.KeepAlive = 500*time.Millisecond, 900*time.Millisecond
	})
	var streams []*events
	for _, http2 := range []bool{false, true} {
		for _, method := range []string{"GET", "POST"} {
			e := p.ask(t, client(t, http2), method, `subscription{ended}`, http.Header{"Authorization": {"Bearer alice"}})
			streams = append(streams, e.begins(t))
		}
	}
	for _, e := range streams {
		for range 2 * 4 { // four comments, each followed by an empty line
			if line, err := e.lines.ReadString('\n'); err != nil || line != ":\n" && line != "\n" {
				t.Fatalf("%s: got %q, %v, want a comment", e.response.Proto, line, err)
			}
		}
	}
	close(p.endOf("alice"))
	for _, e := range streams {
		e.hears(t, next(`{"ended":1}`), completed)
		e.ends(t)
	}
}

func TestEventsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	e := p.ask(t, client(t, false), "GET", `subscription{wait}`, http.Header{"Authorization": {"Bearer alice"}}).begins(t)
	p.awaitRunning(t, 1)
	close(p.endOf("alice"))
	e.hears(t, completed)
	e.ends(t)
	p.awaitOpen(t, graphqlhttp.OverEvents, 0)
	p.awaitRunning(t, 0)
}

func TestEventsEndWhenTheirClientGoes(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for _, http2 := range []bool{false, true} {
		e := p.ask(t, client(t, http2), "GET", `subscription{wait}`, nil).begins(t)
		p.awaitRunning(t, 1)
		_ = e.response.Body.Close()
		p.awaitRunning(t, 0)
		p.awaitOpen(t, graphqlhttp.OverEvents, 0)
	}
}

func TestEventsForWhoDoesNotReadEnd(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.events.WriteTimeout = 200 * time.Millisecond })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := "GET /graphql?query=subscription%7Bflood%7D HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	p.awaitOpen(t, graphqlhttp.OverEvents, 1)
	p.awaitOpen(t, graphqlhttp.OverEvents, 0)
}

func TestEventsAreBoundedAndEndAtTheClose(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.limits.PerCaller = 1 })
	c := client(t, false)
	alice := http.Header{"Authorization": {"Bearer alice"}}
	e := p.ask(t, c, "GET", `subscription{wait}`, alice).begins(t)
	second := p.ask(t, c, "GET", `subscription{wait}`, alice)
	if second.response.StatusCode != http.StatusTooManyRequests || second.response.Header.Get("Retry-After") == "" {
		t.Errorf("a second stream: got %d", second.response.StatusCode)
	}
	p.ask(t, c, "GET", `{name}`, alice).begins(t).hears(t, next(`{"name":"Alice"}`), completed)
	p.close(t)
	e.ends(t) // without complete
	late := p.ask(t, c, "GET", `subscription{wait}`, alice)
	if late.response.StatusCode != http.StatusServiceUnavailable || late.response.Header.Get("Retry-After") == "" {
		t.Errorf("after the close: got %d", late.response.StatusCode)
	}
}

func TestWhoAsksForMethodsIsToldThemWhateverItAccepts(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "/graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if (graphqlhttp.Events{}).Supports(r) {
		t.Error("OPTIONS is taken for the beginning of a stream")
	}
}
