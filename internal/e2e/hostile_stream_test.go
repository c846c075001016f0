package e2e_test

import (
	bits "encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// floods are many connections at once, none of which goes the way it should. While
// they stand, a user is served.
func (a attacker) floods(t *testing.T, w *world) {
	t.Helper()
	body := `{"query":"{__typename}","variables":{"secret":"` + canary + `"}}`
	whole := a.post(body)
	kinds := map[string]string{
		"silent":            "",
		"a byte":            "P",
		"half a header":     whole[:60],
		"half a body":       whole[:len(whole)-30],
		"a body of silence": a.post("", "Content-Length: 1000", "Content-Type: application/json"),
		"never read":        strings.Repeat(strings.Replace(a.request("GET", "/graphql?query={_service{sdl}}", ""), "Connection: close\r\n", "", 1), 50),
	}
	var open []net.Conn
	var sending sync.WaitGroup
	for name, wire := range kinds {
		for range 40 {
			conn, err := net.Dial("tcp", a.host)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			open = append(open, conn)
			sending.Go(func() { _, _ = io.WriteString(conn, wire) }) // whoever never reads may not be read either
		}
	}
	a.trickle(t, whole)
	answer, err := exchange(a.host, a.asks("{viewer{id}}"))
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.Contains(string(answer), "urn:") {
		t.Errorf("in a flood, a user is answered %v %.500s", err, answer)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	sending.Wait()
	_ = w.await(t, w.admin+"/healthz", http.StatusOK)
}

// trickle sends a request byte by byte, on several connections, and leaves before
// its end.
func (a attacker) trickle(t *testing.T, wire string) {
	t.Helper()
	var slow sync.WaitGroup
	for range 20 {
		slow.Go(func() {
			conn, err := net.Dial("tcp", a.host)
			if err != nil {
				t.Errorf("trickle: %v", err)
				return
			}
			defer conn.Close()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for i := range len(wire) - 10 {
				<-tick.C
				if _, err := io.WriteString(conn, wire[i:i+1]); err != nil {
					return
				}
			}
		})
	}
	slow.Wait()
}

// streams are WebSockets and event streams that go astray. No answer to one is a
// stream without an end: all but those that a limit of the gateway's ends at once
// are closed by whoever waits for their first message.
func (a attacker) streams() []hostile {
	return append(a.webSockets(), a.eventStreams()...)
}

// webSockets are those that the protocol graphql-transport-ws refuses.
func (a attacker) webSockets() []hostile {
	const (
		hello     = `{"type":"connection_init"}`
		subscribe = `{"id":"1","type":"subscribe","payload":{"query":"subscription{sessionEnded{at}}","variables":{"secret":"` + canary + `"}}}`
	)
	text := func(messages ...string) string {
		var frames strings.Builder
		for _, m := range messages {
			frames.WriteString(frame(0x81, m))
		}
		return frames.String()
	}
	payload := func(p string) string { return text(hello, `{"id":"1","type":"subscribe","payload":`+p+`}`) }
	var all []hostile
	for name, c := range map[string]struct {
		frames string
		codes  []int
	}{
		"says nothing":                {"", []int{4408}},
		"no JSON":                     {text(canary), []int{4400}},
		"half a JSON":                 {text(`{"type":`), []int{4400}},
		"an array":                    {text("[" + hello + "]"), []int{4400}},
		"a number":                    {text("7"), []int{4400}},
		"null":                        {text("null"), []int{4400}},
		"no type":                     {text(`{"id":"1"}`), []int{4400}},
		"a type of another kind":      {text(`{"type":1}`), []int{4400}},
		"an unknown type":             {text(`{"type":"` + canary + `"}`), []int{4400}},
		"the server's words":          {text(hello, `{"type":"connection_ack"}`), []int{4400}},
		"the older protocol":          {text(hello, `{"id":"1","type":"start","payload":{"query":"{__typename}"}}`), []int{4400}},
		"two greetings":               {text(hello, hello), []int{4429}},
		"a hundred greetings":         {strings.Repeat(text(hello), 100), []int{4429}},
		"no greeting":                 {text(subscribe), []int{4401}},
		"a greeting of an array":      {text(`{"type":"connection_init","payload":[]}`), []int{4400}},
		"a greeting with a lie":       {text(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + canary + `"}}`), []int{4401}},
		"a greeting with an object":   {text(`{"type":"connection_init","payload":{"Authorization":{"a":"` + canary + `"}}}`), []int{4400, 4401}},
		"the same twice":              {text(hello, subscribe, subscribe), []int{4409}},
		"an ID of another kind":       {text(hello, `{"id":1,"type":"subscribe","payload":{"query":"{__typename}"}}`), []int{4400}},
		"no ID":                       {text(hello, `{"type":"subscribe","payload":{"query":"{__typename}"}}`), []int{4400}},
		"an empty ID":                 {text(hello, `{"id":"","type":"subscribe","payload":{"query":"{__typename}"}}`), []int{4400}},
		"an ID of 100 KB":             {text(hello, `{"id":"`+strings.Repeat("x", 100_000)+`","type":"subscribe","payload":{"query":"{__typename}"}}`), []int{4400}},
		"no payload":                  {text(hello, `{"id":"1","type":"subscribe"}`), []int{4400}},
		"a payload of another kind":   {payload(`"` + canary + `"`), []int{4400}},
		"a query of another kind":     {payload(`{"query":7}`), []int{4400}},
		"variables of another kind":   {payload(`{"query":"{__typename}","variables":["` + canary + `"]}`), []int{4400}},
		"300 KB":                      {text(strings.Repeat(" ", 300<<10)), []int{1009, 4400}},
		"invalid UTF-8":               {text("{\"type\":\"\xff\"}"), []int{1007, 4400}},
		"a binary message":            {frame(0x82, hello), []int{1003, 4400}},
		"a reserved bit":              {frame(0xc1, hello), []int{1002}},
		"a reserved opcode":           {frame(0x83, hello), []int{1002}},
		"a continuation of nothing":   {frame(0x80, hello), []int{1002}},
		"a ping in pieces":            {frame(0x09, "x"), []int{1002}},
		"a ping of 200 bytes":         {frame(0x89, strings.Repeat("x", 200)), []int{1002}},
		"a close without a reason":    {frame(0x88, ""), []int{0, 1000, 1005}},
		"a close of one byte":         {frame(0x88, "x"), []int{0, 1002, 1007}},
		"a close with a strange code": {frame(0x88, "\x00\x01"), []int{0, 1, 1002}},
		"no mask":                     {"\x81\x02{}", []int{0, 1002}},
		"a length of exabytes":        {"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", []int{0, 1009, 1002, 4400, 4408}},
		"1,000 pieces":                {frame(0x01, " ") + strings.Repeat(frame(0x00, " "), 1000) + frame(0x80, "x"), []int{4400}},
		"not a WebSocket any more":    {"GET / HTTP/1.1\r\n\r\n", []int{0, 1002}},
		"1,000 words at once":         {text(hello) + strings.Repeat(text(`{"type":"ping"}`), 1000) + text(canary), []int{4400}},
		"JSON 10,000 deep":            {text(`{"type":"ping","payload":` + strings.Repeat("[", 10_000)), []int{4400}},
	} {
		all = append(all, hostile{"WebSocket: " + name, a.upgrade() + c.frames, want{statuses: []int{101}, closes: c.codes}})
	}
	for name, headers := range map[string][]string{
		"no protocol":        {"Sec-WebSocket-Protocol: -"},
		"another protocol":   {"Sec-WebSocket-Protocol: " + canary},
		"the older protocol": {"Sec-WebSocket-Protocol: graphql-ws"},
	} {
		all = append(all, hostile{"WebSocket with " + name, a.upgrade(headers...), want{statuses: []int{101}, closes: []int{4406}}})
	}
	for name, headers := range map[string][]string{
		"no key":               {"Sec-WebSocket-Key: -"},
		"a key of nonsense":    {"Sec-WebSocket-Key: " + canary},
		"two keys":             {"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="},
		"version 7":            {"Sec-WebSocket-Version: 7"},
		"no version":           {"Sec-WebSocket-Version: -"},
		"no word of upgrading": {"Connection: close"},
	} {
		want := refusal(400, "BAD_USER_INPUT")
		if strings.Contains(name, "version") {
			want = refusal(426, "BAD_USER_INPUT")
		}
		all = append(all, hostile{"WebSocket with " + name, a.upgrade(headers...), want})
	}
	return append(all, hostile{"WebSocket: by POST", strings.Replace(a.upgrade(), "GET", "POST", 1), refusal(405, "BAD_USER_INPUT")})
}

// frame is a WebSocket frame of a client's (RFC 6455, section 5.2), masked with zeros.
func frame(first byte, payload string) string {
	header := []byte{first}
	switch n := len(payload); {
	case n < 126:
		header = append(header, 0x80|byte(n))
	case n < 1<<16:
		header = bits.BigEndian.AppendUint16(append(header, 0x80|126), uint16(n))
	default:
		header = bits.BigEndian.AppendUint64(append(header, 0x80|127), uint64(n))
	}
	return string(header) + "\x00\x00\x00\x00" + payload
}

// closeCode is that of the close frame among a server's frames; 0: there is none, or
// it has no code.
func closeCode(frames []byte) int {
	for len(frames) >= 2 {
		n, rest := int(frames[1]&0x7f), frames[2:]
		if n == 126 && len(rest) >= 2 {
			n, rest = int(bits.BigEndian.Uint16(rest)), rest[2:]
		}
		if n > len(rest) {
			return 0
		}
		if frames[0] == 0x88 && n >= 2 {
			return int(bits.BigEndian.Uint16(rest))
		}
		frames = rest[n:]
	}
	return 0
}

// eventStreams are requests for text/event-stream that are none.
func (a attacker) eventStreams() []hostile {
	const accept = "Accept: text/event-stream"
	get := func(query string, headers ...string) string {
		return a.request("GET", "/graphql"+query, "", append([]string{accept}, headers...)...)
	}
	return []hostile{
		{"event stream: no query", get(""), refusal(400, "BAD_USER_INPUT")},
		{"event stream: no document", get("?query={"), refusal(400, "GRAPHQL_PARSE_FAILED")},
		{"event stream: an unknown field", get("?query=subscription{password}"), refusal(400, "GRAPHQL_VALIDATION_FAILED")},
		{"event stream: two fields", get("?query=" + url.QueryEscape("subscription{a:sessionEnded{at} b:sessionEnded{at}}")), refusal(400, "GRAPHQL_VALIDATION_FAILED")},
		{"event stream: a mutation by GET", get("?query=mutation{logout{sessionId}}"), refusal(405, "BAD_USER_INPUT")},
		{"event stream: of a stranger", get("?query="+url.QueryEscape("subscription{sessionEnded{at}}"), "Cookie: -"), want{statuses: []int{200}, holds: `"code":"UNAUTHENTICATED"`}},
		{"event stream: a stranger with a bad token", get("?query="+url.QueryEscape("subscription{sessionEnded{at}}"), "Cookie: -", "Authorization: Bearer "+canary), want{statuses: []int{200}, holds: `"code":"UNAUTHENTICATED"`}},
		{"event stream: by PUT", a.request("PUT", "/graphql", "", accept), status(405)},
		{"event stream: by DELETE", a.request("DELETE", "/graphql?operationId=1", "", accept), status(405)},
		{"event stream: a reserved stream's token", get("?token="+canary, "X-GraphQL-Event-Stream-Token: "+canary), refusal(400, "BAD_USER_INPUT")},
		{"event stream: no JSON", a.post("{", accept), refusal(400, "BAD_USER_INPUT")},
		{"event stream: a form", a.post("query={__typename}", accept, "Content-Type: application/x-www-form-urlencoded"), refusal(415, "BAD_USER_INPUT")},
		{"event stream: too large", a.post(strings.Repeat(" ", 300<<10), accept), refusal(413, "BAD_USER_INPUT")},
		{"event stream: too deep", a.asks("{viewer{sessions{nodes{user{"+strings.Repeat("sessions{nodes{user{", 10)+"id"+strings.Repeat("}}}", 10)+"}}}}}", accept), refusal(400, "QUERY_TOO_COMPLEX")},
		{"event stream: of a query", a.asks("{__typename}", accept), want{statuses: []int{200}, holds: `{"data":{"__typename":"Query"}}`}},
		{"event stream: of a refused query", a.asks("{viewer{smartContractWallets{address}}}", accept), status(200)},
		{"event stream: last event", get("?query={__typename}", "Last-Event-ID: "+canary), want{statuses: []int{200}, holds: `{"data":{"__typename":"Query"}}`}},
		{"event stream: HEAD", a.request("HEAD", "/graphql?query="+url.QueryEscape("subscription{sessionEnded{at}}"), "", accept), status(405)},
	}
}
