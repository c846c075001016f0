package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// persisted is a request that names its document, or brings it, or both.
type persisted struct {
	query string
	id    string // documentId
	hash  string // of persistedQuery
}

// hashOf is how clients name a text.
func hashOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// apollo is what Apollo's clients send beside, or instead of, the text.
func (n persisted) extensions() map[string]any {
	if n.hash == "" {
		return nil
	}
	return map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": n.hash}}
}

// request is the request by that method.
func (n persisted) request(t *testing.T, w *gateway, method string) *http.Request {
	t.Helper()
	target, body, extensions := w.url+"/graphql", []byte(nil), n.extensions()
	params := map[string]any{}
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			params[name] = value
			query.Set(name, value)
		}
	}
	set("query", n.query)
	set("documentId", n.id)
	if extensions != nil {
		encoded, err := json.Marshal(extensions)
		if err != nil {
			t.Fatal(err)
		}
		set("extensions", string(encoded))
		params["extensions"] = extensions
	}
	if method == http.MethodPost {
		var err error
		if body, err = json.Marshal(params); err != nil {
			t.Fatal(err)
		}
	} else {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// names sends the request to the gateway, and returns the status and the code, or
// "ok" where there is no error.
func (b *browser) names(t *testing.T, g *gateway, method string, n persisted) (answer string) {
	t.Helper()
	resp, body := b.send(t, n.request(t, g, method))
	return fmt.Sprint(resp.StatusCode, " ", codeOf(t, body))
}

// codeOf is the code of the first error in the body, or "ok".
func codeOf(t *testing.T, body string) string {
	t.Helper()
	var r struct {
		Data   json.RawMessage
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(r.Errors) == 0 && r.Data != nil {
		return "ok"
	}
	return r.Errors[0].Extensions.Code
}

// metric waits until the gateway's metrics have the line.
func (g *gateway) metric(t *testing.T, line string) {
	t.Helper()
	var last string
	eventually(t, 20*time.Second, func() bool {
		last = g.await(t, g.admin+"/metrics", http.StatusOK)
		return strings.Contains(last, "\n"+line+"\n")
	}, func() string { return "the metrics lack " + line + "\n" + last })
}

func TestAutomaticPersistedQueries(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	elsewhere := serving(t, w.replica(t, nil))
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	const (
		query   = `query Me { viewer { id } }`
		invalid = `{ nope }`
		change  = `mutation SignOut { logout { sessionId } }`
	)
	steps := []struct {
		name   string
		at     *gateway
		method string
		asks   persisted
		want   string
	}{
		{"a miss by GET", w.gateway, "GET", persisted{hash: hashOf(query)}, "200 PERSISTED_QUERY_NOT_FOUND"},
		{"a miss by POST", w.gateway, "POST", persisted{hash: hashOf(query)}, "200 PERSISTED_QUERY_NOT_FOUND"},
		{"a text with its hash", w.gateway, "POST", persisted{query: query, hash: hashOf(query)}, "200 ok"},
		{"a hit by GET", w.gateway, "GET", persisted{hash: hashOf(query)}, "200 ok"},
		{"a hit by POST", w.gateway, "POST", persisted{hash: hashOf(query)}, "200 ok"},
		{"a hit by the specification's name", w.gateway, "GET", persisted{id: "sha256:" + hashOf(query)}, "200 ok"},
		{"a replica that has not seen it", elsewhere, "GET", persisted{hash: hashOf(query)}, "200 PERSISTED_QUERY_NOT_FOUND"},
		{"takes it by GET", elsewhere, "GET", persisted{query: query, hash: hashOf(query)}, "200 ok"},
		{"and has it", elsewhere, "GET", persisted{hash: hashOf(query)}, "200 ok"},
		{"a text by another's hash", w.gateway, "POST", persisted{query: `{ __typename }`, hash: hashOf(query)}, "200 BAD_USER_INPUT"},
		{"an invalid one", w.gateway, "POST", persisted{query: invalid, hash: hashOf(invalid)}, "200 GRAPHQL_VALIDATION_FAILED"},
		{"is not there", w.gateway, "POST", persisted{hash: hashOf(invalid)}, "200 PERSISTED_QUERY_NOT_FOUND"},
		{"a mutation by GET", w.gateway, "GET", persisted{query: change, hash: hashOf(change)}, "405 BAD_USER_INPUT"},
		{"is not there either", w.gateway, "POST", persisted{hash: hashOf(change)}, "200 PERSISTED_QUERY_NOT_FOUND"},
		{"an operator's name, where there are none", w.gateway, "POST", persisted{id: "me"}, "200 PERSISTED_QUERY_NOT_SUPPORTED"},
		{"what changes nothing of the query", w.gateway, "GET", persisted{hash: hashOf(query)}, "200 ok"},
		{"a mutation by POST", w.gateway, "POST", persisted{query: change, hash: hashOf(change)}, "200 ok"},
		{"is known, and by GET refused", w.gateway, "GET", persisted{hash: hashOf(change)}, "405 BAD_USER_INPUT"},
	}
	for _, tt := range steps {
		if got := b.names(t, tt.at, tt.method, tt.asks); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	w.metric(t, `galaxygate_persisted_operations_total{kind="automatic",result="stored"} 2`)
	w.metric(t, `galaxygate_persisted_operations_total{kind="automatic",result="refused"} 2`)
	req := persisted{hash: hashOf("{ x }")}.request(t, w.gateway, "GET")
	req.Header.Set("Accept", "application/graphql-response+json")
	if resp, body := b.send(t, req); resp.StatusCode != 400 || codeOf(t, body) != "PERSISTED_QUERY_NOT_FOUND" {
		t.Errorf("a miss for the newer media type: got %d %s, want 400", resp.StatusCode, body)
	}
}

func TestAFloodOfDocumentsTakesBoundedMemory(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	const bytes = 16 << 20
	var clients sync.WaitGroup
	for client := range 4 {
		b := w.browser(t)
		clients.Go(func() {
			for i := range 30 {
				text := fmt.Sprintf("{ __typename } # %d %d %s", client, i, strings.Repeat("x", 200<<10))
				resp, _, err := b.do(persisted{query: text, hash: hashOf(text)}.request(t, w.gateway, "POST"))
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("got %v, %v", resp, err)
					return
				}
			}
		})
	}
	clients.Wait()
	metrics := w.await(t, w.admin+"/metrics", http.StatusOK)
	_, rest, _ := strings.Cut(metrics, "\ngalaxygate_automatic_documents_bytes ")
	var taken float64
	if _, err := fmt.Sscan(rest, &taken); err != nil || taken > bytes || taken < bytes/2 {
		t.Errorf("got %v bytes, %v; want at most %d, and more than half of it", taken, err, bytes)
	}
}

// library writes the file of trusted documents, as tools do it: whoever reads finds
// one content or the other.
func library(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func TestTrustedDocumentsOfEachTool(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "persisted", "testdata", "*.json"))
	if err != nil || len(files) < 4 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	ids := map[string]struct{ query, mutation string }{
		"apollo.json":         {"37892d081a21d8cac6d17581fbe3df7b5acc0434f5a6c69c155de9ba7279dfdc", ""},
		"relay.json":          {"a7df780c1a6e60be1ccab90d4da352e2", "ceaafb2b75f594527ec068845b52ae1c"},
		"codegen.json":        {"551e20f37f338ab10c95b2c5472fb64ae58c674e", ""},
		"codegen-sha256.json": {"5bbbd3b4cebcb97eecc22e40d7adf003c3d0766f43cbd68f49fa5f9742c55ad9", ""},
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			absolute, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			w := found(t, sqlite(t), rollup, map[string]string{"TRUSTED_DOCUMENTS": absolute})
			b := w.browser(t)
			b.signIn(t, w.url+"/auth/login")
			id := ids[filepath.Base(file)]
			steps := []struct {
				name   string
				method string
				asks   persisted
				want   string
			}{
				{"by its ID", "POST", persisted{id: id.query}, "200 ok"},
				{"by its ID by GET", "GET", persisted{id: id.query}, "200 ok"},
				{"as Apollo's clients do it", "POST", persisted{hash: id.query}, "200 ok"},
				{"as Apollo's clients do it by GET", "GET", persisted{hash: id.query}, "200 ok"},
				{"an unknown ID", "POST", persisted{id: id.query + "0"}, "200 PERSISTED_QUERY_NOT_FOUND"},
				{"another text", "POST", persisted{query: "{ viewer { id } }"}, "200 OPERATION_NOT_ALLOWED"},
				{"a text to be registered", "POST", persisted{query: "{ viewer { id } }", hash: hashOf("{ viewer { id } }")}, "200 OPERATION_NOT_ALLOWED"},
				{"introspection", "GET", persisted{query: "{ __schema { queryType { name } } }"}, "200 OPERATION_NOT_ALLOWED"},
				{"a router's schema", "POST", persisted{query: "{ _service { sdl } }"}, "200 OPERATION_NOT_ALLOWED"},
				{"another text for an ID", "POST", persisted{id: id.query, query: "{ viewer { id } }"}, "200 BAD_USER_INPUT"},
			}
			for _, tt := range steps {
				if got := b.names(t, w.gateway, tt.method, tt.asks); got != tt.want {
					t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
				}
			}
			w.metric(t, "galaxygate_trusted_documents 2")
			w.metric(t, `galaxygate_persisted_operations_total{kind="trusted",result="hit"} 4`)
			if id.mutation == "" {
				return
			}
			resp, _ := b.send(t, persisted{id: id.mutation}.request(t, w.gateway, "GET"))
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" || b.session() == "" {
				t.Errorf("a mutation by GET: got %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
			}
			if got := b.names(t, w.gateway, "POST", persisted{id: id.mutation}); got != "200 ok" || b.session() != "" {
				t.Errorf("a mutation by POST: got %s", got)
			}
		})
	}
}

