package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"galaxygate/internal/redistest"
)

// remembering is what the replicas of these tests are configured with.
func remembering(t *testing.T, more map[string]string) (w *world, other *gateway) {
	t.Helper()
	settings := map[string]string{"GALAXY_CACHE": "1m"}
	maps.Copy(settings, more)
	w = found(t, postgres(t), rollup, settings)
	return w, serving(t, w.replica(t, nil))
}

// answerOf asks the gateway, under that session.
func answerOf(t *testing.T, g *gateway, session, document string) (r result) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	return r
}

// asks asks the gateway and returns what the field is, and how many requests that
// cost Galaxy.
func (w *world) asks(t *testing.T, g *gateway, session, document string, field ...any) (value string, cost int) {
	t.Helper()
	before := w.galaxy.Counters()["galaxy"]
	r := answerOf(t, g, session, document)
	if len(r.Errors) > 0 {
		t.Fatalf("%s: got errors %v", document, r.Errors)
	}
	return fmt.Sprint(r.at(field...)), w.galaxy.Counters()["galaxy"] - before
}

const (
	appData = `{ viewer { appData } }`
	profile = `{ viewer { profile { displayName } } }`
)

func setAppData(value string) string {
	return `mutation { setAppData(input: {data: "` + value + `"}) { user { appData } } }`
}

func TestWhatAUserWritesEveryReplicaReadsAtOnce(t *testing.T) {
	t.Parallel()
	w, other := remembering(t, nil)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	for i := range 20 {
		writer, reader := w.gateway, other
		if i%2 == 1 {
			writer, reader = reader, writer
		}
		w.asks(t, reader, b.session(), appData, "viewer", "appData") // which it remembers
		want := fmt.Sprint("the ", i, "th")
		if got, _ := w.asks(t, writer, b.session(), setAppData(want), "setAppData", "user", "appData"); got != want {
			t.Errorf("who wrote reads %q, want %q", got, want)
		}
		if got, _ := w.asks(t, reader, b.session(), appData, "viewer", "appData"); got != want {
			t.Errorf("the other replica reads %q, want %q", got, want)
		}
		if _, cost := w.asks(t, reader, b.session(), appData, "viewer", "appData"); cost != 0 {
			t.Errorf("what was read is asked again")
		}
	}
}

func TestReplicasShareAnswersByRedis(t *testing.T) {
	t.Parallel()
	server := redistest.NewServer(t)
	w, other := remembering(t, map[string]string{"REDIS_URL": server.URL})
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	alice, _ := w.asks(t, w.gateway, b.session(), profile, "viewer", "profile", "displayName")
	eventually(t, 10*time.Second, func() bool {
		got, cost := w.asks(t, other, b.session(), profile, "viewer", "profile", "displayName")
		return got == alice && cost == 0
	}, func() string { return "the other replica asks Galaxy too" })

	w.asks(t, w.gateway, b.session(), setAppData("new"), "setAppData", "user", "appData")
	if got, _ := w.asks(t, other, b.session(), appData, "viewer", "appData"); got != "new" {
		t.Errorf("after a change the other replica reads %q", got)
	}
	// Without Redis everything goes on, at the cost of asking.
	server.Stop()
	for i := range 3 {
		want := fmt.Sprint("without ", i)
		w.asks(t, w.gateway, b.session(), setAppData(want), "setAppData", "user", "appData")
		if got, _ := w.asks(t, other, b.session(), appData, "viewer", "appData"); got != want {
			t.Errorf("without Redis: got %q, want %q", got, want)
		}
	}
	server.Start()
	if got, _ := w.asks(t, other, b.session(), appData, "viewer", "appData"); got != "without 2" {
		t.Errorf("with Redis again: got %q", got)
	}
}

// TestNobodyIsGivenAnothersAnswer has users ask the same of two replicas that
// remember, and sign in anew with less consent.
func TestNobodyIsGivenAnothersAnswer(t *testing.T) {
	t.Parallel()
	server := redistest.NewServer(t)
	w, other := remembering(t, map[string]string{"REDIS_URL": server.URL})
	const document = `{ viewer { id email name appData profile { displayName } } }`
	people := map[string]*browser{}
	for _, name := range []string{"alice", "bob"} {
		people[name] = w.browser(t)
		people[name].signInAs(t, name)
		w.asks(t, w.gateway, people[name].session(), setAppData("of "+name), "setAppData", "user", "appData")
	}
	for range 3 {
		for _, g := range []*gateway{w.gateway, other} {
			for name, b := range people {
				r := answerOf(t, g, b.session(), document)
				if got := fmt.Sprint(r.at("viewer", "appData")); got != "of "+name {
					t.Errorf("%s reads what is %q", name, got)
				}
			}
		}
	}
	people["alice"].query(t, revokeDocument)
	w.consent("openid")
	people["alice"].signIn(t, w.url+"/auth/login")
	for _, g := range []*gateway{w.gateway, other} {
		r := answerOf(t, g, people["alice"].session(), document)
		if code, _ := r.code("email"); code != "INSUFFICIENT_SCOPE" {
			t.Errorf("without consent Alice reads %v", r.at("viewer", "email"))
		}
	}
}
