package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// heard is what a client of npm's heard of the end of its session.
type heard struct {
	Connections int
	Code        int // of the close
	Completed   bool
	Events      []struct {
		Data struct {
			SessionEnded struct{ Reason string }
		}
		HeardAt int64 // in milliseconds since 1970
	}
}

// listeners are npm's clients that wait for the end of a session: two by WebSocket,
// two by server-sent events.
type listeners struct{ said chan string }

func listen(t *testing.T, g *gateway, session string) *listeners {
	t.Helper()
	l := &listeners{said: make(chan string, 1)}
	go func() {
		l.said <- runNode(t, "subscriptions.mjs", []string{"SESSION=" + session}, g.url+"/graphql")
	}()
	l.await(t, g)
	return l
}

// await waits until all of them are connected to the gateway.
func (l *listeners) await(t *testing.T, g *gateway) {
	t.Helper()
	for _, line := range []string{
		"galaxygate_websockets 2", "galaxygate_event_streams 2",
		"galaxygate_session_watchers 8", // the four, and the subscription of each
	} {
		g.metric(t, line)
	}
}

// hear wants each to hear of the end in time, for that reason, and returns what they
// heard.
func (l *listeners) hear(t *testing.T, reason string, begun time.Time) map[string]heard {
	t.Helper()
	var all map[string]heard
	if said := <-l.said; json.Unmarshal([]byte(said), &all) != nil || len(all) != 4 {
		t.Fatalf("the clients say %s", said)
	}
	for name, h := range all {
		if len(h.Events) != 1 || h.Events[0].Data.SessionEnded.Reason != reason || !h.Completed {
			t.Errorf("%s: got %+v, want one event for %s, and the end", name, h, reason)
			continue
		}
		took := time.UnixMilli(h.Events[0].HeardAt).Sub(begun)
		if took > 5*time.Second {
			t.Errorf("%s: heard after %s", name, took)
		}
		t.Logf("%s: heard after %s", name, took.Round(time.Millisecond))
		if strings.HasPrefix(name, "WebSocket") && h.Code != 4401 {
			t.Errorf("%s: closed with %d, want 4401", name, h.Code)
		}
	}
	return all
}

// TestClientsHearThatTheirSessionHasEnded connects to one replica and ends the
// session on another.
func TestClientsHearThatTheirSessionHasEnded(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	other := serving(t, w.replica(t, nil))
	tests := []struct {
		name   string
		reason string
		end    func(t *testing.T, alice, elsewhere *browser)
	}{
		{"signed out", "LOGGED_OUT", func(t *testing.T, alice, _ *browser) {
			other.asks(t, alice, `mutation { logout { __typename } }`)
		}},
		{"ended from another session", "REVOKED", func(t *testing.T, _, elsewhere *browser) {
			other.asks(t, elsewhere, `mutation { revokeOtherSessions { __typename } }`)
		}},
		{"the consent given back", "AUTHORIZATION_REVOKED", func(t *testing.T, _, elsewhere *browser) {
			other.asks(t, elsewhere, revokeDocument)
		}},
	}
	for _, tt := range tests { // one after the other: they are all Alice's
		alice, elsewhere := w.browser(t), w.browser(t)
		alice.signIn(t, w.url+"/auth/login")
		elsewhere.signIn(t, w.url+"/auth/login")
		l := listen(t, w.gateway, alice.session())
		begun := time.Now()
		tt.end(t, alice, elsewhere)
		l.hear(t, tt.reason, begun)
		if t.Failed() {
			t.Fatal(tt.name)
		}
	}
}

// asks sends the document to that replica, and wants data.
func (g *gateway) asks(t *testing.T, b *browser, document string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	_, answer := b.post(t, g.url+"/graphql", "application/json", string(body))
	if !strings.HasPrefix(answer, `{"data":{`) {
		t.Fatalf("%s: got %s", document, answer)
	}
}

// TestClientsComeBackToAGatewayThatWasRestarted stops a replica that has streams open:
// the clients connect again by themselves, and hear of the end.
func TestClientsComeBackToAGatewayThatWasRestarted(t *testing.T) {
	t.Parallel()
	w := found(t, postgres(t), rollup, nil)
	other := serving(t, w.replica(t, nil))
	alice := w.browser(t)
	alice.signIn(t, w.url+"/auth/login")
	l := listen(t, w.gateway, alice.session())
	stopping := time.Now()
	w.stop(t)
	if took := time.Since(stopping); took > 9*time.Second { // the grace is 10 s
		t.Errorf("the streams held the gateway for %s", took)
	}
	w.run(t)
	l.await(t, w.gateway)
	begun := time.Now()
	other.asks(t, alice, `mutation { logout { __typename } }`)
	for name, h := range l.hear(t, "LOGGED_OUT", begun) {
		if h.Connections != 2 {
			t.Errorf("%s: connected %d times, want 2", name, h.Connections)
		}
	}
}

// TestOperationsByStreams runs queries and mutations by npm's clients of streams.
func TestOperationsByStreams(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, nil)
	one, two := w.browser(t), w.browser(t)
	one.signIn(t, w.url+"/auth/login")
	two.signIn(t, w.url+"/auth/login")
	sessions := []string{"SESSION=" + one.session(), "OTHER_SESSION=" + two.session()}
	if out := runNode(t, "operations.mjs", sessions, w.url+"/graphql"); !strings.Contains(out, "done") {
		t.Errorf("got %s", out)
	}
	for _, line := range []string{"galaxygate_websockets 0", "galaxygate_event_streams 0", "galaxygate_session_watchers 0"} {
		w.metric(t, line)
	}
	served := 0
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"request served"`) && strings.Contains(line, `"status":101`) {
			served++
		}
	}
	if served != 1 {
		t.Errorf("the log tells of %d upgrades, want 1", served)
	}
	for _, secret := range []string{one.session(), two.session()} {
		if secret != "" && strings.Contains(w.log.String(), secret) {
			t.Error("a session's token is in the log")
		}
	}
}
