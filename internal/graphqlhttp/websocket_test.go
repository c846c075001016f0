package graphqlhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"galaxygate/internal/graphqlhttp"
)

const protocol = "graphql-transport-ws"

// socket is a client's end of a connection.
type socket struct {
	conn *websocket.Conn
	ctx  context.Context
}

// dial opens a connection that is not begun.
func (p *place) dial(t *testing.T, header http.Header, protocols ...string) *socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, response, err := websocket.Dial(ctx, p.server.URL, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
	if err != nil {
		t.Fatalf("dial: %v, %v", err, response)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return &socket{conn: conn, ctx: ctx}
}

// connect opens a connection as that session, or as nobody, and begins it.
func (p *place) connect(t *testing.T, session string) *socket {
	t.Helper()
	header := http.Header{}
	if session != "" {
		header.Set("Authorization", "Bearer "+session)
	}
	s := p.dial(t, header, protocol)
	s.say(t, `{"type":"connection_init"}`)
	s.hears(t, `{"type":"connection_ack"}`)
	return s
}

func (s *socket) say(t *testing.T, text string) {
	t.Helper()
	if err := s.conn.Write(s.ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatalf("say %.80s: %v", text, err)
	}
}

func (s *socket) subscribe(t *testing.T, id, query string) {
	t.Helper()
	s.say(t, fmt.Sprintf(`{"type":"subscribe","id":%q,"payload":{"query":%q}}`, id, query))
}

// hears fails where the next messages are others.
func (s *socket) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		_, got, err := s.conn.Read(s.ctx)
		if err != nil {
			t.Fatalf("want %s, got %v", w, err)
		}
		if string(got) != w {
			t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// isClosed fails where the connection is not closed with that code next.
func (s *socket) isClosed(t *testing.T, code int, reason string) {
	t.Helper()
	_, got, err := s.conn.Read(s.ctx)
	var end websocket.CloseError
	switch {
	case err == nil:
		t.Errorf("got message %s, want close %d", got, code)
	case !errors.As(err, &end) || int(end.Code) != code || reason != "" && end.Reason != reason:
		t.Errorf("got %v, want close %d %q", err, code, reason)
	}
}

func TestWebSocketClosesWithTheProtocolsCodes(t *testing.T) {
	t.Parallel()
	const begin = `{"type":"connection_init"}`
	const unspeakable = "hunter2-hunter2"
	tests := []struct {
		name   string
		say    []string
		acks   int // before the end
		code   int
		reason string
	}{
		{name: "what is no JSON", say: []string{unspeakable}, code: 4400},
		{name: "an array", say: []string{`[{"type":"ping"}]`}, code: 4400},
		{name: "JSON null", say: []string{`null`}, code: 4400},
		{name: "bytes that are no UTF-8", say: []string{"{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}"}, code: 4400},
		{name: "bytes after the JSON", say: []string{begin + "x"}, code: 4400},
		{name: "no type", say: []string{`{}`}, code: 4400},
		{name: "a type in other letters", say: []string{`{"Type":"connection_init"}`}, code: 4400},
		{name: "an unknown type", say: []string{`{"type":"` + unspeakable + `"}`}, code: 4400},
		{name: "the older protocol's type", say: []string{begin, `{"type":"start","id":"1","payload":{"query":"{name}"}}`}, acks: 1, code: 4400},
		{name: "the server's type", say: []string{begin, `{"type":"next","id":"1"}`}, acks: 1, code: 4400},
		{name: "a type that is no string", say: []string{`{"type":7}`}, code: 4400},
		{name: "a payload of an init that is no object", say: []string{`{"type":"connection_init","payload":"x"}`}, code: 4400},
		{name: "an authorization that is no string", say: []string{`{"type":"connection_init","payload":{"Authorization":["x"]}}`}, code: 4400},
		{name: "a ping's payload that is no object", say: []string{`{"type":"ping","payload":1}`}, code: 4400},
		{name: "a subscribe without ID", say: []string{begin, `{"type":"subscribe","payload":{"query":"{name}"}}`}, acks: 1, code: 4400},
		{name: "an empty ID", say: []string{begin, `{"type":"subscribe","id":"","payload":{"query":"{name}"}}`}, acks: 1, code: 4400},
		{name: "an ID that is no string", say: []string{begin, `{"type":"subscribe","id":1,"payload":{"query":"{name}"}}`}, acks: 1, code: 4400},
		{name: "a long ID", say: []string{begin, `{"type":"subscribe","id":"` + strings.Repeat("x", 65) + `","payload":{"query":"{name}"}}`}, acks: 1, code: 4400},
		{name: "no payload", say: []string{begin, `{"type":"subscribe","id":"1"}`}, acks: 1, code: 4400},
		{name: "a payload that is no object", say: []string{begin, `{"type":"subscribe","id":"1","payload":[]}`}, acks: 1, code: 4400},
		{name: "no query", say: []string{begin, `{"type":"subscribe","id":"1","payload":{}}`}, acks: 1, code: 4400},
		{name: "variables that are no object", say: []string{begin, `{"type":"subscribe","id":"1","payload":{"query":"{name}","variables":["` + unspeakable + `"]}}`}, acks: 1, code: 4400},
		{name: "a complete without ID", say: []string{begin, `{"type":"complete"}`}, acks: 1, code: 4400},
		{name: "a message beyond the limit", say: []string{begin, `{"type":"ping","payload":{"x":"` + strings.Repeat("x", 5000) + `"}}`}, acks: 1, code: 1009},
		{name: "an operation before the acknowledgement", say: []string{`{"type":"subscribe","id":"1","payload":{"query":"{name}"}}`}, code: 4401, reason: "Unauthorized"},
		{name: "a second init", say: []string{begin, begin}, acks: 1, code: 4429, reason: "Too many initialisation requests"},
		{
			name: "an ID that is in use", acks: 1, code: 4409, reason: "Subscriber for a-1 already exists",
			say: []string{begin, `{"type":"subscribe","id":"a-1","payload":{"query":"subscription{wait}"}}`, `{"type":"subscribe","id":"a-1","payload":{"query":"{name}"}}`},
		},
		{
			name: "the longest ID, in use", acks: 1, code: 4409, reason: "Subscriber for " + strings.Repeat("x", 64) + " already exists",
			say: []string{
				begin,
				`{"type":"subscribe","id":"` + strings.Repeat("x", 64) + `","payload":{"query":"subscription{wait}"}}`,
				`{"type":"subscribe","id":"` + strings.Repeat("x", 64) + `","payload":{"query":"subscription{wait}"}}`,
			},
		},
		{name: "a session that is not live", say: []string{`{"type":"connection_init","payload":{"Authorization":"Bearer mallory"}}`}, code: 4401, reason: "The session is not live"},
	}
	p := open(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := p.dial(t, nil, protocol)
			for _, text := range tt.say {
				s.say(t, text)
			}
			for range tt.acks {
				s.hears(t, `{"type":"connection_ack"}`)
			}
			_, got, err := s.conn.Read(s.ctx)
			var end websocket.CloseError
			if !errors.As(err, &end) || int(end.Code) != tt.code || tt.reason != "" && end.Reason != tt.reason {
				t.Errorf("got %s, %v, want close %d %q", got, err, tt.code, tt.reason)
			}
			if strings.Contains(end.Reason, unspeakable) {
				t.Errorf("the client's words came back: %q", end.Reason)
			}
		})
	}
}

