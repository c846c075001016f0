package graphqlhttp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

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

// newGraphQL returns a handler that serves a small schema by the transport.
func newGraphQL(t *testing.T, maxBodyBytes int64) http.Handler {
	t.Helper()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		type Query { name: String  find(id: Int!): String  like(kind: Kind!): String  broken: String! }
		type Mutation { rename(to: String!): String }
		type Subscription { name: String }
		enum Kind { RED GREEN }
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
			return graphql.OneShot(&graphql.Response{Data: json.RawMessage(`{"name":"Alice"}`)})
		},
	})
	server.AddTransport(graphqlhttp.Transport{MaxBodyBytes: maxBodyBytes})
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

func TestTransportAnswersRequests(t *testing.T) {
	t.Parallel()
	const unspeakable = "hunter2-hunter2-hunter2-hunter2"
	tests := []struct {
		name     string
		method   string
		query    string // of the URL
		body     string
		header   http.Header
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
		{name: "another method", method: "PUT", body: `{"query":"{name}"}`, status: 405, code: "BAD_USER_INPUT", wantHead: map[string]string{"Allow": "GET, HEAD, POST"}},
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
		{name: "GET with two queries", method: "GET", query: "query={name}&query={name}", status: 400, code: "BAD_USER_INPUT"},
		{name: "GET with bytes after the variables", method: "GET", query: "query={name}&variables=" + url.QueryEscape(`{} {}`), status: 400, code: "BAD_USER_INPUT"},
		{name: "GET with a broken escape", method: "GET", query: "query=%zz", status: 400, code: "BAD_USER_INPUT"},

		{name: "a document that does not parse", body: `{"query":"{"}`, header: asJSON(mediaJSON), status: 200, code: "GRAPHQL_PARSE_FAILED"},
		{name: "the same for the newer media type", body: `{"query":"{"}`, header: asJSON(mediaGraphQL), status: 400, code: "GRAPHQL_PARSE_FAILED"},
		{name: "an unknown field", body: `{"query":"{nope}"}`, header: asJSON(mediaJSON), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "the same unknown field for the newer media type", body: `{"query":"{nope}"}`, header: asJSON(mediaGraphQL), status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "a variable of the wrong type", body: `{"query":"query($id: Int!){find(id: $id)}","variables":{"id":"` + unspeakable + `"}}`, header: asJSON(mediaJSON), status: 200, code: "BAD_USER_INPUT"},
		{name: "the same variable for the newer media type", body: `{"query":"query($id: Int!){find(id: $id)}","variables":{"id":"` + unspeakable + `"}}`, header: asJSON(mediaGraphQL), status: 400, code: "BAD_USER_INPUT"},
		{name: "an enum's value", body: `{"query":"query($k: Kind!){like(kind: $k)}","variables":{"k":"` + unspeakable + `"}}`, header: asJSON(mediaGraphQL), status: 400, code: "BAD_USER_INPUT"},
	}
	h := newGraphQL(t, 1000)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
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

func TestTransportNamesTheVariable(t *testing.T) {
	t.Parallel()
	got := send(t, newGraphQL(t, 0), http.MethodPost, "/graphql",
		`{"query":"query($id: Int!){find(id: $id)}"}`, asJSON(""))
	const want = `{"errors":[{"message":"Variable $id: must be defined","extensions":{"code":"BAD_USER_INPUT"}}]}`
	if got.body != want {
		t.Errorf("body: got %s, want %s", got.body, want)
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
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status: got %d, want %d", w.Code, http.StatusServiceUnavailable)
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
		{name: "the older excluded", accept: []string{"*/*, application/json;q=0"}, want: mediaGraphQL},
		{name: "both excluded", accept: []string{"*/*;q=0"}},
		{name: "another charset", accept: []string{"application/json;charset=utf-16"}},
		{name: "UTF-8 asked for", accept: []string{"application/json; charset=utf-8"}, want: mediaJSON},
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
