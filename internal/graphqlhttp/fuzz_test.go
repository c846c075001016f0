package graphqlhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/errcode"
)

// FuzzAccept holds the choice of a media type against what is true of any.
func FuzzAccept(f *testing.F) {
	for _, header := range []string{
		"", "*/*", "application/json", "application/graphql-response+json, application/json;q=0.9", "text/event-stream",
		"application/*;q=0.1, */*;q=0", "application/json;charset=\"a,b\";q=1", "application/json;q=.2", "text/html, */*; q=.2",
		"application/json;q=1.001", "application/json;q=NaN", ",,;", `a/b;c="\"`, "application/json;q=0,application/json",
	} {
		f.Add(header)
	}
	offers := []string{mediaGraphQL, mediaJSON, "text/event-stream"}
	f.Fuzz(func(t *testing.T, header string) {
		choose := func(header string, offers ...string) (string, bool) {
			return negotiate(&http.Request{Header: http.Header{"Accept": {header}}}, offers...)
		}
		media, ok := choose(header, offers...)
		if !slices.Contains(offers, media) {
			t.Errorf("got %q, which is not on offer", media)
		}
		some := false
		for _, offer := range offers {
			alone, fine := choose(header, offer)
			some = some || fine
			if alone != offer || offer == media && fine != ok {
				t.Errorf("%q alone: got %q, %v; among others %v", offer, alone, fine, ok)
			}
		}
		if some != ok {
			t.Errorf("got %v, although one alone is %v", ok, some)
		}
		if got, ok := choose(mediaJSON+","+header, offers...); got != mediaJSON || !ok {
			t.Errorf("named first with all weight: got %q, %v", got, ok)
		}
		if got, ok := choose(mediaJSON+";q=0,"+header, mediaJSON); ok {
			t.Errorf("refused first: got %q", got)
		}
		if ascii(header) {
			if got, fine := choose(strings.ToUpper(header), offers...); got != media || fine != ok {
				t.Errorf("in upper case: got %q, %v, want %q, %v", got, fine, media, ok)
			}
		}
	})
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// FuzzParameters holds the reading of a request's parameters, from a body, a URL and
// a message over WebSocket, against what is true of any.
func FuzzParameters(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"query":"{a}"}`, "query=%7Ba%7D"},
		{`{"query":"query A($b:Int){a}","operationName":"A","variables":{"b":1e400},"extensions":{"c":[null]}}`, "query={a}&variables={\"b\":1}&operationName=A"},
		{`{"documentId":"sha256:a","variables":{}}`, "documentId=a&extensions={}"},
		{`{"extensions":{"persistedQuery":{"version":1},"documentId":"b"}}`, "query=&documentId="},
		{`{"query":"{a}","query":"{b}"}`, "query={a}&query={b}"},
		{`[{"query":"{a}"}]`, "query=%ff"},
		{`{"QUERY":"{a}"}`, "variables=null&query={a}"},
		{`{"query":"\ud800"}`, "%zz"},
		{"\xef\xbb\xbf{}", ";"},
		{`null`, ""},
		{`{"query":7}`, "query={a}&variables=7"},
		{`{"type":"connection_init","payload":{"Authorization":"Bearer a"}}`, ""},
		{`{"type":"subscribe","id":"1","payload":{"query":"{a}"}}`, ""},
		{`{"type":"ping","payload":null}`, ""},
	} {
		f.Add([]byte(seed[0]), seed[1])
	}
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		params, refusal := parseBody(body)
		wantEither(t, params, refusal)
		if params != nil {
			if !json.Valid(body) || !utf8.Valid(body) {
				t.Errorf("taken, and no JSON in UTF-8: %q", body)
			}
			wantSame(t, params)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/graphql", nil)
		r.URL.RawQuery = query
		params, refusal = readGet(r)
		wantEither(t, params, refusal)
		if params != nil {
			wantSame(t, params)
		}
		message, err := parseMessage(websocket.MessageText, body)
		if err != nil {
			if c := (*closing)(nil); !errors.As(err, &c) || len(c.reason) > 123 || c.code < 4000 {
				t.Errorf("closed with %v", err)
			}
			return
		}
		again, err := parseMessage(websocket.MessageText, encodeMessage(message.kind, message.id, message.payload))
		if err != nil || again.kind != message.kind || again.id != message.id || !bytes.Equal(again.payload, message.payload) {
			t.Errorf("got %+v, and written again %+v, %v", message, again, err)
		}
		if message.kind == typeInit {
			if text, err := authorization(message.payload); err != nil && text != "" {
				t.Errorf("got both %q and %v", text, err)
			}
		}
	})
}

// wantEither wants parameters that can be executed, or a refusal.
func wantEither(t *testing.T, params *graphql.RawParams, refusal *Refusal) {
	t.Helper()
	if (params == nil) == (refusal == nil) {
		t.Fatalf("got %+v and %+v", params, refusal)
	}
	if refusal != nil {
		if refusal.Status != http.StatusBadRequest || refusal.Code != errcode.BadUserInput || refusal.Message == "" {
			t.Errorf("got %+v", refusal)
		}
		return
	}
	_, persisted := params.Extensions["persistedQuery"]
	id, named := params.Extensions[extensionID]
	if text, _ := id.(string); named && text == "" {
		t.Errorf("got the document's ID %v", id)
	}
	if strings.TrimSpace(params.Query) == "" && !persisted && !named {
		t.Errorf("nothing to execute in %+v", params)
	}
}

// wantSame wants the parameters to be read as they are, whichever way they are sent.
func wantSame(t *testing.T, params *graphql.RawParams) {
	t.Helper()
	members, values := map[string]any{"query": params.Query, "operationName": params.OperationName}, url.Values{}
	values.Set("query", params.Query)
	values.Set("operationName", params.OperationName)
	extensions := make(map[string]any, len(params.Extensions))
	for name, value := range params.Extensions {
		if name == extensionID {
			members[extensionID] = value
			values.Set(extensionID, value.(string))
			continue
		}
		extensions[name] = value
	}
	for name, value := range map[string]map[string]any{"variables": params.Variables, "extensions": extensions} {
		if value == nil || name == "extensions" && params.Extensions == nil {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		members[name] = value
		values.Set(name, string(text))
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	posted, refusal := parseBody(body)
	if refusal != nil || cmp.Diff(params, posted) != "" {
		t.Errorf("posted as %s: %+v\n%s", body, refusal, cmp.Diff(params, posted))
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/graphql", nil)
	r.URL.RawQuery = values.Encode()
	got, refusal := readGet(r)
	if refusal != nil || cmp.Diff(params, got) != "" {
		t.Errorf("by %s: %+v\n%s", r.URL.RawQuery, refusal, cmp.Diff(params, got))
	}
}
