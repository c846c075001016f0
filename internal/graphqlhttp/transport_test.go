package graphqlhttp_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/graphqlhttp"
)

const (
	mediaJSON    = "application/json"
	mediaGraphQL = "application/graphql-response+json"
)

// newGraphQL returns a handler that serves a small schema, with a limit of bodies.
func newGraphQL(t *testing.T, maxBodyBytes int64) http.Handler {
	t.Helper()
	return serve(t, graphqlhttp.Transport{MaxBodyBytes: maxBodyBytes})
}

// serve returns a handler that serves a small schema by the transports.
func serve(t *testing.T, transports ...graphql.Transport) http.Handler {
	t.Helper()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		type Query { name: String  find(id: Int!): String  broken: String!  half: String }
		type Mutation { rename(to: String!): String }
		type Subscription { name: String }
	`})
	server := handler.New(&graphql.ExecutableSchemaMock{
		SchemaFunc: func() *ast.Schema { return schema },
		ComplexityFunc: func(context.Context, string, string, int, map[string]any) (int, bool) {
			return 0, false
		},
		ExecFunc: func(ctx context.Context) graphql.ResponseHandler {
			if strings.Contains(graphql.GetOperationContext(ctx).RawQuery, "broken") {
				return graphql.OneShot(&graphql.Response{
					Data:   json.RawMessage(`null`),
					Errors: gqlerror.List{{Message: "broken", Path: ast.Path{ast.PathName("broken")}}},
				})
			}
			if strings.Contains(graphql.GetOperationContext(ctx).RawQuery, "Panic") {
				panic("secret of the executor")
			}
			if strings.Contains(graphql.GetOperationContext(ctx).RawQuery, "half") {
				return graphql.OneShot(&graphql.Response{
					Data:   json.RawMessage(`{"half":null}`),
					Errors: gqlerror.List{{Message: "half", Path: ast.Path{ast.PathName("half")}}},
				})
			}
			return graphql.OneShot(&graphql.Response{Data: json.RawMessage(`{"name":"Alice"}`)})
		},
	})
	for _, transport := range transports {
		server.AddTransport(transport)
	}
	return server
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// result decodes the body as a GraphQL response.
func (a answer) result(t *testing.T) (members map[string]json.RawMessage, code string) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	var errs []struct {
		Extensions struct{ Code string }
	}
	if raw, ok := members["errors"]; ok {
		if err := json.Unmarshal(raw, &errs); err != nil || len(errs) == 0 {
			t.Fatalf("errors %s: %v", raw, err)
		}
		code = errs[0].Extensions.Code
	}
	return members, code
}

func send(t *testing.T, h http.Handler, method, target, body string, header http.Header) answer {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	content, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: w.Code, header: w.Result().Header, body: string(content)}
}

func asJSON(accept string) http.Header {
	h := http.Header{"Content-Type": {mediaJSON}}
	if accept != "" {
		h.Set("Accept", accept)
	}
	return h
}

func TestAPanicIsAnsweredLikeAnyError(t *testing.T) {
	t.Parallel()
	both := serve(t, graphqlhttp.Events{}, graphqlhttp.Transport{})
	for accept, media := range map[string]string{mediaJSON: mediaJSON, mediaGraphQL: mediaGraphQL, "text/event-stream": mediaJSON} {
		got := send(t, both, http.MethodPost, "/graphql", `{"query":"query Panic {name}"}`, asJSON(accept))
		members, _ := got.result(t)
		if _, data := members["data"]; data || got.status != http.StatusInternalServerError ||
			got.header.Get("Content-Type") != media+"; charset=utf-8" || strings.Contains(got.body, "secret") {
			t.Errorf("%s: got %d %v %s", accept, got.status, got.header, got.body)
		}
	}
}

// TestNobodyWaitsForTheBodyOfAGET announces one that never comes, and one that is
// broken.
func TestNobodyWaitsForTheBodyOfAGET(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newGraphQL(t, 0))
	defer server.Close()
	for name, header := range map[string]string{
		"announced": "Content-Length: 10\r\n\r\n",
		"broken":    "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /graphql?query={name} HTTP/1.1\r\nHost: x\r\n"+header)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, answer.StatusCode)
		}
		_ = answer.Body.Close()
	}
}

func TestTransportAnswersRequests(t *testing.T) {
	t.Parallel()
	const unspeakable = "hunter2-hunter2-hunter2-hunter2"
	tests := []struct {
		name     string
		method   string
		query    string // of the URL
		body     string
		header   http.Header
		limit    int64 // of the body; 1000 where it is 0
		status   int
		code     string
		hasData  bool
		wantHead map[string]string
	}{
		{name: "a query by POST", body: `{"query":"{name}"}`, status: 200, hasData: true},
		{name: "a query for the newer media type", body: `{"query":"{name}"}`, header: asJSON(mediaGraphQL), status: 200, hasData: true},
		{name: "null parameters", body: `{"query":"{name}","variables":null,"operationName":null,"extensions":null}`, status: 200, hasData: true},
		{name: "unknown parameters are ignored", body: `{"query":"{name}","id":7}`, status: 200, hasData: true},
		{name: "a charset named in capitals", body: `{"query":"{name}"}`, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, status: 200, hasData: true},
		{name: "a query by GET", method: "GET", query: "query=" + url.QueryEscape("query A($id: Int!) {find(id: $id)}") + "&operationName=A&variables=" + url.QueryEscape(`{"id":1}`), status: 200, hasData: true},
		{name: "a null root stays in the response", body: `{"query":"{broken}"}`, header: asJSON(mediaGraphQL), status: 200, hasData: true},

		{name: "a mutation by GET", method: "GET", query: "query=" + url.QueryEscape(`mutation {rename(to: "Bob")}`), status: 405, code: "BAD_USER_INPUT", wantHead: map[string]string{"Allow": "POST"}},
		{name: "a mutation by HEAD", method: "HEAD", query: "query=" + url.QueryEscape(`mutation {rename(to: "Bob")}`), status: 405, code: "BAD_USER_INPUT", wantHead: map[string]string{"Allow": "POST"}},
		{name: "another method", method: "PUT", body: `{"query":"{name}"}`, status: 405, code: "BAD_USER_INPUT", wantHead: map[string]string{"Allow": "GET, HEAD, POST, OPTIONS"}},
		{name: "a subscription", body: `{"query":"subscription {name}"}`, status: 400, code: "BAD_USER_INPUT"},

		{name: "no content type", body: `{"query":"{name}"}`, header: http.Header{}, status: 415, code: "BAD_USER_INPUT"},
		{name: "a form", body: `query={name}`, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "another charset", body: `{"query":"{name}"}`, header: http.Header{"Content-Type": {"application/json; charset=utf-16"}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "a compressed body", body: "\x1f\x8b", header: http.Header{"Content-Type": {mediaJSON}, "Content-Encoding": {"gzip"}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "nothing acceptable", body: `{"query":"{name}"}`, header: asJSON("text/html"), status: 406, code: "BAD_USER_INPUT"},
		{name: "a body beyond the limit", body: `{"query":"{name}","variables":{"s":"` + strings.Repeat("x", 2000) + `"}}`, status: 413, code: "BAD_USER_INPUT"},

		{name: "an empty body", status: 400, code: "BAD_USER_INPUT"},
		{name: "a batch", body: ` [{"query":"{name}"}]`, status: 400, code: "BAD_USER_INPUT"},
		{name: "bytes after the JSON", body: `{"query":"{name}"} {}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a body that ends early", body: `{"query":"{name}"`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a body in another encoding", body: "{\"query\":\"{name}\",\"x\":\"\xff\"}", status: 400, code: "BAD_USER_INPUT"},
		{name: "JSON null", body: `null`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a name in other letters", body: `{"Query":"{name}"}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a query that is no string", body: `{"query":{"a":1}}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "an empty query", body: `{"query":" "}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "variables that are no object", body: `{"query":"{name}","variables":["` + unspeakable + `"]}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "an operation name that is no string", body: `{"query":"{name}","operationName":0}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "extensions that are no object", body: `{"query":"{name}","extensions":"x"}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "no query, but a document's ID", body: `{"documentId":"` + unspeakable + `"}`, header: asJSON(mediaGraphQL), status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "no query, but a persisted one", body: `{"query":"","extensions":{"persistedQuery":{}}}`, header: asJSON(mediaGraphQL), status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "an extension that is called as the document's ID", body: `{"extensions":{"documentId":"x"}}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a document's ID that is no string", body: `{"query":"{name}","documentId":7}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "an empty document's ID", body: `{"query":"{name}","documentId":""}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "an empty document's ID by GET", method: "GET", query: "query={name}&documentId=", status: 400, code: "BAD_USER_INPUT"},
		{name: "GET without a query", method: "GET", status: 400, code: "BAD_USER_INPUT"},
		{name: "parameters in the URL of a POST count for nothing", query: "query=%7Bnope%7D&operationName=B&variables=%5B", body: `{"query":"{name}"}`, status: 200, hasData: true},
		{name: "unknown parameters of the URL are ignored", method: "GET", query: "query={name}&_=1&id=7&id=8", status: 200, hasData: true},
		{name: "numbers beyond any type", body: `{"query":"{name}","variables":{"a":1e999999999,"b":` + strings.Repeat("9", 500) + `}}`, status: 200, hasData: true},
		{name: "a nesting bomb", body: `{"query":"{name}","variables":{"id":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}}`, limit: 1 << 20, status: 400, code: "BAD_USER_INPUT"},
		{name: "a variable as deep as may be", body: `{"query":"query($id: Int!){find(id: $id)}","variables":{"id":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`, limit: 1 << 20, status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "a parameter given twice", body: `{"query":"{name}","query":"{nope}"}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a parameter given twice by another spelling", body: `{"query":"{name}","qu\u0065ry":"{nope}"}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a variable given twice", body: `{"query":"{name}","variables":{"id":1,"id":2}}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a variable given twice by GET", method: "GET", query: "query={name}&variables=" + url.QueryEscape(`{"id":1,"id":2}`), status: 400, code: "BAD_USER_INPUT"},
		{name: "a lone surrogate", body: `{"query":"{name}","variables":{"a":"\ud800"}}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "a byte order mark", body: "\ufeff" + `{"query":"{name}"}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "GET in another encoding", method: "GET", query: "query={name}%23%ff", status: 400, code: "BAD_USER_INPUT"},
		{name: "GET variables in another encoding", method: "GET", query: "query={name}&variables=%7B%22a%22:%22%ff%22%7D", status: 400, code: "BAD_USER_INPUT"},
		{name: "GET with a body", method: "GET", query: "query={name}", body: `{"query":"{name}"}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "two content types", body: `{"query":"{name}"}`, header: http.Header{"Content-Type": {mediaJSON, "text/plain"}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "a multipart form", body: "--x\r\n", header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "text", body: `{"query":"{name}"}`, header: http.Header{"Content-Type": {"text/plain"}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "an empty content encoding", body: `{"query":"{name}"}`, header: http.Header{"Content-Type": {mediaJSON}, "Content-Encoding": {""}}, status: 415, code: "BAD_USER_INPUT"},
		{name: "an operation that is not there", body: `{"query":"{name}","operationName":"` + unspeakable + `"}`, status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "GET with two queries", method: "GET", query: "query={name}&query={name}", status: 400, code: "BAD_USER_INPUT"},
		{name: "GET with bytes after the variables", method: "GET", query: "query={name}&variables=" + url.QueryEscape(`{} {}`), status: 400, code: "BAD_USER_INPUT"},
		{name: "GET with a broken escape", method: "GET", query: "query=%zz", status: 400, code: "BAD_USER_INPUT"},

		{name: "a document that does not parse", body: `{"query":"{"}`, header: asJSON(mediaJSON), status: 200, code: "GRAPHQL_PARSE_FAILED"},
		{name: "the same for the newer media type", body: `{"query":"{"}`, header: asJSON(mediaGraphQL), status: 400, code: "GRAPHQL_PARSE_FAILED"},
		{name: "an unknown field", body: `{"query":"{nope}"}`, header: asJSON(mediaJSON), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "the same unknown field for the newer media type", body: `{"query":"{nope}"}`, header: asJSON(mediaGraphQL), status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newGraphQL(t, cmp.Or(tt.limit, 1000))
			if tt.method == "" {
				tt.method = http.MethodPost
			}
			if tt.header == nil {
				tt.header = asJSON("")
			}
			got := send(t, h, tt.method, "/graphql?"+tt.query, tt.body, tt.header)
			if got.status != tt.status {
				t.Errorf("status: got %d, want %d; body %s", got.status, tt.status, got.body)
			}
			members, code := got.result(t)
			if code != tt.code {
				t.Errorf("code: got %q, want %q; body %s", code, tt.code, got.body)
			}
			if _, has := members["data"]; has != tt.hasData {
				t.Errorf("data present: got %v, want %v; body %s", has, tt.hasData, got.body)
			}
			if strings.Contains(got.body, unspeakable) {
				t.Errorf("the request's value came back: %s", got.body)
			}
			if vary := got.header.Get("Vary"); vary != "Accept" {
				t.Errorf("Vary: got %q, want %q", vary, "Accept")
			}
			for name, want := range tt.wantHead {
				if value := got.header.Get(name); value != want {
					t.Errorf("%s: got %q, want %q", name, value, want)
				}
			}
		})
	}
}

func TestTransportAnswersNobodyWhenTheCallerHasGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", strings.NewReader(`{"query":"{name}"}`))
	r.Header.Set("Content-Type", mediaJSON)
	w := httptest.NewRecorder()
	newGraphQL(t, 0).ServeHTTP(w, r)
	if w.Code != 499 {
		t.Errorf("status: got %d, want 499", w.Code)
	}
}

func TestTransportNegotiatesTheMediaType(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		accept []string
		want   string // empty: 406
	}{
		{name: "no header", want: mediaJSON},
		{name: "an empty header", accept: []string{""}, want: mediaJSON},
		{name: "anything", accept: []string{"*/*"}, want: mediaJSON},
		{name: "any application type", accept: []string{"application/*"}, want: mediaJSON},
		{name: "a browser's", accept: []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, want: mediaJSON},
		{name: "the older alone", accept: []string{"application/json"}, want: mediaJSON},
		{name: "the newer alone", accept: []string{mediaGraphQL}, want: mediaGraphQL},
		{name: "the newer first", accept: []string{mediaGraphQL + ", application/json"}, want: mediaGraphQL},
		{name: "the older first", accept: []string{"application/json, " + mediaGraphQL}, want: mediaJSON},
		{name: "over two lines", accept: []string{"text/html", mediaGraphQL}, want: mediaGraphQL},
		{name: "weights against the order", accept: []string{"application/json;q=0.5, " + mediaGraphQL + ";q=0.9"}, want: mediaGraphQL},
		{name: "the newer named beside anything", accept: []string{mediaGraphQL + ", */*"}, want: mediaGraphQL},
		{name: "the newer named after anything", accept: []string{"*/*, " + mediaGraphQL}, want: mediaGraphQL},
		{name: "the older excluded", accept: []string{"*/*, application/json;q=0"}, want: mediaGraphQL},
		{name: "both excluded", accept: []string{"*/*;q=0"}},
		{name: "another charset", accept: []string{"application/json;charset=utf-16"}},
		{name: "UTF-8 asked for", accept: []string{"application/json; charset=utf-8"}, want: mediaJSON},
		{name: "a weight as Java has it", accept: []string{"text/html, *; q=.2, */*; q=.2"}, want: mediaJSON},
		{name: "a weight that is no number", accept: []string{"application/json;q=high, " + mediaGraphQL + ";q=0.1"}, want: mediaGraphQL},
		{name: "weights in other notations", accept: []string{"application/json;q=1e0, " + mediaGraphQL + ";q=0x1p-1"}},
		{name: "a weight below zero", accept: []string{"application/json;q=-1"}},
		{name: "a quoted comma", accept: []string{`application/json;p="a,` + mediaGraphQL + `,\"";q=0.5`}, want: mediaJSON},
		{name: "elements without a type", accept: []string{",, ;q=1, application/, " + mediaGraphQL}, want: mediaGraphQL},
		{name: "weights out of range", accept: []string{"application/json;q=7, " + mediaGraphQL + ";q=NaN"}},
		{name: "other types", accept: []string{"text/event-stream, multipart/mixed"}},
	}
	h := newGraphQL(t, 0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := asJSON("")
			if tt.accept != nil {
				header["Accept"] = tt.accept
			}
			got := send(t, h, http.MethodPost, "/graphql", `{"query":"{name}"}`, header)
			if tt.want == "" {
				if got.status != http.StatusNotAcceptable {
					t.Errorf("status: got %d, want %d", got.status, http.StatusNotAcceptable)
				}
				return
			}
			if want := tt.want + "; charset=utf-8"; got.header.Get("Content-Type") != want || got.status != http.StatusOK {
				t.Errorf("got %d %q, want 200 %q", got.status, got.header.Get("Content-Type"), want)
			}
		})
	}
}

func TestTransportRefusesABodyByItsLength(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/graphql", unreadable{t})
	r.Header.Set("Content-Type", mediaJSON)
	r.ContentLength = 1001
	w := httptest.NewRecorder()
	newGraphQL(t, 1000).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status: got %d, want 413", w.Code)
	}
}

// unreadable is a body that must not be read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestTransportAnswersABodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newGraphQL(t, 1000))
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Start()
	defer server.Close()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	const head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	if _, err := io.WriteString(connection, head); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusRequestTimeout || !response.Close {
		t.Errorf("got %d, closing %v; want 408, closing", response.StatusCode, response.Close)
	}
}

func TestTransportTellsItsMethods(t *testing.T) {
	t.Parallel()
	got := send(t, newGraphQL(t, 0), http.MethodOptions, "/graphql", "", http.Header{"Accept": {"text/html"}})
	if got.status != http.StatusNoContent || got.header.Get("Allow") != "GET, HEAD, POST, OPTIONS" || got.body != "" {
		t.Errorf("got %d, Allow %q, body %q", got.status, got.header.Get("Allow"), got.body)
	}
}

func TestTransportAnswersByTheDraft(t *testing.T) {
	t.Parallel()
	const variable = `"query":"query($id: Int!){find(id: $id)}","variables":{"id":"x"}`
	tests := []struct {
		name   string
		method string
		query  string
		accept string
		kind   string // of the request's body; JSON where it is empty
		body   string
		status int
		media  string
	}{
		{name: "data", body: `{"query":"{name}"}`, accept: mediaGraphQL, status: 200, media: mediaGraphQL},
		{name: "data for a client that does not say", body: `{"query":"{name}"}`, status: 200, media: mediaGraphQL},
		{name: "data for a client that takes anything", body: `{"query":"{name}"}`, accept: "*/*", status: 200, media: mediaGraphQL},
		{name: "data for an old client", body: `{"query":"{name}"}`, accept: mediaJSON, status: 200, media: mediaJSON},
		{name: "data with errors", body: `{"query":"{half}"}`, accept: mediaGraphQL, status: 294, media: mediaGraphQL},
		{name: "data with errors for an old client", body: `{"query":"{half}"}`, accept: mediaJSON, status: 200, media: mediaJSON},
		{name: "null with errors", body: `{"query":"{broken}"}`, accept: mediaGraphQL, status: 294, media: mediaGraphQL},
		{name: "no JSON", body: `{`, accept: mediaGraphQL, status: 400, media: mediaGraphQL},
		{name: "no document", body: `{"query":"{"}`, accept: mediaGraphQL, status: 400, media: mediaGraphQL},
		{name: "no document for an old client", body: `{"query":"{"}`, accept: mediaJSON, status: 400, media: mediaGraphQL},
		{name: "no query", body: `{}`, accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "no query by GET", method: "GET", accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "no object", body: `7`, accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "a batch", body: `[]`, accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "a parameter of the wrong type", body: `{"query":"{name}","variables":[]}`, accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "a field that is not there", body: `{"query":"{nope}"}`, accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "an operation that is not there", body: `{"query":"{name}","operationName":"A"}`, accept: mediaGraphQL, status: 422, media: mediaGraphQL},
		{name: "a variable of the wrong type for an old client", body: `{` + variable + `}`, accept: mediaJSON, status: 422, media: mediaGraphQL},
		{name: "a mutation by GET", method: "GET", query: "query=mutation%7Brename(to:%22%22)%7D", accept: mediaGraphQL, status: 405, media: mediaGraphQL},
		{name: "another method", method: "PUT", accept: mediaGraphQL, status: 405, media: mediaGraphQL},
		{name: "a form", kind: "application/x-www-form-urlencoded", accept: mediaGraphQL, status: 415, media: mediaGraphQL},
		{name: "a body beyond the limit", body: strings.Repeat(" ", 1001), accept: mediaGraphQL, status: 413, media: mediaGraphQL},
		{name: "nothing acceptable", body: `{"query":"{name}"}`, accept: "text/html", status: 406, media: mediaJSON},
	}
	h := serve(t, graphqlhttp.Transport{MaxBodyBytes: 1000, Profile: graphqlhttp.Draft})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := asJSON(tt.accept)
			if tt.kind != "" {
				header.Set("Content-Type", tt.kind)
			}
			got := send(t, h, cmp.Or(tt.method, http.MethodPost), "/graphql?"+tt.query, tt.body, header)
			if want := tt.media + "; charset=utf-8"; got.status != tt.status || got.header.Get("Content-Type") != want {
				t.Errorf("got %d %q, want %d %q; body %s", got.status, got.header.Get("Content-Type"), tt.status, want, got.body)
			}
		})
	}
}
