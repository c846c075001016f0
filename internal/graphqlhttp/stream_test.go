package graphqlhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.uber.org/goleak"

	"galaxygate/internal/errcode"
	"galaxygate/internal/graphqlhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

const ownOrigin = "https://gate.example.com"

// place is a server with every transport, and the sessions that it knows.
type place struct {
	server  *httptest.Server
	streams *graphqlhttp.Streams

	away    atomic.Bool  // nobody's session can be looked up
	refused atomic.Bool  // no operation is admitted
	running atomic.Int64 // operations that wait
	asked   atomic.Int64 // how often it was asked whether a session is live
	release chan struct{}

	mu       sync.Mutex
	sessions map[string]chan struct{} // closed when the session has ended
}

// transports are what a test may change before the place opens.
type transports struct {
	socket graphqlhttp.WebSocket
	events graphqlhttp.Events
	limits graphqlhttp.StreamLimits
	// requests is the server's deadline for reading a request and answering it.
	requests time.Duration
}

type sessionKey struct{}

func sessionOf(ctx context.Context) string {
	name, _ := ctx.Value(sessionKey{}).(string)
	return name
}

// open opens a place where Alice and Bob have sessions of their names.
func open(t *testing.T, change func(*transports)) *place {
	t.Helper()
	p := &place{
		release:  make(chan struct{}),
		sessions: map[string]chan struct{}{"alice": make(chan struct{}), "bob": make(chan struct{})},
	}
	all := transports{limits: graphqlhttp.StreamLimits{Caller: sessionOf}}
	all.socket = graphqlhttp.WebSocket{
		Allowed:         func(origin string) bool { return origin == ownOrigin },
		MaxMessageBytes: 4096,
		Callers: graphqlhttp.Callers{
			Authenticate: p.authenticate, Confirm: p.confirm, Ended: p.ended, Admit: p.admit,
		},
	}
	all.events = graphqlhttp.Events{MaxBodyBytes: 4096, Ended: p.ended}
	if change != nil {
		change(&all)
	}
	p.streams = graphqlhttp.NewStreams(all.limits)
	all.socket.Streams, all.events.Streams = p.streams, p.streams
	api := handler.New(p.schema())
	api.SetRecoverFunc(func(context.Context, any) error { return gqlerror.Errorf("internal system error") })
	api.AddTransport(all.socket)
	api.AddTransport(all.events)
	api.AddTransport(graphqlhttp.Transport{MaxBodyBytes: 4096})
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := p.authenticate(r.Context(), r.Header.Get("Authorization"))
		if err != nil {
			ctx = r.Context()
		}
		api.ServeHTTP(w, r.WithContext(ctx))
	}))
	p.server.Config.ReadTimeout, p.server.Config.WriteTimeout = all.requests, all.requests
	p.server.Config.IdleTimeout = patience
	p.server.Config.Protocols = new(http.Protocols)
	p.server.Config.Protocols.SetHTTP1(true)
	p.server.Config.Protocols.SetUnencryptedHTTP2(true)
	p.server.Start()
	t.Cleanup(func() {
		p.close(t)
		p.server.Close()
	})
	return p
}

// close ends every stream.
func (p *place) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.streams.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (p *place) endOf(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[name]
}

func (p *place) authenticate(ctx context.Context, authorization string) (context.Context, error) {
	name, ok := strings.CutPrefix(authorization, "Bearer ")
	switch {
	case !ok:
		return ctx, nil
	case p.away.Load():
		return nil, fmt.Errorf("the store is away")
	}
	ctx = context.WithValue(ctx, sessionKey{}, name)
	return ctx, p.confirm(ctx)
}

func (p *place) confirm(ctx context.Context) error {
	if sessionOf(ctx) == "" {
		return nil
	}
	p.asked.Add(1)
	if p.away.Load() {
		return fmt.Errorf("the store is away")
	}
	ended := p.endOf(sessionOf(ctx))
	if ended == nil {
		return graphqlhttp.ErrSignedOut
	}
	select {
	case <-ended:
		return graphqlhttp.ErrSignedOut
	default:
		return nil
	}
}

func (p *place) ended(ctx context.Context) <-chan struct{} { return p.endOf(sessionOf(ctx)) }

func (p *place) admit(context.Context) *graphqlhttp.Refusal {
	if !p.refused.Load() {
		return nil
	}
	return &graphqlhttp.Refusal{
		Status: http.StatusTooManyRequests, Code: errcode.RateLimited, Message: "Too many requests.", RetryAfter: 7 * time.Second,
	}
}

// schema is one whose subscriptions count, wait, or tell of the session's end.
func (p *place) schema() graphql.ExecutableSchema {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		type Query { name: String  who: String  slow: String  panics: String }
		type Mutation { rename(to: String!): String  slow: String }
		type Subscription { count(to: Int!): Int  wait: Int  ended: Int  flood: String  lines: String  refused: Int  panics: Int }
	`})
	return &graphql.ExecutableSchemaMock{
		SchemaFunc: func() *ast.Schema { return schema },
		ComplexityFunc: func(context.Context, string, string, int, map[string]any) (int, bool) {
			return 0, false
		},
		ExecFunc: p.exec,
	}
}

func data(name, value string) *graphql.Response {
	return &graphql.Response{Data: json.RawMessage(`{"` + name + `":` + value + `}`)}
}

func (p *place) exec(ctx context.Context) graphql.ResponseHandler {
	o := graphql.GetOperationContext(ctx)
	field := o.Operation.SelectionSet[0].(*ast.Field)
	switch field.Name {
	case "count":
		to, _ := field.ArgumentMap(o.Variables)["to"].(int64)
		n := int64(0)
		return func(context.Context) *graphql.Response {
			if n++; n > to {
				return nil
			}
			return data("count", strconv.FormatInt(n, 10))
		}
	case "ended":
		told := false
		return func(ctx context.Context) *graphql.Response {
			if !told && p.hold(ctx, p.ended(ctx)) {
				told = true
				return data("ended", "1")
			}
			return nil
		}
	case "wait":
		return func(ctx context.Context) *graphql.Response {
			p.hold(ctx, nil)
			return nil
		}
	case "slow":
		return func(ctx context.Context) *graphql.Response {
			if p.hold(ctx, p.release) {
				return data("slow", `"done"`)
			}
			return nil
		}
	case "flood":
		return func(context.Context) *graphql.Response { return data("flood", `"`+strings.Repeat("x", 1<<20)+`"`) }
	case "lines":
		return graphql.OneShot(data("lines", "\r\n\"a\"\n"))
	case "refused":
		graphql.AddError(ctx, gqlerror.Errorf("not for you"))
		return nil
	case "panics":
		panic("on purpose")
	case "who":
		return graphql.OneShot(data("who", strconv.Quote(sessionOf(ctx))))
	default:
		return graphql.OneShot(data(field.Name, `"Alice"`))
	}
}

// hold waits for the channel, and reports whether that came before ctx's end.
func (p *place) hold(ctx context.Context, until <-chan struct{}) bool {
	p.running.Add(1)
	defer p.running.Add(-1)
	select {
	case <-until:
		return true
	case <-ctx.Done():
		return false
	}
}

// await waits until the condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// awaitRunning waits until that many operations wait.
func (p *place) awaitRunning(t *testing.T, n int64) {
	t.Helper()
	await(t, fmt.Sprintf("%d operations under way", n), func() bool { return p.running.Load() == n })
}

// awaitOpen waits until that many streams of the transport are open.
func (p *place) awaitOpen(t *testing.T, transport string, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d streams by %s", n, transport), func() bool { return p.streams.Open(transport) == n })
}