func TestTrustedDocumentsAloneRunOverStreams(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ops.json")
	library(t, name, `{"me":"{ viewer { id } }"}`)
	w := found(t, sqlite(t), rollup, map[string]string{"TRUSTED_DOCUMENTS": name})
	const (
		known   = `{"data":{"viewer":null}}`
		another = `"code":"OPERATION_NOT_ALLOWED"`
		unknown = `"code":"PERSISTED_QUERY_NOT_FOUND"`
	)
	for asks, want := range map[persisted]string{{id: "me"}: known, {hash: "me"}: known, {query: "{ session { id } }"}: another, {id: "you"}: unknown} {
		for _, method := range []string{"GET", "POST"} {
			req := asks.request(t, w.gateway, method)
			req.Header.Set("Accept", "text/event-stream")
			if resp, body := w.browser(t).send(t, req); !strings.Contains(body, want) || (resp.StatusCode == http.StatusOK) != (want == known) {
				t.Errorf("events, %s %+v: got %d %s, want %s", method, asks, resp.StatusCode, body, want)
			}
		}
	}
	socket, resp, err := websocket.Dial(t.Context(), w.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatalf("%v: %v", err, resp)
	}
	defer func() { _ = socket.CloseNow() }()
	say := func(message string, want ...string) {
		t.Helper()
		if err := socket.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if _, got, err := socket.Read(t.Context()); err != nil || !strings.Contains(string(got), part) {
				t.Errorf("%s: got %s, %v, want %s", message, got, err, part)
			}
		}
	}
	say(`{"type":"connection_init"}`, `"connection_ack"`)
	say(`{"id":"1","type":"subscribe","payload":{"documentId":"me"}}`, known, `"complete"`)
	say(`{"id":"2","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"me"}}}}`, known, `"complete"`)
	say(`{"id":"3","type":"subscribe","payload":{"query":"{ session { id } }"}}`, another)
	say(`{"id":"4","type":"subscribe","payload":{"query":"subscription { sessionEnded { at } }"}}`, another)
	say(`{"id":"5","type":"subscribe","payload":{"documentId":"you"}}`, unknown)
}