func TestWebSocketTakesTextAlone(t *testing.T) {
	t.Parallel()
	s := open(t, nil).dial(t, nil, protocol)
	if err := s.conn.Write(s.ctx, websocket.MessageBinary, []byte(`{"type":"connection_init"}`)); err != nil {
		t.Fatal(err)
	}
	s.isClosed(t, 4400, "")
}

func TestWebSocketWantsItsSubprotocol(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	p.dial(t, nil).isClosed(t, 4406, "Subprotocol not acceptable")
	p.dial(t, nil, "graphql-ws").isClosed(t, 4406, "Subprotocol not acceptable")
	p.dial(t, nil, "mqtt", "soap").isClosed(t, 4406, "")
	s := p.dial(t, nil, "graphql-ws", protocol)
	s.say(t, `{"type":"connection_init"}`)
	s.hears(t, `{"type":"connection_ack"}`)
}

func TestWebSocketWaitsForTheInitSoLong(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.socket.InitTimeout = 500 * time.Millisecond })
	s := p.dial(t, nil, protocol)
	s.say(t, `{"type":"ping"}`)
	s.hears(t, `{"type":"pong"}`)
	s.isClosed(t, 4408, "Connection initialisation timeout")
}

func TestUpgradesThatAreRefused(t *testing.T) {
	t.Parallel()
	const unspeakable = "hunter2-hunter2"
	tests := []struct {
		name   string
		method string
		header map[string]string
		status int
		code   string
	}{
		{name: "a foreign origin", header: map[string]string{"Origin": "https://evil.example"}, status: 403, code: "FORBIDDEN"},
		{name: "an origin that is hidden", header: map[string]string{"Origin": "null"}, status: 403, code: "FORBIDDEN"},
		{name: "one that begins as the own", header: map[string]string{"Origin": ownOrigin + ".evil.example"}, status: 403, code: "FORBIDDEN"},
		{name: "the own origin", header: map[string]string{"Origin": ownOrigin}, status: 101},
		{name: "no origin", status: 101},
		{name: "another method", method: "POST", status: 405, code: "BAD_USER_INPUT"},
		{name: "another version", header: map[string]string{"Sec-WebSocket-Version": unspeakable}, status: 426, code: "BAD_USER_INPUT"},
		{name: "a key that is none", header: map[string]string{"Sec-WebSocket-Key": unspeakable}, status: 400, code: "BAD_USER_INPUT"},
		{name: "no option for it", header: map[string]string{"Connection": "close"}, status: 400, code: "BAD_USER_INPUT"},
	}
	p := open(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, response, body := p.upgrade(t, tt.method, tt.header)
			defer conn.Close()
			if response.StatusCode != tt.status {
				t.Fatalf("got %d, want %d", response.StatusCode, tt.status)
			}
			if tt.code == "" {
				return
			}
			if _, code := (answer{body: body}).result(t); code != tt.code || strings.Contains(body, unspeakable) {
				t.Errorf("got %s, want code %s", body, tt.code)
			}
		})
	}
}

