package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// canary is what must be seen nowhere. It does not look like a token, so that no
// mask hides a leak.
const canary = "ZebraQuiltMarmalade"

// hostile is a request that means no good.
type hostile struct {
	name string
	wire string // as it is sent, byte for byte
	want
}

// want is what a hostile request may get. 0 among the statuses: the connection ends
// without an answer; nil: what comes is not HTTP/1.1. No status is a 5xx but those that net/http gives before any
// handler sees the request: 501 for a transfer coding that it does not know
// (RFC 9112, section 6.1), 505 for another version of HTTP.
type want struct {
	statuses []int
	// code is of the first GraphQL error; empty: no matter.
	code string
	// holds is what must be in the body; empty: no matter.
	holds string
	// closes are the codes that the WebSocket's end may have; nil: it is none.
	closes []int
}

func status(statuses ...int) want { return want{statuses: statuses} }

// answered is what a request gets that does no harm: data, and no error.
func answered() want { return want{statuses: []int{http.StatusOK}, holds: `{"data":{`} }

// nobody is the answer to who has no session.
func nobody() want { return want{statuses: []int{http.StatusOK}, holds: `{"data":{"viewer":null}}`} }

func refusal(status int, code string) want { return want{statuses: []int{status}, code: code} }

// attacker knows whom to attack, in whose name.
type attacker struct{ host, session string }

// request writes a request. What is hostile about it comes in the arguments; it has
// a session, and the canary in its headers and cookies.
func (a attacker) request(method, target, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	standard := []string{
		"Host: " + a.host, "Cookie: galaxygate=" + a.session + "; theme=" + canary, "X-Api-Key: " + canary,
		"User-Agent: " + canary, "Referer: https://" + canary + ".example/", "Connection: close",
		"Content-Length: " + strconv.Itoa(len(body)), "Content-Type: application/json",
	}
	for _, header := range standard {
		name, _, _ := strings.Cut(header, ":")
		replaced := func(given string) bool { return strings.HasPrefix(strings.ToLower(given), strings.ToLower(name)+":") }
		if !slices.ContainsFunc(headers, replaced) && (body != "" || !strings.HasPrefix(name, "Content-")) {
			b.WriteString(header + "\r\n")
		}
	}
	for _, header := range headers {
		if !strings.HasSuffix(header, ": -") { // the standard one is left out
			b.WriteString(header + "\r\n")
		}
	}
	return b.String() + "\r\n" + body
}

// post writes a request with that body.
func (a attacker) post(body string, headers ...string) string {
	return a.request("POST", "/graphql", body, headers...)
}

// asks writes a request for the document, with variables that hold the canary.
func (a attacker) asks(document string, headers ...string) string {
	return a.asksWith(document, `{"secret":"`+canary+`"}`, headers...)
}

// asksWith writes a request for the document with these variables, JSON.
func (a attacker) asksWith(document, variables string, headers ...string) string {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // a string has an encoding
	}
	return a.post(`{"query":`+string(text)+`,"variables":`+variables+`}`, headers...)
}

// hostileRequests are all of them.
func (a attacker) hostileRequests() []hostile {
	return slices.Concat(
		a.malformedHTTP(), a.smuggling(), a.methods(), a.mediaTypes(), a.accepts(),
		a.bodies(), a.urls(), a.documents(), a.oversized(), a.variables(), a.persisted(),
		a.crossSite(), a.credentials(), a.signIns(), a.streams(),
	)
}

// TestHostileRequests sends everything twice. Nothing is answered by a 5xx or tells
// what it was sent, and the second round leaves no more behind than the first.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{
		"ALLOWED_ORIGINS": "https://app.example", "OTEL_TRACES_EXPORTER": "console", // which is in the log then
	})
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	a := attacker{host: strings.TrimPrefix(w.url, "http://"), session: b.session()}
	attacks := a.hostileRequests()
	if len(attacks) < 300 {
		t.Errorf("%d requests: want 300 or more", len(attacks))
	}
	names := make(map[string]bool)
	for _, attack := range attacks {
		if names[attack.name] {
			t.Errorf("two requests are called %q", attack.name)
		}
		names[attack.name] = true
	}
	a.attack(t, attacks)
	a.floods(t, w)
	heap, goroutines, own := w.heap(t), w.goroutines(t), w.own(t)
	a.attack(t, attacks)
	a.floods(t, w)

	const spare, growth = 10, 16 << 20
	eventually(t, 30*time.Second, func() bool {
		return w.goroutines(t) <= goroutines+spare && w.heap(t) <= heap+growth && len(more(w.own(t), own)) == 0
	}, func() string {
		return fmt.Sprintf("left behind: %d goroutines, before %d, of them %v; heap %d, before %d",
			w.goroutines(t), goroutines, more(w.own(t), own), w.heap(t), heap)
	})
	if r := b.query(t, "{ viewer { id email } }"); r.at("viewer", "email") == nil {
		t.Errorf("afterwards the user is answered %+v", r)
	}
	metrics := w.await(t, w.admin+"/metrics", http.StatusOK)
	w.stop(t) // the last spans are written
	if !strings.Contains(w.log.String(), "graphql.operation.type") {
		t.Error("no spans were written")
	}
	for what, text := range map[string]string{"log": w.log.String(), "metrics": metrics} {
		for _, secret := range []string{canary, a.session} {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in the %s: %s", what, around(text, secret))
			}
		}
	}
	if strings.Contains(w.log.String(), "panic") {
		t.Errorf("a handler panicked: %s", around(w.log.String(), "panic"))
	}
	t.Logf("%d hostile requests", len(attacks))
}

