package e2e_test

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// statement matches what a client of PostgreSQL's asks, in the messages in which it
// travels, where it is about somebody: beats and the list of replicas are not.
var statement = regexp.MustCompile(`(?i)\b(?:SELECT|INSERT|UPDATE|DELETE)\b[^\x00]*\b(?:sessions|grants|users|audit_events)\b[^\x00]*`)

// overheard puts a wire before the database of that URL, a Unix socket's, and returns
// the URL that goes through it, and what is asked by it.
func overheard(t *testing.T, direct string) (through string, asked *buffer) {
	t.Helper()
	asked = &buffer{}
	tap := func(from io.Reader) io.Reader { return io.TeeReader(from, asked) }
	return wires{}.toDatabaseBy(t, direct, tap), asked
}

// TestAWarmRequestAsksTheDatabaseNothing asks by every way that there is.
func TestAWarmRequestAsksTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	const document = `query Me { viewer { id email profile { displayName } } session { id } }`
	trusted := filepath.Join(t.TempDir(), "ops.json")
	library(t, trusted, `{"me":"`+document+`"}`)
	ways := map[string]struct {
		settings map[string]string
		asks     persisted
		ways     []string
	}{
		"plain":     {nil, persisted{query: document}, []string{"GET", "POST", "events", "WebSocket"}},
		"traced":    {map[string]string{"OTEL_TRACES_EXPORTER": "console"}, persisted{query: document}, []string{"GET", "POST", "events", "WebSocket"}},
		"automatic": {nil, persisted{query: document, hash: hashOf(document)}, []string{"GET", "POST"}},
		"trusted":   {map[string]string{"TRUSTED_DOCUMENTS": trusted}, persisted{id: "me"}, []string{"GET", "POST", "events"}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{"GALAXY_CACHE": "1m", "SWEEP_INTERVAL": "1h"}
			for name, value := range way.settings {
				settings[name] = value
			}
			database, asked := overheard(t, postgres(t))
			w := found(t, database, rollup, settings)
			b := w.browser(t)
			b.signIn(t, w.url+"/auth/login")
			if n := len(statement.FindAllString(asked.String(), -1)); n < 3 {
				t.Fatalf("%d statements were overheard of a sign-in", n)
			}
			round := func() {
				for _, by := range way.ways {
					b.asksBy(t, by, way.asks)
				}
			}
			round()
			before := len(asked.String())
			for range 10 {
				round()
			}
			if found := statement.FindAllString(asked.String()[before:], -1); len(found) > 0 {
				t.Errorf("the database was asked %d times: %.300q", len(found), found)
			}
		})
	}
}

// asksBy asks in that way, and wants Alice's profile.
func (b *browser) asksBy(t *testing.T, way string, asks persisted) {
	t.Helper()
	var answer string
	switch way {
	case "WebSocket":
		answer = b.asksBySocket(t, asks.query)
	case "events":
		req := asks.request(t, b.w.gateway, http.MethodPost)
		req.Header.Set("Accept", "text/event-stream")
		_, answer = b.send(t, req)
	default:
		_, answer = b.send(t, asks.request(t, b.w.gateway, way))
	}
	if !strings.Contains(answer, `"displayName":"`) || strings.Contains(answer, `"errors"`) {
		t.Errorf("%s: got %s", way, answer)
	}
}

// asksBySocket opens a WebSocket with the browser's session for one query.
func (b *browser) asksBySocket(t *testing.T, query string) string {
	t.Helper()
	socket, resp, err := websocket.Dial(t.Context(), b.w.url+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Cookie": {"galaxygate=" + b.session()}},
	})
	if err != nil {
		t.Fatalf("%v: %v", err, resp)
	}
	defer func() { _ = socket.CloseNow() }()
	var answer string
	for _, message := range []string{`{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":{"query":"` + query + `"}}`} {
		if err := socket.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		_, got, err := socket.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answer = string(got)
	}
	return answer
}