// upgrade sends a request for an upgrade by hand. The body is empty where it was
// granted; what follows is read from the connection.
func (p *place) upgrade(t *testing.T, method string, header map[string]string) (net.Conn, *http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if method == "" {
		method = http.MethodGet
	}
	all := map[string]string{
		"Host": "gate.example.com", "Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": protocol,
	}
	for name, value := range header {
		all[name] = value
	}
	request := method + " /graphql HTTP/1.1\r\n"
	for name, value := range all {
		request += name + ": " + value + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return conn, response, ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return conn, response, string(body)
}

func TestWebSocketRunsEveryKindOfOperation(t *testing.T) {
	t.Parallel()
	s := open(t, nil).connect(t, "")
	s.subscribe(t, "1", `{name}`)
	s.hears(t, `{"type":"next","id":"1","payload":{"data":{"name":"Alice"}}}`, `{"type":"complete","id":"1"}`)
	s.subscribe(t, "1", `mutation{rename(to:"Bob")}`)
	s.hears(t, `{"type":"next","id":"1","payload":{"data":{"rename":"Alice"}}}`, `{"type":"complete","id":"1"}`)
	s.say(t, `{"type":"subscribe","id":"1","payload":{"query":"subscription S($n:Int!){count(to:$n)}","operationName":"S","variables":{"n":2},"extensions":null},"more":1}`)
	s.hears(t,
		`{"type":"next","id":"1","payload":{"data":{"count":1}}}`,
		`{"type":"next","id":"1","payload":{"data":{"count":2}}}`,
		`{"type":"complete","id":"1"}`)
	s.subscribe(t, "1", `{`)
	s.hears(t, `{"type":"error","id":"1","payload":[{"message":"Expected Name, found \u003cEOF\u003e","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}`)
	s.subscribe(t, "1", `subscription{refused}`)
	s.hears(t, `{"type":"next","id":"1","payload":{"errors":[{"message":"not for you"}]}}`, `{"type":"complete","id":"1"}`)
	s.subscribe(t, "1", `{panics}`)
	s.hears(t, `{"type":"error","id":"1","payload":[{"message":"internal system error"}]}`)
	s.say(t, `{"type":"ping","payload":{"at":1}}`)
	s.hears(t, `{"type":"pong"}`)
	s.say(t, `{"type":"pong"}`)
	s.say(t, `{"type":"complete","id":"nothing"}`)
	s.subscribe(t, "1", `{name}`)
	s.hears(t, `{"type":"next","id":"1","payload":{"data":{"name":"Alice"}}}`, `{"type":"complete","id":"1"}`)
}

func TestCompleteCancelsTheOperation(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	s := p.connect(t, "")
	for range 20 {
		s.subscribe(t, "1", `subscription{wait}`)
		s.say(t, `{"type":"complete","id":"1"}`)
		s.subscribe(t, "1", `{name}`) // at once, whether or not the one before has ended
		s.hears(t, `{"type":"next","id":"1","payload":{"data":{"name":"Alice"}}}`, `{"type":"complete","id":"1"}`)
	}
	p.awaitRunning(t, 0)
}

func TestOperationsEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	s := p.connect(t, "")
	for _, query := range []string{`subscription{wait}`, `{slow}`, `mutation{slow}`} {
		s.subscribe(t, query, query)
	}
	p.awaitRunning(t, 3)
	if err := s.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
	p.awaitRunning(t, 0)
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 0)

	s = p.connect(t, "")
	s.subscribe(t, "1", `subscription{wait}`)
	p.awaitRunning(t, 1)
	_ = s.conn.CloseNow() // without a word
	p.awaitRunning(t, 0)
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 0)
}