// attack sends the requests, some at once, and looks at each answer.
func (a attacker) attack(t *testing.T, attacks []hostile) {
	t.Helper()
	queue := make(chan hostile)
	done := make(chan struct{})
	const hands = 32 // most of them wait
	for range hands {
		go func() {
			defer func() { done <- struct{}{} }()
			for attack := range queue {
				a.check(t, attack)
			}
		}()
	}
	for _, attack := range attacks {
		queue <- attack
	}
	close(queue)
	for range hands {
		<-done
	}
}

// check sends the request and looks at the answer.
func (a attacker) check(t *testing.T, h hostile) {
	answer, err := exchange(a.host, h.wire)
	if err != nil {
		t.Errorf("%s: %v", h.name, err)
		return
	}
	if bytes.Contains(answer, []byte(canary)) || bytes.Contains(answer, []byte(a.session)) {
		t.Errorf("%s: a secret comes back: %.2000s", h.name, answer)
	}
	if n := len(statusLine.FindAll(answer, -1)); n > 1 {
		t.Errorf("%s: %d answers to one request: %.2000s", h.name, n, answer)
	}
	if h.statuses == nil {
		return
	}
	if len(answer) == 0 {
		if !slices.Contains(h.statuses, 0) {
			t.Errorf("%s: no answer, want %v", h.name, h.statuses)
		}
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: method(h.wire)})
	if err != nil {
		t.Errorf("%s: %v: %.500s", h.name, err, answer)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	_, frames, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if code := closeCode(frames); h.closes != nil && !slices.Contains(h.closes, code) {
		t.Errorf("%s: closed with %d, want %v: %q", h.name, code, h.closes, frames)
	}
	if !slices.Contains(h.statuses, resp.StatusCode) {
		t.Errorf("%s: %d, want %v: %.1000s", h.name, resp.StatusCode, h.statuses, body)
	}
	if !bytes.Contains(body, []byte(h.holds)) {
		t.Errorf("%s: want %s: %.1000s", h.name, h.holds, body)
	}
	if h.code == "" {
		return
	}
	var r result
	if err := json.Unmarshal(body, &r); err != nil || len(r.Errors) == 0 || r.Errors[0].Extensions["code"] != h.code {
		t.Errorf("%s: want %s: %v %.1000s", h.name, h.code, err, body)
	}
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] [0-9]{3} `)

// method is what the request says that it is: an answer to HEAD has no body.
func method(wire string) string {
	name, _, _ := strings.Cut(wire, " ")
	return name
}

// exchange sends the bytes and returns all that comes back until the gateway closes
// the connection.
func exchange(host, wire string) ([]byte, error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(45 * time.Second)); err != nil {
		return nil, err
	}
	go func() { _, _ = io.WriteString(conn, wire) }() // what is refused early may not be read to its end
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 && !errors.Is(err, syscall.ECONNRESET) {
		return nil, err
	}
	return answer, nil
}

// heap is how much memory the gateway's live objects take, after a collection.
func (g *gateway) heap(t *testing.T) int {
	t.Helper()
	profile := g.await(t, g.admin+"/debug/pprof/heap?gc=1&debug=1", http.StatusOK)
	_, rest, found := strings.Cut(profile, "\n# HeapAlloc = ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if !found || err != nil {
		t.Fatalf("the profile does not tell the heap: %v", err)
	}
	return n
}

// own are the gateway's own goroutines, counted by the function that each began with.
// There is no other for each request, so that one more is one that was left behind.
func (g *gateway) own(t *testing.T) map[string]int {
	t.Helper()
	_, profile, _ := strings.Cut(g.await(t, g.admin+"/debug/pprof/goroutine?debug=1", http.StatusOK), "\n")
	counts := make(map[string]int)
	for stack := range strings.SplitSeq(profile, "\n\n") {
		functions := ownFunction.FindAllStringSubmatch(stack, -1)
		var n int
		if _, err := fmt.Sscanf(stack, "%d @", &n); err != nil || len(functions) == 0 {
			continue
		}
		counts[functions[len(functions)-1][1]] += n
	}
	if len(counts) < 3 {
		t.Errorf("the profile tells little: %.500s", profile)
	}
	return counts
}

var ownFunction = regexp.MustCompile(`(?m)^#\t\S+\t((?:galaxygate|main)[./]\S*)\+0x`)

// more are those of which there are more now than before.
func more(now, before map[string]int) map[string]int {
	found := make(map[string]int)
	for name, n := range now {
		if n > before[name] {
			found[name] = n - before[name]
		}
	}
	return found
}

// around is the part of the text about what was found in it.
func around(text, found string) string {
	i := strings.Index(text, found)
	return text[max(0, i-500):min(len(text), i+500)]
}