func TestTrustedDocumentsAreReloadedWhileServing(t *testing.T) {
	t.Parallel()
	const kept = `"kept":"{ viewer { id } }"`
	name := filepath.Join(t.TempDir(), "ops.json")
	library(t, name, `{`+kept+`}`)
	w := found(t, sqlite(t), rollup, map[string]string{"TRUSTED_DOCUMENTS": name, "PLAYGROUND": "true"})
	b := w.browser(t)
	// Whatever happens to the file, what is in each version of it is run.
	stop, stopped := make(chan struct{}), make(chan struct{})
	steady := w.browser(t)
	go func() {
		defer close(stopped)
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pause.C:
			}
			if _, body, err := steady.do(persisted{id: "kept"}.request(t, w.gateway, "POST")); err != nil || !strings.Contains(body, `"data":{"viewer":null}`) {
				t.Errorf("got %s, %v", body, err)
				return
			}
		}
	}()
	becomes := func(id, want string) {
		t.Helper()
		var got string
		eventually(t, 20*time.Second, func() bool { got = b.names(t, w.gateway, "POST", persisted{id: id}); return got == want },
			func() string { return "got " + got + ", want " + want })
	}
	logged := func(message string) int { return strings.Count(w.log.String(), message) }
	becomes("first", "200 PERSISTED_QUERY_NOT_FOUND")
	library(t, name, `{`+kept+`,"first":"{ viewer { name } }"}`)
	becomes("first", "200 ok")
	library(t, name, `{`+kept+`,"second":"{ viewer { name }"}`)
	eventually(t, 20*time.Second, func() bool { return logged("trusted documents not reloaded") == 1 }, func() string { return "no alarm" })
	becomes("first", "200 ok")
	becomes("second", "200 PERSISTED_QUERY_NOT_FOUND")
	library(t, name, `{`+kept+`,"second":"{ viewer { nope } }"}`)
	becomes("first", "200 PERSISTED_QUERY_NOT_FOUND")
	becomes("second", "200 GRAPHQL_VALIDATION_FAILED")
	close(stop)
	<-stopped
	w.metric(t, "galaxygate_trusted_documents 2")
	for message, want := range map[string]int{
		"trusted documents not reloaded":                   1,
		"file of trusted documents is good again":          1,
		"trusted documents that the schema does not allow": 1,
		"PLAYGROUND and INTROSPECTION are of little use":   1,
		"second (FieldsOnCorrectType, line 1, column 12)":  1,
		`\"second\" cannot be parsed as GraphQL`:           1,
		`"documents":2,"added":1,"changed":0,"removed":1`:  1,
		`"documents":2,"added":1,"changed":0,"removed":0`:  1,
		"nope":     0,
		"{ viewer": 0,
	} {
		if got := logged(message); got != want {
			t.Errorf("%q is logged %d times, want %d", message, got, want)
		}
	}
}