func TestOperationsOfAConnectionAreBounded(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	s := p.connect(t, "")
	for i := range 100 {
		s.subscribe(t, fmt.Sprint(i), `subscription{wait}`)
	}
	s.subscribe(t, "one more", `{name}`)
	s.hears(t, `{"type":"error","id":"one more","payload":[{"message":"Too many operations are under way on this connection.","extensions":{"code":"RATE_LIMITED"}}]}`)
	s.say(t, `{"type":"complete","id":"7"}`)
	s.subscribe(t, "one more", `{name}`)
	s.hears(t, `{"type":"next","id":"one more","payload":{"data":{"name":"Alice"}}}`, `{"type":"complete","id":"one more"}`)
}

func TestEachOperationIsAdmitted(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	s := p.connect(t, "alice")
	p.refused.Store(true)
	asked := p.asked.Load()
	s.subscribe(t, "1", `{name}`)
	s.hears(t, `{"type":"error","id":"1","payload":[{"message":"Too many requests.","extensions":{"code":"RATE_LIMITED","retryAfter":7}}]}`)
	if p.asked.Load() != asked {
		t.Error("the store is asked for an operation that is not admitted")
	}
	p.refused.Store(false)
	p.away.Store(true)
	s.subscribe(t, "1", `{name}`)
	s.hears(t, `{"type":"error","id":"1","payload":[{"message":"The service is not available right now. You are not signed out.","extensions":{"code":"INTERNAL_SERVER_ERROR","retryAfter":1}}]}`)
	p.away.Store(false)
	s.subscribe(t, "1", `{who}`)
	s.hears(t, `{"type":"next","id":"1","payload":{"data":{"who":"alice"}}}`)
}

func TestConnectionInitSaysWhoCalls(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for _, tt := range []struct{ upgrade, payload, want string }{
		{"", `null`, ""},
		{"", `{"Authorization":"Bearer alice"}`, "alice"},
		{"", `{"authorization":"Bearer alice"}`, "alice"},
		{"bob", `{}`, "bob"},
		{"bob", `{"Authorization":""}`, "bob"},
		{"bob", `{"Authorization":"Bearer alice"}`, "alice"},
	} {
		header := http.Header{}
		if tt.upgrade != "" {
			header.Set("Authorization", "Bearer "+tt.upgrade)
		}
		s := p.dial(t, header, protocol)
		s.say(t, `{"type":"connection_init","payload":`+tt.payload+`}`)
		s.hears(t, `{"type":"connection_ack"}`)
		s.subscribe(t, "1", `{who}`)
		s.hears(t, `{"type":"next","id":"1","payload":{"data":{"who":"`+tt.want+`"}}}`)
	}
	s := p.dial(t, nil, protocol)
	p.away.Store(true)
	s.say(t, `{"type":"connection_init","payload":{"Authorization":"Bearer alice"}}`)
	s.isClosed(t, 1013, "")
}

