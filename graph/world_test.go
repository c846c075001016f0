package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"galaxygate/graph"
	"galaxygate/internal/audit"
	"galaxygate/internal/budget"
	"galaxygate/internal/cache"
	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/passport"
	"galaxygate/internal/plan"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
	"galaxygate/internal/upstream"
)

const (
	alice = "urn:rollupid:identity/0xa11ce"
	bob   = "urn:rollupid:identity/0xb0b"
)

// allScopes are what the schema's fields need.
func allScopes() []string {
	return []string{"openid", "profile", "email", "connected_accounts", "erc_4337"}
}

// world is a gateway of real parts before a Rollup that tests control.
type world struct {
	t        testing.TB
	rollup   *rollup
	db       *store.DB
	manager  *session.Manager
	resolver *graph.Resolver
	audit    *auditSpy
	log      *logBuffer
	now      func() time.Time
	gateway  *httptest.Server
	header   http.Header // of every request
}

// newWorld returns a world; change may adapt what the server is built from.
func newWorld(t testing.TB, change ...func(*world, *graph.Config)) *world {
	t.Helper()
	return newWorldBefore(t, newRollup(t), change...)
}

// newWorldBefore returns a world before that Rollup.
func newWorldBefore(t testing.TB, r *rollup, change ...func(*world, *graph.Config)) *world {
	t.Helper()
	return newWorldOn(t, testdb.SQLite(t)(), r, change...)
}

// newWorldOn returns a world before that Rollup, on that database.
func newWorldOn(t testing.TB, db *store.DB, r *rollup, change ...func(*world, *graph.Config)) *world {
	t.Helper()
	w := &world{t: t, db: db, rollup: r, log: &logBuffer{}, header: http.Header{}, now: time.Now}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.audit = &auditSpy{Log: w.db}
	w.manager = &session.Manager{
		Store: w.db, Ender: w.db, Cache: session.NewCache(time.Hour, cache.Options[session.Session]{Hearing: w.db.Hearing, Now: time.Now}),
		Lookout:     session.NewLookout(w.db, w.db.Hearing, time.Now, logger),
		IdleTimeout: time.Hour, Lifetime: 24 * time.Hour,
		Unavailable: http.NotFoundHandler(), Now: time.Now, Logger: logger,
	}
	provider := passport.New(passport.Config{Issuer: w.rollup.url, ClientID: "app", ClientSecret: secret.New("app-secret"), Logger: logger})
	if err := provider.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	galaxy := upstream.NewGalaxy(upstream.GalaxyConfig{
		URL: w.rollup.url + "/graphql", APIKey: secret.New("the-api-key"), Now: time.Now, Logger: logger,
	})
	t.Cleanup(galaxy.Close)
	source := &grant.Source{
		Store: w.db, Leases: w.db, Refresher: provider,
		Cache: grant.NewCache(cache.Options[grant.Grant]{Hearing: w.db.Hearing, Now: time.Now}),
		Revocations: &grant.Revocations{
			Outbox: w.db, Claims: w.db, Refresher: provider, Revoker: provider,
			Withdrawer: upstream.AppRevoker{Galaxy: galaxy, ClientID: "app", Budget: budget.New(budget.Config{})}, Now: time.Now, Logger: logger,
		},
		Early: time.Minute, Now: time.Now, Logger: logger,
	}
	t.Cleanup(func() { _ = source.Wait(context.Background()) })
	t.Cleanup(source.Cache.Close)
	t.Cleanup(w.manager.Cache.Close)
	w.db.Subscribe(store.Listener{
		GrantChanged: source.Cache.Forget, SessionEnded: w.manager.Forget, Settle: source.Drain, Missed: w.manager.ForgetAll,
	})
	looking, stop := context.WithCancel(context.Background())
	var lookout sync.WaitGroup
	lookout.Go(func() { _ = w.manager.Lookout.Run(looking) })
	t.Cleanup(func() {
		stop()
		lookout.Wait()
	})
	planner, answers := plan.New(graph.Schema()), upstream.NewAnswers(0, 0, nil, time.Now)
	t.Cleanup(answers.Close)
	w.resolver = &graph.Resolver{
		Planner: planner,
		Upstream: &upstream.Client{
			Tokens: source, UserInfo: provider, Galaxy: galaxy, Answers: answers, Writes: w.db,
			Budget: budget.New(budget.Config{}), Logger: logger,
		},
		Grants: source, Revoker: source, Manager: w.manager, Audit: w.audit, Events: w.db,
		PublicURL: &url.URL{Scheme: "https", Host: "gate.example"},
		Now:       func() time.Time { return w.now() }, Logger: logger,
	}
	cfg := graph.Config{Resolver: w.resolver, Introspection: true}
	for _, c := range change {
		c(w, &cfg)
	}
	server := graph.NewServer(cfg)
	server.AddTransport(events{})
	server.AddTransport(transport.POST{})
	w.gateway = httptest.NewServer(w.manager.Middleware(server))
	t.Cleanup(w.gateway.Close)
	return w
}