func TestAFileOfDocumentsIsCheckedWithTheRestOfTheConfiguration(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ops.json")
	library(t, name, `{"a":"{ viewer { id }","b":7,"c":"{ viewer { id } }"}`)
	w := settle(t, sqlite(t), rollup, map[string]string{"TRUSTED_DOCUMENTS": name, "LOG_FORMAT": "xml"})
	for _, command := range [][]string{{"config"}, {"serve"}} {
		out, status := w.command(t, command...)
		for _, want := range []string{"LOG_FORMAT: must be one of", "TRUSTED_DOCUMENTS: operation", `"a" cannot be parsed`, `"b" is not a string`} {
			if status != 1 || !strings.Contains(out, want) {
				t.Errorf("%v: got %d, want 1 and %s:\n%s", command, status, want, out)
			}
		}
	}
	library(t, name, `{"a":"{ viewer { id } }","old":"{ viewer { nope } }"}`)
	w.env = append(w.env, "LOG_FORMAT=json")
	out, status := w.command(t, "config")
	for _, want := range []string{" " + name + " # environment", "# TRUSTED_DOCUMENTS: the schema does not allow old (FieldsOnCorrectType, line 1, column 12)"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("got %d, want 0 and %s:\n%s", status, want, out)
		}
	}
	w.env = append(w.env, "TRUSTED_DOCUMENTS=")
	if out, status := w.command(t, "serve"); status != 1 || !strings.Contains(out, "TRUSTED_DOCUMENTS: is set to nothing") {
		t.Errorf("set to nothing: got %d\n%s", status, out)
	}
}

