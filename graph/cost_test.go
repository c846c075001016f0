package graph_test

import (
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/budget"
	"galaxygate/internal/upstream"
)

// remembering makes a world remember answers for a minute, by a clock that advance
// moves, with that many requests a minute.
func remembering(perMinute int) (change func(*world, *graph.Config), advance func(time.Duration)) {
	var passed atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	return func(w *world, cfg *graph.Config) {
		answers := upstream.NewAnswers(time.Minute, 1<<20, nil, now)
		w.t.Cleanup(answers.Close)
		w.resolver.Upstream.Answers = answers
		w.resolver.Upstream.Budget = budget.New(budget.Config{PerMinute: perMinute})
		cfg.TellCost = true
	}, func(d time.Duration) { passed.Add(int64(d)) }
}

// cost is what the response says that its operation cost.
func (r result) cost(name string) any { return r.Extensions["galaxy"][name] }

func TestAnOperationSaysWhatItCost(t *testing.T) {
	t.Parallel()
	change, _ := remembering(0)
	w := newWorld(t, change)
	p := w.signIn(alice, allScopes()...)
	const document = `{ viewer { profile { displayName } appData name } }`
	for _, want := range []struct{ requests, userinfo, cached float64 }{{1, 1, 0}, {0, 0, 3}} {
		got := w.do(p, document, nil)
		w.wantCodes(got)
		if got.cost("requests") != want.requests || got.cost("userinfoRequests") != want.userinfo ||
			got.cost("cached") != want.cached || got.cost("milliseconds") == nil || got.cost("stale") != nil {
			t.Errorf("got %v, want %+v", got.Extensions, want)
		}
	}
}

func TestTheCostIsToldOnRequestAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.signIn(alice, allScopes()...)
	if got := w.do(p, `{ viewer { profile { displayName } } }`, nil); got.Extensions != nil {
		t.Errorf("got extensions %v, want none", got.Extensions)
	}
	w.header.Set(graph.CostHeader, "1")
	if got := w.do(p, `{ viewer { profile { displayName } } }`, nil); got.cost("requests") != 1.0 {
		t.Errorf("got extensions %v, want one request", got.Extensions)
	}
}

func TestWhereGalaxyTakesNoMoreAnOlderAnswerIsGiven(t *testing.T) {
	t.Parallel()
	for name, exhaust := range map[string]func(*world){
		"the budget is used up": func(*world) {},
		"Galaxy says so":        func(w *world) { w.rollup.set("profile", reply{status: 429, retryAfter: "17"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			perMinute := 1
			if name == "Galaxy says so" {
				perMinute = 2
			}
			change, advance := remembering(perMinute)
			w := newWorld(t, change)
			p := w.signIn(alice, allScopes()...)
			const document = `{ viewer { profile { displayName } } }`
			first := w.do(p, document, nil)
			w.wantCodes(first)
			advance(90 * time.Second)
			exhaust(w)
			got := w.do(p, document, nil)
			w.wantCodes(got)
			w.want(got, "viewer", first.json("viewer"))
			if stale, _ := got.cost("stale").(float64); stale < 90 || stale > 100 {
				t.Errorf("got extensions %v, want an answer of 90 s", got.Extensions)
			}
			// What was never answered cannot be given.
			got = w.do(p, `{ viewer { profile { displayName } appData } }`, nil)
			w.wantCodes(got, "UPSTREAM_RATE_LIMITED")
			w.want(got, "viewer.profile", first.json("viewer.profile"))
			if after, _ := got.Errors[0].Extensions["retryAfter"].(float64); after < 1 || after > 61 {
				t.Errorf("got retryAfter %v", got.Errors[0].Extensions)
			}
			advance(15 * time.Minute) // older than that nothing is given
			w.wantCodes(w.do(p, document, nil), "UPSTREAM_RATE_LIMITED")
		})
	}
}

func TestARequestWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	change, _ := remembering(600) // the next comes after 100 ms
	w := newWorld(t, change, func(w *world, _ *graph.Config) { w.resolver.Upstream.Patience = 10 * time.Second })
	p := w.signIn(alice, allScopes()...)
	w.resolver.Upstream.Budget.Empty(50 * time.Millisecond)
	w.wantCodes(w.do(p, `{ viewer { profile { displayName } } }`, nil))
}
