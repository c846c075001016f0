package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/graph"
	"galaxygate/internal/persisted"
)

// library is a server that is asked for documents by their names.
type library struct {
	*handler.Server

	automatic *persisted.Automatic
	observed  []string // of the last request: kind and result
	trusted   bool     // whether the last operation that ran was
}

// newLibrary returns a server; trusted, where it is not empty, is the content of the
// file of trusted documents.
func newLibrary(t *testing.T, trusted string, change ...func(*graph.Config)) *library {
	t.Helper()
	w := newWorld(t)
	l := &library{automatic: persisted.NewAutomatic(2000)}
	cfg := graph.Config{Resolver: w.resolver, Introspection: true, Limits: graph.Limits{Depth: 3}, Documents: graph.Documents{
		Automatic: l.automatic,
		Observe:   func(kind, result string) { l.observed = append(l.observed, kind+" "+result) },
	}}
	if trusted != "" {
		name := filepath.Join(t.TempDir(), "ops.json")
		if err := os.WriteFile(name, []byte(trusted), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Documents.Trusted = &persisted.File{Name: name, Schema: graph.Schema(), Logger: slog.New(slog.DiscardHandler)}
		if err := cfg.Documents.Trusted.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range change {
		c(&cfg)
	}
	l.Server = graph.NewServer(cfg)
	l.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		l.trusted = graph.Trusted(ctx)
		return next(ctx)
	})
	l.AddTransport(transport.POST{})
	return l
}

// asked is a request; what is nil or empty is not in it.
type asked struct {
	query   string
	id      any // documentId
	hash    any // of persistedQuery
	version any // of persistedQuery, 1 where there is a hash
	apollo  any // persistedQuery as a whole
}