func TestConnectionEndsWithItsSession(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	s, others := p.connect(t, "alice"), p.connect(t, "bob")
	s.subscribe(t, "waits", `subscription{wait}`)
	s.subscribe(t, "tells", `subscription{ended}`)
	s.subscribe(t, "changes", `mutation{slow}`)
	p.awaitRunning(t, 3)
	close(p.endOf("alice"))
	// What tells of the end does so, what waits for something else is ended, and what
	// may have caused it is let finish.
	s.hears(t, `{"type":"next","id":"tells","payload":{"data":{"ended":1}}}`, `{"type":"complete","id":"tells"}`)
	p.awaitRunning(t, 1)
	close(p.release)
	s.hears(t, `{"type":"next","id":"changes","payload":{"data":{"slow":"done"}}}`, `{"type":"complete","id":"changes"}`)
	s.isClosed(t, 4401, "The session has ended")

	others.subscribe(t, "1", `{who}`)
	others.hears(t, `{"type":"next","id":"1","payload":{"data":{"who":"bob"}}}`)
}

func TestWhoeverAsksIsToldTheCodeOfAClose(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(p *place, s *socket)
		want int
	}{
		{"the session ends", func(p *place, _ *socket) { close(p.endOf("alice")) }, 4401},
		{"the client says goodbye", func(_ *place, s *socket) { _ = s.conn.Close(1000, "") }, 1000},
		{"the client says why", func(_ *place, s *socket) { _ = s.conn.Close(4500, "Internal client error") }, 4500},
		{"the client is gone", func(_ *place, s *socket) { _ = s.conn.CloseNow() }, 1006},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			codes := make(chan int, 2)
			p := open(t, func(all *transports) {
				all.socket.Closed = func(_ context.Context, code int) { codes <- code }
			})
			tt.end(p, p.connect(t, "alice"))
			if got := <-codes; got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAnOperationOfASessionThatHasEndedClosesTheConnection(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) {
		all.socket.Callers.Ended = func(context.Context) <-chan struct{} { return nil } // word of it is late
	})
	s := p.connect(t, "alice")
	close(p.endOf("alice"))
	s.subscribe(t, "1", `{who}`)
	s.isClosed(t, 4401, "The session has ended")
	late := p.dial(t, http.Header{"Authorization": {"Bearer alice"}}, protocol)
	late.say(t, `{"type":"connection_init"}`)
	late.hears(t, `{"type":"connection_ack"}`) // of nobody
}

func TestKeepAliveEndsADeadConnection(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) {
		all.socket.KeepAlive, all.socket.PongTimeout = 20*time.Millisecond, 200*time.Millisecond
	})
	dead := p.connect(t, "") // it reads no more from here on, and so answers no ping
	dead.subscribe(t, "1", `subscription{wait}`)
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 0)
	p.awaitRunning(t, 0)
}

func TestKeepAliveLeavesALiveConnectionAlone(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) {
		all.socket.KeepAlive = 10 * time.Millisecond
		all.socket.InitTimeout = time.Second // which counts no more once the client has begun
	})
	live := p.connect(t, "")
	live.subscribe(t, "1", `subscription{wait}`)
	read, cancel := context.WithTimeout(live.ctx, 1500*time.Millisecond)
	defer cancel()
	if _, got, err := live.conn.Read(read); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %s, %v, want nothing", got, err)
	}
}

func TestASlowReaderHindersNobody(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.socket.WriteTimeout = 300 * time.Millisecond })
	slow := p.connect(t, "alice") // it reads no more from here on
	slow.subscribe(t, "1", `subscription{flood}`)
	for i := range 50 {
		slow.subscribe(t, fmt.Sprint("wait", i), `subscription{wait}`)
	}
	p.awaitRunning(t, 50)
	s := p.connect(t, "alice")
	s.subscribe(t, "1", `{who}`)
	s.hears(t, `{"type":"next","id":"1","payload":{"data":{"who":"alice"}}}`)
	p.awaitRunning(t, 0)
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 1)
}

func TestAFloodEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.socket.WriteTimeout = 300 * time.Millisecond })
	s := p.connect(t, "")
	// It sends and never reads: what it is answered piles up until nobody takes more.
	s.subscribe(t, "flood", `subscription{flood}`)
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	var err error
	for i := 0; err == nil; i++ {
		text := `{"type":"ping"}`
		if i%2 == 0 {
			text = fmt.Sprintf(`{"type":"subscribe","id":"%d","payload":{"query":"subscription{wait}"}}`, i)
		}
		err = s.conn.Write(ctx, websocket.MessageText, []byte(text))
	}
	if ctx.Err() != nil {
		t.Error("the flood was taken without end")
	}
	p.awaitRunning(t, 0)
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 0)
}