// TestNoAnswerIsForSharedCaches: a query by GET and by a short name is what proxies
// like to store, and the answer is one user's.
func TestNoAnswerIsForSharedCaches(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"RATE_LIMIT": "30"})
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	const query = `{ viewer { id } }`
	request := func(method string, n persisted, header ...string) *http.Request {
		req := n.request(t, w.gateway, method)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return req
	}
	tests := []struct {
		name   string
		req    *http.Request
		status int
	}{
		{"a miss", request("GET", persisted{hash: hashOf(query)}), 200},
		{"a text with its hash", request("GET", persisted{query: query, hash: hashOf(query)}), 200},
		{"a hit", request("GET", persisted{hash: hashOf(query)}), 200},
		{"a hit by the specification's name", request("GET", persisted{id: "sha256:" + hashOf(query)}), 200},
		{"a hit by HEAD", request("HEAD", persisted{hash: hashOf(query)}), 200},
		{"a hit for the newer media type", request("GET", persisted{hash: hashOf(query)}, "Accept", "application/graphql-response+json"), 200},
		{"a hit by nobody", request("GET", persisted{hash: hashOf(query)}, "Authorization", "Bearer nobody"), 200},
		{"a hit by POST", request("POST", persisted{hash: hashOf(query)}), 200},
		{"a hit as a stream", request("GET", persisted{hash: hashOf(query)}, "Accept", "text/event-stream"), 200},
		{"an error", request("GET", persisted{query: "{"}, "Accept", "application/graphql-response+json"), 400},
		{"no parameters", request("GET", persisted{}), 400},
		{"another method", request("DELETE", persisted{}), 405},
		{"another media type", request("GET", persisted{query: query}, "Accept", "text/html"), 406},
		{"another site", request("GET", persisted{query: query}, "Sec-Fetch-Site", "cross-site"), 403},
	}
	look := func(name string, resp *http.Response, status int) {
		if resp.StatusCode != status {
			t.Errorf("%s: got %d, want %d", name, resp.StatusCode, status)
		}
		if got := resp.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
		for _, header := range []string{"Expires", "Age", "ETag", "Last-Modified", "Surrogate-Control", "CDN-Cache-Control"} {
			if got := resp.Header.Get(header); got != "" {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		if vary := strings.Join(resp.Header.Values("Vary"), ","); status != 403 && status != 429 && !strings.Contains(vary, "Accept") {
			t.Errorf("%s: Vary is %q", name, vary)
		}
	}
	for _, tt := range tests {
		resp, _ := b.send(t, tt.req)
		look(tt.name, resp, tt.status)
	}
	var last *http.Response
	for range 100 {
		if last, _ = b.send(t, request("GET", persisted{hash: hashOf(query)})); last.StatusCode != http.StatusOK {
			break
		}
	}
	look("too many", last, http.StatusTooManyRequests)
}