func (a asked) body(t *testing.T) string {
	t.Helper()
	extensions := map[string]any{}
	if a.id != nil {
		extensions["documentId"] = a.id // where transports put it
	}
	if a.version == nil {
		a.version = 1
	}
	if a.hash != nil {
		a.apollo = map[string]any{"version": a.version, "sha256Hash": a.hash}
	}
	if a.apollo != nil {
		extensions["persistedQuery"] = a.apollo
	}
	body, err := json.Marshal(map[string]any{"query": a.query, "extensions": extensions})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// ask returns the answer's code, "ok" where there is no error, and its body.
func (l *library) ask(t *testing.T, a asked) (code, body string) {
	t.Helper()
	l.observed, l.trusted = nil, false
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(a.body(t)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	var got result
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if len(got.Errors) == 0 {
		return "ok", w.Body.String()
	}
	return got.codes()[0], w.Body.String()
}

func digest(text string) string { return fmt.Sprintf("%x", persisted.HashOf(text)) }

const (
	viewerQuery = `{viewer{id}}`
	typeQuery   = `query Type{__typename}`
)

func TestAutomaticPersistedQueries(t *testing.T) {
	t.Parallel()
	deep := `{viewer{authorization{activity{nodes{kind}}}}}`
	long := viewerQuery + "#" + strings.Repeat("x", 2000)
	// Each request finds what the ones before it have registered.
	steps := []struct {
		name     string
		asked    asked
		want     string
		observed string
	}{
		{"an unknown hash", asked{hash: digest(viewerQuery)}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"an unknown hash by the specification's name", asked{id: "sha256:" + digest(viewerQuery)}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"a text without a hash", asked{query: viewerQuery}, "ok", ""},
		{"which is not remembered", asked{hash: digest(viewerQuery)}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"a text with its hash", asked{query: viewerQuery, hash: digest(viewerQuery)}, "ok", "automatic stored"},
		{"the hash alone", asked{hash: digest(viewerQuery)}, "ok", "automatic hit"},
		{"the hash in upper case", asked{hash: strings.ToUpper(digest(viewerQuery))}, "ok", "automatic hit"},
		{"the hash beside white space", asked{query: " ", hash: digest(viewerQuery)}, "ok", "automatic hit"},
		{"the specification's name", asked{id: "sha256:" + digest(viewerQuery)}, "ok", "automatic hit"},
		{"both names", asked{id: "sha256:" + digest(viewerQuery), hash: digest(viewerQuery)}, "ok", "automatic hit"},
		{"two names that differ", asked{id: "sha256:" + digest(typeQuery), hash: digest(viewerQuery)}, "BAD_USER_INPUT", "automatic refused"},

		{"a text with another's hash", asked{query: typeQuery, hash: digest(viewerQuery)}, "BAD_USER_INPUT", "automatic refused"},
		{"which changes nothing", asked{hash: digest(viewerQuery)}, "ok", "automatic hit"},
		{"a text with a made-up hash", asked{query: typeQuery, hash: strings.Repeat("0", 64)}, "BAD_USER_INPUT", "automatic refused"},
		{"which is not remembered either", asked{hash: strings.Repeat("0", 64)}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"an invalid document", asked{query: "{nope}", hash: digest("{nope}")}, "GRAPHQL_VALIDATION_FAILED", ""},
		{"is not remembered", asked{hash: digest("{nope}")}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"what does not parse", asked{query: "{", hash: digest("{")}, "GRAPHQL_PARSE_FAILED", ""},
		{"is not remembered either", asked{hash: digest("{")}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"a document beyond the limits", asked{query: deep, hash: digest(deep)}, "QUERY_TOO_COMPLEX", ""},
		{"is remembered as little", asked{hash: digest(deep)}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},
		{"a long document", asked{query: long, hash: digest(long)}, "ok", ""},
		{"is run and forgotten", asked{hash: digest(long)}, "PERSISTED_QUERY_NOT_FOUND", "automatic miss"},

		{"another version", asked{hash: digest(viewerQuery), version: 2}, "PERSISTED_QUERY_NOT_SUPPORTED", ""},
		{"no version", asked{apollo: map[string]any{"sha256Hash": digest(viewerQuery)}}, "BAD_USER_INPUT", ""},
		{"a version that is a string", asked{hash: digest(viewerQuery), version: "1"}, "BAD_USER_INPUT", ""},
		{"no hash", asked{apollo: map[string]any{"version": 1}}, "BAD_USER_INPUT", ""},
		{"an empty hash", asked{hash: ""}, "BAD_USER_INPUT", ""},
		{"a hash that is a number", asked{hash: 7}, "BAD_USER_INPUT", ""},
		{"a short hash", asked{hash: digest(viewerQuery)[1:]}, "BAD_USER_INPUT", "automatic refused"},
		{"a hash of other letters", asked{hash: strings.Repeat("g", 64)}, "BAD_USER_INPUT", "automatic refused"},
		{"a hash with a prefix", asked{hash: "sha256:" + digest(viewerQuery)}, "BAD_USER_INPUT", "automatic refused"},
		{"an extension that is no object", asked{apollo: "x"}, "BAD_USER_INPUT", ""},
		{"a name that is no string", asked{id: 7}, "BAD_USER_INPUT", ""},
		{"a name that only an operator could give", asked{id: "viewer"}, "PERSISTED_QUERY_NOT_SUPPORTED", "automatic refused"},
		{"such a name beside its text", asked{id: "viewer", query: viewerQuery}, "PERSISTED_QUERY_NOT_SUPPORTED", "automatic refused"},
		{"a hash without its prefix for a name", asked{id: digest(viewerQuery)}, "PERSISTED_QUERY_NOT_SUPPORTED", "automatic refused"},
	}
	l := newLibrary(t, "")
	for _, tt := range steps {
		code, body := l.ask(t, tt.asked)
		if code != tt.want || strings.Join(l.observed, ", ") != tt.observed || l.trusted {
			t.Errorf("%s: got %s, observed %q, want %s, %q: %s", tt.name, code, l.observed, tt.want, tt.observed, body)
		}
		noEcho(t, tt.asked, code, body)
	}
}

// noEcho wants nothing of the request in an error.
func noEcho(t *testing.T, a asked, code, body string) {
	t.Helper()
	for _, value := range []any{a.id, a.hash, a.query} {
		if text, _ := value.(string); code != "ok" && len(text) > 8 && strings.Contains(body, text) {
			t.Errorf("%s is in %s", text, body)
		}
	}
}

func TestApollosClientsReadTheMessages(t *testing.T) {
	t.Parallel()
	l := newLibrary(t, "")
	for want, a := range map[string]asked{
		`"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}`:         {hash: digest(viewerQuery)},
		`"message":"PersistedQueryNotSupported","extensions":{"code":"PERSISTED_QUERY_NOT_SUPPORTED"}`: {hash: digest(viewerQuery), version: 2},
	} {
		if _, body := l.ask(t, a); !strings.Contains(body, want) {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

func TestWhereNothingIsRememberedClientsAreToldSo(t *testing.T) {
	t.Parallel()
	l := newLibrary(t, "", func(cfg *graph.Config) { cfg.Documents = graph.Documents{} })
	for _, a := range []asked{
		{hash: digest(viewerQuery)},
		{hash: digest(viewerQuery), query: viewerQuery},
		{id: "sha256:" + digest(viewerQuery)},
	} {
		if code, body := l.ask(t, a); code != "PERSISTED_QUERY_NOT_SUPPORTED" {
			t.Errorf("%+v: got %s", a, body)
		}
	}
}

func TestOnlyTrustedDocumentsRun(t *testing.T) {
	t.Parallel()
	const invalid = `{nope}`
	file := `{"v1":"` + viewerQuery + `","` + digest(typeQuery) + `":"` + typeQuery + `","old":"` + invalid + `"}`
	tests := []struct {
		name     string
		asked    asked
		want     string
		observed string
	}{
		{"by its ID", asked{id: "v1"}, "ok", "trusted hit"},
		{"by its ID as Apollo's clients send it", asked{hash: "v1"}, "ok", "trusted hit"},
		{"by its hash as Apollo's clients send it", asked{hash: digest(viewerQuery)}, "ok", "trusted hit"},
		{"by its hash in upper case", asked{hash: strings.ToUpper(digest(viewerQuery))}, "ok", "trusted hit"},
		{"by the specification's name", asked{id: "sha256:" + digest(viewerQuery)}, "ok", "trusted hit"},
		{"by an ID that is its hash", asked{id: digest(typeQuery)}, "ok", "trusted hit"},
		{"by its text", asked{query: viewerQuery}, "ok", "trusted hit"},
		{"by its text and its ID", asked{query: viewerQuery, id: "v1"}, "ok", "trusted hit"},
		{"by its text and its hash", asked{query: viewerQuery, hash: digest(viewerQuery)}, "ok", "trusted hit"},
		{"by two of its names", asked{id: "v1", hash: digest(viewerQuery)}, "ok", "trusted hit"},

		{"one that the schema does not allow any more", asked{id: "old"}, "GRAPHQL_VALIDATION_FAILED", "trusted hit"},
		{"an unknown ID", asked{id: "v2"}, "PERSISTED_QUERY_NOT_FOUND", "trusted miss"},
		{"an ID in other letters", asked{id: "V1"}, "PERSISTED_QUERY_NOT_FOUND", "trusted miss"},
		{"an unknown hash", asked{hash: digest("{x}")}, "PERSISTED_QUERY_NOT_FOUND", "trusted miss"},
		{"a known ID and an unknown one", asked{id: "v1", hash: "v2"}, "PERSISTED_QUERY_NOT_FOUND", "trusted miss"},
		{"two documents' names", asked{id: "v1", hash: digest(typeQuery)}, "BAD_USER_INPUT", "trusted refused"},
		{"another's text", asked{id: "v1", query: typeQuery}, "BAD_USER_INPUT", "trusted refused"},
		{"an unknown text by a known ID", asked{id: "v1", query: "{session{id}}"}, "BAD_USER_INPUT", "trusted refused"},
		{"a known text by an unknown ID", asked{id: "v2", query: viewerQuery}, "BAD_USER_INPUT", "trusted refused"},
		{"another text", asked{query: "{session{id}}"}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"a text that is nearly known", asked{query: viewerQuery + " "}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"a text to be registered", asked{query: "{session{id}}", hash: digest("{session{id}}")}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"is not", asked{hash: digest("{session{id}}")}, "PERSISTED_QUERY_NOT_FOUND", "trusted miss"},
		{"what does not parse", asked{query: "{"}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"introspection", asked{query: "{__schema{queryType{name}}}"}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"a name of a type", asked{query: "{__typename}"}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"a router's schema", asked{query: "{_service{sdl}}"}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"a router's entities", asked{query: `{_entities(representations:[]){__typename}}`}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"nothing", asked{}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"an empty name", asked{id: ""}, "OPERATION_NOT_ALLOWED", "trusted refused"},
		{"another version", asked{hash: "v1", version: 2}, "PERSISTED_QUERY_NOT_SUPPORTED", ""},
	}
	l := newLibrary(t, file)
	l.automatic.Add("{session{id}}") // is of no use here
	for _, tt := range tests {
		code, body := l.ask(t, tt.asked)
		if code != tt.want || strings.Join(l.observed, ", ") != tt.observed {
			t.Errorf("%s: got %s, observed %q, want %s, %q: %s", tt.name, code, l.observed, tt.want, tt.observed, body)
		}
		if l.trusted != (tt.want == "ok") {
			t.Errorf("%s: trusted: got %v", tt.name, l.trusted)
		}
		if tt.asked.id != "old" {
			noEcho(t, tt.asked, code, body)
		}
	}
}

func TestATrustedDocumentIsMarkedBeforeItIsMeasured(t *testing.T) {
	t.Parallel()
	seen := &observer{}
	l := newLibrary(t, `{"v1":"`+viewerQuery+`"}`)
	l.Use(seen)
	l.ask(t, asked{id: "v1"})
	l.ask(t, asked{query: viewerQuery})
	if want := []bool{true, true}; !slices.Equal(seen.trusted, want) {
		t.Errorf("got %v, want %v", seen.trusted, want)
	}
	if graph.Trusted(t.Context()) {
		t.Error("without an operation: trusted")
	}
}

// observer notes what the limits see.
type observer struct{ trusted []bool }

func (*observer) ExtensionName() string                   { return "Observer" }
func (*observer) Validate(graphql.ExecutableSchema) error { return nil }
func (o *observer) MutateOperationParameters(ctx context.Context, _ *graphql.RawParams) *gqlerror.Error {
	o.trusted = append(o.trusted, graph.Trusted(ctx))
	return nil
}