func TestAMessageThatNeverEndsDelaysNoClose(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	conn, response, _ := p.upgrade(t, "", nil)
	defer conn.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response.Status)
	}
	// A text frame of 3000 masked bytes, of which the first few come.
	if _, err := conn.Write([]byte{0x81, 0x80 | 126, 0x0b, 0xb8, 1, 2, 3, 4, 'a', 'b'}); err != nil {
		t.Fatal(err)
	}
	p.close(t) // within the test's patience, which the library alone would outwait
	if n := p.streams.Open(graphqlhttp.OverWebSocket); n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.limits.All, all.limits.PerCaller = 3, 2 })
	refused := func(header map[string]string, status int, code string) {
		t.Helper()
		conn, response, body := p.upgrade(t, "", header)
		defer conn.Close()
		if response.StatusCode != status || response.Header.Get("Retry-After") == "" {
			t.Fatalf("got %d, Retry-After %q, want %d", response.StatusCode, response.Header.Get("Retry-After"), status)
		}
		if _, got := (answer{body: body}).result(t); got != code {
			t.Errorf("got %s, want %s", body, code)
		}
	}
	alice := map[string]string{"Authorization": "Bearer alice"}
	one := p.connect(t, "alice")
	p.connect(t, "alice")
	refused(alice, 429, "RATE_LIMITED")
	late := p.dial(t, nil, protocol)
	late.say(t, `{"type":"connection_init","payload":{"Authorization":"Bearer alice"}}`)
	late.isClosed(t, 1013, "Too many streams are open")
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 2)
	p.connect(t, "bob")
	refused(nil, 503, "INTERNAL_SERVER_ERROR")
	_ = one.conn.CloseNow()
	p.awaitOpen(t, graphqlhttp.OverWebSocket, 2)
	p.connect(t, "alice")
}

func TestCloseEndsEveryConnection(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	idle, busy, silent := p.connect(t, "alice"), p.connect(t, "bob"), p.dial(t, nil, protocol)
	busy.subscribe(t, "waits", `subscription{wait}`)
	busy.subscribe(t, "finishes", `{slow}`)
	p.awaitRunning(t, 2)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.close(t)
	}()
	idle.isClosed(t, 1001, "The service is stopping")
	silent.isClosed(t, 1001, "The service is stopping")
	p.awaitRunning(t, 1)
	conn, response, _ := p.upgrade(t, "", nil)
	defer conn.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a new one: got %d", response.StatusCode)
	}
	busy.subscribe(t, "comes too late", `{who}`)
	busy.say(t, `{"type":"ping"}`)
	busy.hears(t, `{"type":"pong"}`)
	close(p.release)
	busy.hears(t, `{"type":"next","id":"finishes","payload":{"data":{"slow":"done"}}}`, `{"type":"complete","id":"finishes"}`)
	busy.isClosed(t, 1001, "The service is stopping")
	<-closed
}

// TestCloseEndsAConnectionThatIsLeavingAlready stops the process while a connection
// whose session has ended waits for a mutation, which it does for longer than there is.
func TestCloseEndsAConnectionThatIsLeavingAlready(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	s := p.connect(t, "alice")
	s.subscribe(t, "tells", `subscription{ended}`)
	s.subscribe(t, "changes", `mutation{slow}`)
	p.awaitRunning(t, 2)
	close(p.endOf("alice"))
	s.hears(t, `{"type":"next","id":"tells","payload":{"data":{"ended":1}}}`, `{"type":"complete","id":"tells"}`)
	closed := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		closed <- p.streams.Close(ctx)
	}()
	s.isClosed(t, 1001, "The service is stopping")
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestCloseIsNotHeldUpByAClientThatDoesNotRead has an operation of the client's keep the
// connection's lock, until nothing is read from the client either.
func TestCloseIsNotHeldUpByAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	p := open(t, func(all *transports) { all.socket.WriteTimeout = time.Hour })
	conn, _, _ := p.upgrade(t, "", nil)
	defer conn.Close()
	frame := func(text string) []byte { // masked with zeros
		return append([]byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}, text...)
	}
	_, err := conn.Write(append(frame(`{"type":"connection_init"}`),
		frame(`{"type":"subscribe","id":"1","payload":{"query":"subscription{flood}"}}`)...))
	ping := frame(`{"type":"ping","payload":{"x":"` + strings.Repeat("x", 4000) + `"}}`)
	for err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = conn.Write(ping)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if err := p.streams.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}
