package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"galaxygate/graph"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// mediaEvents is what a request accepts that wants every response as it comes.
const mediaEvents = "application/x-ndjson"

// events is a transport that writes each response of an operation, one after the
// other.
type events struct{}

func (events) Supports(r *http.Request) bool { return r.Header.Get("Accept") == mediaEvents }

func (events) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	send := func(response *graphql.Response) {
		_ = json.NewEncoder(w).Encode(response)
		_ = http.NewResponseController(w).Flush()
	}
	var params graphql.RawParams
	if err := json.NewDecoder(r.Body).Decode(&params); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	params.Headers = r.Header
	operation, errs := exec.CreateOperationContext(r.Context(), &params)
	if errs != nil {
		send(exec.DispatchError(graphql.WithOperationContext(r.Context(), operation), errs))
		return
	}
	next, ctx := exec.DispatchOperation(r.Context(), operation)
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // it is subscribed
	for response := next(ctx); response != nil; response = next(ctx) {
		send(response)
	}
}

// subscription is one that is open.
type subscription struct {
	t      *testing.T
	body   io.ReadCloser
	cancel func()
	events chan result
}

// subscribe returns once the operation has begun.
func (w *world) subscribe(t *testing.T, p person, document string) *subscription {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	resp := w.send(ctx, p, document, nil, http.Header{"Accept": {mediaEvents}})
	s := &subscription{t: t, body: resp.Body, cancel: cancel, events: make(chan result)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(s.events)
		for from := json.NewDecoder(resp.Body); ; {
			var one result
			if err := from.Decode(&one); err != nil {
				if !errors.Is(err, io.EOF) && ctx.Err() == nil {
					t.Errorf("read events: %v", err)
				}
				return
			}
			select {
			case s.events <- one:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
		reading.Wait()
	})
	return s
}

// only returns the one event that comes before the subscription completes.
func (s *subscription) only() result {
	s.t.Helper()
	limit := time.After(20 * time.Second)
	var got []result
	for {
		select {
		case one, ok := <-s.events:
			if ok {
				got = append(got, one)
				continue
			}
			if len(got) != 1 {
				s.t.Fatalf("got %d events, want one: %v", len(got), got)
			}
			return got[0]
		case <-limit:
			s.t.Fatalf("waited in vain after %d events", len(got))
		}
	}
}

// silent makes sure that nothing comes for a while.
func (s *subscription) silent(while time.Duration) {
	s.t.Helper()
	select {
	case one, ok := <-s.events:
		s.t.Fatalf("got %v, %v, want nothing", one, ok)
	case <-time.After(while):
	}
}

const endDocument = `subscription { sessionEnded { reason at } }`

func (w *world) wantEnd(s *subscription, reason string) {
	s.t.Helper()
	got := s.only()
	if len(got.Errors) > 0 || got.at("sessionEnded.reason") != reason {
		s.t.Fatalf("got %v %v, want the reason %s", got.Data, got.Errors, reason)
	}
	text, _ := got.at("sessionEnded.at").(string)
	if at, err := time.Parse(time.RFC3339, text); err != nil || time.Since(at).Abs() > time.Minute {
		s.t.Errorf("got an end at %q", text)
	}
}

// signInAgain is a sign-in in the browser that has that session.
func (w *world) signInAgain(t *testing.T, old person) {
	t.Helper()
	s, token := w.manager.New(t.Context(), session.Browser)
	in := login.SignIn{
		Issuer: w.rollup.url, Subject: alice, Session: s, SessionToken: token, EndSessionID: old.session.ID,
	}
	in.Tokens.Access, in.Tokens.AccessExpiresAt = secret.New("access"), time.Now().Add(time.Hour)
	if _, err := w.db.SignIn(t.Context(), in, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestASubscriptionTellsHowItsSessionEnded(t *testing.T) {
	t.Parallel()
	mutation := func(document string, own bool) func(*testing.T, *world, person, person) {
		return func(t *testing.T, w *world, p, other person) {
			by := other
			if own {
				by = p
			}
			w.wantCodes(w.do(by, strings.ReplaceAll(document, "ID", `"`+p.session.ID+`"`), nil))
		}
	}
	tests := []struct {
		name string
		end  func(t *testing.T, w *world, p, other person)
		want string
	}{
		{"logout", mutation(`mutation { logout { sessionId } }`, true), "LOGGED_OUT"},
		{"revokeSession, of another", mutation(`mutation { revokeSession(input: {sessionId: ID}) { session { id } } }`, false), "REVOKED"},
		{"revokeOtherSessions", mutation(`mutation { revokeOtherSessions { revokedCount } }`, false), "REVOKED"},
		{"revokeAuthorization", mutation(`mutation { revokeAuthorization { revokedSessions } }`, false), "AUTHORIZATION_REVOKED"},
		{"revokeAuthorization, its own", mutation(`mutation { revokeAuthorization { revokedSessions } }`, true), "AUTHORIZATION_REVOKED"},
		{"the provider's logout", func(t *testing.T, w *world, _, _ person) {
			l := session.Logout{Issuer: w.rollup.url, Subject: alice, TokenID: "1", ExpiresAt: time.Now().Add(time.Hour)}
			if n, err := w.manager.EndByProvider(t.Context(), l); n != 2 || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}, "LOGGED_OUT"},
		{"another sign-in in the same browser", func(t *testing.T, w *world, p, _ person) { w.signInAgain(t, p) }, "REPLACED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, other := w.signIn(alice, allScopes()...), w.signIn(alice, allScopes()...)
			bobs := w.subscribe(t, w.signIn(bob), endDocument)
			one, two := w.subscribe(t, p, endDocument), w.subscribe(t, p, endDocument)
			one.silent(20 * time.Millisecond)
			tt.end(t, w, p, other)
			w.wantEnd(one, tt.want)
			w.wantEnd(two, tt.want)
			bobs.silent(10 * time.Millisecond)
		})
	}
}

func TestASubscriptionTellsThatItsSessionExpired(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"by itself", "and was swept away"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world, _ *graph.Config) { w.manager.IdleTimeout = 2 * time.Second })
			p := w.signIn(alice)
			s := w.subscribe(t, p, endDocument)
			if strings.Contains(name, "swept") {
				sweep := &store.Housekeeper{
					DB: w.db, Interval: 50 * time.Millisecond, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				}
				ctx, cancel := context.WithCancel(t.Context())
				var sweeping sync.WaitGroup
				sweeping.Go(func() { _ = sweep.Run(ctx) })
				defer sweeping.Wait()
				defer cancel()
			}
			w.wantEnd(s, "EXPIRED")
			if time.Now().Before(p.session.ExpiresAt) {
				t.Error("it was told before its time")
			}
		})
	}
}