// person is someone who has signed in.
type person struct {
	session session.Session
	token   secret.Text
}

// signIn signs the subject in with these scopes.
func (w *world) signIn(subject string, scopes ...string) person {
	return w.signInUntil(time.Now().Add(time.Hour), subject, scopes...)
}

func (w *world) signInUntil(expires time.Time, subject string, scopes ...string) person {
	w.t.Helper()
	s, token := w.manager.New(w.t.Context(), session.Browser)
	s, err := w.db.SignIn(w.t.Context(), login.SignIn{
		Issuer: w.rollup.url, Subject: subject, Session: s, SessionToken: token,
		Tokens: grant.Tokens{
			Access: secret.New("access-of-" + subject), AccessExpiresAt: expires,
			Refresh: secret.New("refresh-of-" + subject), Scopes: scopes,
		},
	}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return person{session: s, token: token}
}

// result is a response.
type result struct {
	Data   map[string]any `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
	Extensions map[string]map[string]any `json:"extensions"`

	header http.Header
}

// do runs the document for the person.
func (w *world) do(p person, document string, variables map[string]any) result {
	w.t.Helper()
	resp := w.send(w.t.Context(), p, document, variables, nil)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	got := result{header: resp.Header}
	if err := json.Unmarshal(raw, &got); err != nil {
		w.t.Fatalf("%v: %s", err, raw)
	}
	return got
}

// send asks for the document as the person. The response's body is to be closed.
func (w *world) send(ctx context.Context, p person, document string, variables map[string]any, header http.Header) *http.Response {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.gateway.URL, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	maps.Copy(req.Header, w.header)
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	if !p.token.IsZero() {
		req.AddCookie(&http.Cookie{Name: w.manager.CookieName(), Value: p.token.Reveal()})
	}
	resp, err := w.gateway.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// at is the value at a path of names, nil where the way ends.
func (r result) at(path string) any {
	var value any = r.Data
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// json is the value at the path, compact.
func (r result) json(path string) string {
	b, _ := json.Marshal(r.at(path))
	return string(b)
}

// codes are the errors' codes, sorted.
func (r result) codes() []string {
	var codes []string
	for _, e := range r.Errors {
		code, _ := e.Extensions["code"].(string)
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

func (w *world) wantCodes(got result, want ...string) {
	w.t.Helper()
	if !slices.Equal(got.codes(), want) {
		w.t.Errorf("got errors %v, want codes %v", got.Errors, want)
	}
}

func (w *world) want(got result, path, want string) {
	w.t.Helper()
	if got.json(path) != want {
		w.t.Errorf("%s: got %s, want %s", path, got.json(path), want)
	}
}

// auditSpy sees what is recorded.
type auditSpy struct {
	audit.Log
	mu     sync.Mutex
	events []audit.Event
}

func (a *auditSpy) Record(ctx context.Context, e audit.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
	return a.Log.Record(ctx, e)
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// reply is an answer that replaces the usual one.
type reply struct {
	status     int
	retryAfter string
	body       string
}

// rollup answers as Passport and Galaxy do, for Alice whatever the token says.
type rollup struct {
	url string

	mu      sync.Mutex
	calls   map[string]int   // by endpoint or root field
	replies map[string]reply // by endpoint or root field
	claims  map[string]any
	titles  map[string]string // of the accounts that Galaxy shows, by URN
	appData any
	refuse  string // an access token that is not taken
	hold    string // the endpoint or root field that does not answer
	held    chan struct{}
}

func newRollup(t testing.TB) *rollup {
	t.Helper()
	r := &rollup{
		calls:   make(map[string]int),
		replies: make(map[string]reply),
		claims: map[string]any{
			"name": "Alice", "email": "alice@example.com", "picture": "https://img.example/a.png",
			"connected_accounts": []map[string]string{
				{"type": "github", "identifier": "alice"},
				{"type": "eth", "identifier": "0xABCDEF"},
				{"type": "email", "identifier": "hidden@example.com"},
				{"type": "farcaster", "identifier": "alice.fc"},
			},
			"erc_4337": []map[string]any{{"nickname": "Mine", "address": "0x1"}},
		},
		titles: map[string]string{
			"urn:rollupid:account/0xeth": "Savings", "urn:rollupid:account/0xgithub": "Code",
		},
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *rollup) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	var asked struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	name := strings.TrimPrefix(req.URL.Path, "/")
	roots := []root{{name: name, alias: name}}
	if name == "graphql" {
		_ = json.NewDecoder(req.Body).Decode(&asked)
		roots = readRoots(asked.Query, asked.Variables)
		r.calls[name]++
	}
	for _, root := range roots {
		r.calls[root.name]++
	}
	access := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	for _, root := range roots {
		if root.name == r.hold {
			close(r.held)
			<-req.Context().Done()
			return
		}
		if canned, ok := r.replies[root.name]; ok {
			if canned.retryAfter != "" {
				w.Header().Set("Retry-After", canned.retryAfter)
			}
			w.WriteHeader(canned.status)
			_, _ = w.Write([]byte(strings.ReplaceAll(canned.body, strconv.Quote(root.name), strconv.Quote(root.alias))))
			return
		}
	}
	if r.refuse != "" && access == r.refuse {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if name != "graphql" {
		_ = json.NewEncoder(w).Encode(r.answer(name, access))
		return
	}
	data := make(map[string]any)
	for _, root := range roots {
		data[root.alias] = r.galaxy(root.name, root.arguments)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// root is a field of a document's root.
type root struct {
	name, alias string
	arguments   map[string]any
}

func readRoots(document string, variables map[string]any) []root {
	parsed, err := parser.ParseQuery(&ast.Source{Input: document})
	if err != nil {
		return []root{{name: err.Error()}}
	}
	var roots []root
	for _, selection := range parsed.Operations[0].SelectionSet {
		f := selection.(*ast.Field)
		arguments := make(map[string]any)
		for _, a := range f.Arguments {
			arguments[a.Name] = variables[a.Value.Raw]
		}
		roots = append(roots, root{f.Name, f.Alias, arguments})
	}
	return roots
}

func (r *rollup) answer(name, access string) any {
	switch name {
	case ".well-known/openid-configuration":
		return map[string]any{
			"issuer": r.url, "authorization_endpoint": r.url + "/authorize", "token_endpoint": r.url + "/token",
			"userinfo_endpoint": r.url + "/userinfo", "jwks_uri": r.url + "/jwks",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
		}
	case "token":
		return map[string]any{"access_token": "refreshed-access", "token_type": "Bearer", "expires_in": 3600}
	case "userinfo":
		claims := maps.Clone(r.claims)
		claims["sub"] = alice
		if strings.Contains(access, bob) {
			claims = map[string]any{"sub": bob, "name": "Bob"}
		}
		return claims
	}
	return nil
}

func (r *rollup) galaxy(name string, arguments map[string]any) any {
	urn, _ := arguments["accountURN"].(string)
	switch name {
	case "profile":
		return map[string]any{"displayName": fmt.Sprint("Profile of ", arguments["targetIdentityURN"]), "pfp": map[string]any{
			"__typename": "NFTPFP", "image": "https://img.example/n.png", "isToken": true,
		}}
	case "connectedAccounts":
		node := func(urn, alias, kind string) any {
			return map[string]any{"baseUrn": urn, "qc": map[string]any{"alias": alias}, "rc": map[string]any{"addr_type": kind}}
		}
		return []any{
			node("urn:rollupid:account/0xeth", "0xabcdef", "eth"),
			node("urn:rollupid:account/0xgithub", "alice", "github"),
			node("urn:rollupid:account/0xprivate", "not-shared", "discord"),
		}
	case "accountProfiles":
		var cards []any
		for _, u := range arguments["accountURNList"].([]any) {
			cards = append(cards, map[string]any{"id": u, "title": r.titles[u.(string)], "icon": "https://img.example/i.png"})
		}
		return cards
	case "authorizedApps":
		return []any{map[string]any{"clientId": "app", "title": "App", "icon": "https://img.example/app.png", "timestamp": 1.7e12}, nil}
	case "getExternalAppData":
		return r.appData
	case "setExternalAppData":
		r.appData = arguments["payload"]
	case "updateAccountNickname":
		r.titles[urn], _ = arguments["nickname"].(string)
	case "registerSessionKey":
		return "key for " + arguments["smartContractWalletAccount"].(string)
	}
	return true
}

// count is how often the endpoint or root field was asked.
func (r *rollup) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[name]
}

// asked is how often anything but discovery was.
func (r *rollup) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := 0
	for name, n := range r.calls {
		if name != ".well-known/openid-configuration" {
			sum += n
		}
	}
	return sum
}

func (r *rollup) set(name string, canned reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replies[name] = canned
}
