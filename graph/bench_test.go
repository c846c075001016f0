package graph_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/upstream"
)

// BenchmarkWarm is what an operation costs when everything that it needs is
// remembered, without the network.
func BenchmarkWarm(b *testing.B) {
	for name, document := range map[string]string{
		"id":       "{ viewer { id } }",
		"profile":  "{ viewer { profile { displayName pfp { ... on StandardPFP { image } ... on NFTPFP { image isToken } } } } }",
		"accounts": "{ viewer { connectedAccounts { nodes { type identifier } totalCount } } }",
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, func(w *world, cfg *graph.Config) {
				w.resolver.Upstream.Answers = upstream.NewAnswers(time.Hour, 1<<20, nil, time.Now)
				b.Cleanup(w.resolver.Upstream.Answers.Close)
			})
			p := w.signIn(alice, allScopes()...)
			body := `{"query":"` + document + `"}`
			ask := func() *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.AddCookie(&http.Cookie{Name: w.manager.CookieName(), Value: p.token.Reveal()})
				recorder := httptest.NewRecorder()
				w.gateway.Config.Handler.ServeHTTP(recorder, r)
				return recorder
			}
			if got := ask().Body.String(); strings.Contains(got, "errors") {
				b.Fatal(got)
			}
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