func TestASubscriptionHearsOfAnEndOnAnotherReplica(t *testing.T) {
	t.Parallel()
	open := testdb.Postgres(t)
	w, there := newWorldOn(t, open(), newRollup(t)), open()
	p, q := w.signIn(alice), w.signIn(alice)
	one, two := w.subscribe(t, p, endDocument), w.subscribe(t, q, endDocument)
	if _, err := there.End(t.Context(), p.session.UserID, p.session.ID, session.LoggedOut, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.wantEnd(one, "LOGGED_OUT")
	two.silent(10 * time.Millisecond)
	if _, _, err := there.Erase(t.Context(), q.session.UserID); err != nil {
		t.Fatal(err)
	}
	w.wantEnd(two, "AUTHORIZATION_REVOKED")
}

func TestASubscriptionNeedsASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.subscribe(t, nobody(), endDocument).only()
	w.wantCodes(got, "UNAUTHENTICATED")
	if url := got.Errors[0].Extensions["loginUrl"]; url != "https://gate.example/auth/login" {
		t.Errorf("got %v", got.Errors[0].Extensions)
	}
	if got.Data != nil || len(got.Errors[0].Path) != 1 || got.Errors[0].Path[0] != "sessionEnded" {
		t.Errorf("got %v, %v", got.Data, got.Errors)
	}
}

func TestASubscriptionOutlivesTheTimeOfAnOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, cfg *graph.Config) { cfg.Timeout, cfg.TellCost = 50*time.Millisecond, true })
	p := w.signIn(alice)
	s := w.subscribe(t, p, `subscription Ended { end: sessionEnded { __typename why: reason reason } }`)
	s.silent(300 * time.Millisecond)
	if _, err := w.manager.End(t.Context(), p.session.UserID, p.session.ID, session.EndedByUser); err != nil {
		t.Fatal(err)
	}
	got := s.only()
	w.want(got, "end", `{"__typename":"SessionEnded","reason":"REVOKED","why":"REVOKED"}`)
	if got.cost("requests") != 0.0 {
		t.Errorf("got the extensions %v", got.Extensions)
	}
}

func TestWhoLeavesASubscriptionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.subscribe(t, w.signIn(alice), endDocument)
	if got := w.manager.Lookout.Watchers(); got != 1 {
		t.Errorf("%d wait, want one", got)
	}
	s.cancel()
	s.body.Close()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(20 * time.Second); w.manager.Lookout.Watchers() > 0; {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("it is waited for still")
		}
	}
}

func TestWhatASubscriptionMayBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, cfg *graph.Config) { cfg.Limits = graph.Limits{Depth: 2, Cost: 10} })
	p := w.signIn(alice)
	for document, want := range map[string]string{
		`subscription { __typename }`:                                                                   "GRAPHQL_VALIDATION_FAILED",
		`subscription { sessionEnded { reason } __typename }`:                                           "GRAPHQL_VALIDATION_FAILED",
		`subscription { a: sessionEnded { reason } b: sessionEnded { reason } }`:                        "GRAPHQL_VALIDATION_FAILED",
		`subscription { sessionEnded @skip(if: true) { reason } }`:                                      "GRAPHQL_VALIDATION_FAILED",
		`subscription ($no: Boolean = false) { sessionEnded @include(if: $no) { reason }}`:              "GRAPHQL_VALIDATION_FAILED",
		`subscription { sessionEnded }`:                                                                 "GRAPHQL_VALIDATION_FAILED",
		`subscription { sessionEnded { a: at b: at c: at d: at e: at f: at g: at h: at i: at j: at } }`: "QUERY_TOO_COMPLEX",
	} {
		got := w.subscribe(t, p, document).only()
		if codes := got.codes(); len(codes) == 0 || codes[0] != want || got.Data != nil {
			t.Errorf("%s: got %v %v, want %s", document, got.Data, got.Errors, want)
		}
	}
	if got := w.manager.Lookout.Watchers(); got != 0 {
		t.Errorf("%d wait, want nobody", got)
	}
}

// panicking is a manager that breaks where somebody wants to be told.
type panicking struct{ graph.SessionManager }

func (panicking) Ended(context.Context) <-chan session.End { panic("secret of the manager") }

func TestASubscriptionThatPanicsSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world, _ *graph.Config) { w.resolver.Manager = panicking{w.manager} })
	got := w.subscribe(t, w.signIn(alice), endDocument).only()
	w.wantCodes(got, "INTERNAL_SERVER_ERROR")
	if strings.Contains(got.Errors[0].Message, "secret") || got.Errors[0].Extensions["errorId"] == nil {
		t.Errorf("got %v", got.Errors)
	}
}
