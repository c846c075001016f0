package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"galaxygate/internal/budget"
	"galaxygate/internal/grant"
	"galaxygate/internal/plan"
	"galaxygate/internal/secret"
)

// Limits of one request to Galaxy.
const (
	galaxyTimeout  = 10 * time.Second
	maxGalaxyReply = 8 << 20
)

// GalaxyConfig says where Galaxy is and how to ask it.
type GalaxyConfig struct {
	URL    string // of the GraphQL endpoint
	APIKey secret.Text
	Now    func() time.Time
	Logger *slog.Logger
	// Observer may be nil.
	Observer Observer
	// Watch returns base with something around each request for such a call,
	// "query" or "mutation"; nil: there is nothing.
	Watch func(call string, base http.RoundTripper) http.RoundTripper
}

// Galaxy is a client of Rollup's GraphQL API. It follows no redirects, which
// would carry the user's token and the API key elsewhere, and so needs nothing of an
// http.Client, whose work for each request it spares.
type Galaxy struct {
	cfg       GalaxyConfig
	transport *http.Transport
	queries   http.RoundTripper // transport, watched
	mutations http.RoundTripper // likewise
	timeout   time.Duration
	guard     *guard
}

// NewGalaxy returns a client with connections of its own.
func NewGalaxy(cfg GalaxyConfig) *Galaxy {
	cfg.Observer = observed(cfg.Observer)
	g := &Galaxy{cfg: cfg, guard: newGalaxyGuard(cfg.Observer), timeout: galaxyTimeout, transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		ForceAttemptHTTP2: true,
		// As many connections stay open as the guard lets be in use: none is closed
		// only to be opened again. More than that it does not let be opened either.
		MaxIdleConns:          maxConcurrent,
		MaxIdleConnsPerHost:   maxConcurrent,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
	}}
	g.queries, g.mutations = g.transport, g.transport
	if cfg.Watch != nil {
		g.queries, g.mutations = cfg.Watch("query", g.transport), cfg.Watch("mutation", g.transport)
	}
	return g
}

// Close closes the connections that are idle.
func (g *Galaxy) Close() { g.transport.CloseIdleConnections() }

// turn is asked before each request that is made, a repeated one too: its error is
// returned instead.
type turn func(context.Context) error

// ask sends the document as the access token's user and decodes the data. Its
// error is an *Error, or ctx's where the caller has left. With a Partial error the
// data is decoded as far as it came.
func (g *Galaxy) ask(
	ctx context.Context, access secret.Text, turn turn, document string, variables map[string]any, data any,
) error {
	body, err := json.Marshal(struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables,omitempty"`
	}{document, variables})
	if err != nil {
		return fmt.Errorf("encode galaxy request: %w", err)
	}
	query, over := true, g.queries
	if strings.HasPrefix(document, "mutation") {
		query, over = false, g.mutations
	}
	return g.guarded(ctx, query, turn, func(ctx context.Context) error {
		return g.post(ctx, over, access, body, func(resp *http.Response, reply []byte) *Error {
			return readData(resp, reply, data, g.cfg.Now(), access, g.cfg.APIKey)
		})
	})
}

// query sends the request for the questions as the access token's user and returns
// an answer for each. Its error is an *Error that concerns them all, or ctx's where
// the caller has left.
func (g *Galaxy) query(
	ctx context.Context, access secret.Text, turn turn, questions []plan.Question,
) (answers []*Answer, err error) {
	body := plan.Request(questions)
	err = g.guarded(ctx, true, turn, func(ctx context.Context) error {
		return g.post(ctx, g.queries, access, body, func(resp *http.Response, reply []byte) (e *Error) {
			answers, e = readAnswers(resp, reply, questions, g.cfg.Now(), access, g.cfg.APIKey)
			return e
		})
	})
	return answers, err
}

// guarded sends once, or where it is a query and has its turn, twice. Where it has
// none for the second time, the first one's error stands.
func (g *Galaxy) guarded(ctx context.Context, query bool, turn turn, send func(context.Context) error) error {
	var first error
	return g.guard.run(ctx, query, func(ctx context.Context) error {
		if err := turn(ctx); err != nil {
			return cmp.Or(first, err)
		}
		first = send(ctx)
		return first
	})
}

// post sends a request and has its reply read. Its error is an *Error, or ctx's
// where the caller has left.
func (g *Galaxy) post(
	ctx context.Context, over http.RoundTripper, access secret.Text, body []byte,
	read func(*http.Response, []byte) *Error,
) error {
	began := g.cfg.Now()
	resp, reply, err := g.send(ctx, over, access, body) //nolint:bodyclose // send has closed it
	var e *Error
	if err == nil {
		if e = read(resp, reply); e != nil {
			err = e
		}
	}
	took := g.cfg.Now().Sub(began)
	g.cfg.Observer.Asked(galaxyName, outcomeOf(err), took)
	switch {
	case err == nil:
		g.cfg.Logger.DebugContext(ctx, "galaxy asked", "took", took)
		return nil
	case !errors.As(err, &e):
		return err
	case e.Kind == OperatorFault:
		g.cfg.Logger.ErrorContext(ctx, "galaxy refuses the gateway: check GALAXY_API_KEY",
			"alarm", true, "status", e.Status, "message", e.Message)
	default:
		g.cfg.Logger.WarnContext(ctx, "galaxy failed",
			"kind", e.Kind, "status", e.Status, "message", e.Message, "retry_after", e.RetryAfter, "took", took)
	}
	return e
}

// send returns the response and its whole body.
func (g *Galaxy) send(
	ctx context.Context, over http.RoundTripper, access secret.Text, body []byte,
) (*http.Response, []byte, error) {
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPost, g.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make galaxy request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+access.Reveal())
	req.Header.Set("X-GALAXY-KEY", g.cfg.APIKey.Reveal())
	resp, err := over.RoundTrip(req)
	if err != nil {
		return nil, nil, unanswered(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := readAll(resp)
	switch {
	case err != nil:
		return nil, nil, unanswered(ctx, err)
	case len(reply) > maxGalaxyReply:
		return nil, nil, &Error{Kind: Unavailable, Status: resp.StatusCode, Message: "The answer is too large.", long: true}
	}
	return resp, reply, nil
}

// readAll returns the body, or one byte more than it may have.
func readAll(resp *http.Response) ([]byte, error) {
	var body bytes.Buffer
	if resp.ContentLength > 0 {
		body.Grow(int(min(resp.ContentLength, maxGalaxyReply)) + bytes.MinRead) // which ReadFrom wants to have left
	}
	_, err := body.ReadFrom(io.LimitReader(resp.Body, maxGalaxyReply+1))
	return body.Bytes(), err
}

// unanswered is what becomes of a request without a whole answer: the caller
// has left, or Galaxy is away, also where it kept the caller until the time was
// up. The cause is not quoted.
func unanswered(ctx context.Context, cause error) error {
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ask galaxy: %w", err)
	}
	var timeout net.Error
	late := errors.As(cause, &timeout) && timeout.Timeout()
	return &Error{Kind: Unavailable, Message: "No answer came.", late: late}
}

// AppRevoker takes an application's authorization back at Galaxy. It is a
// grant.Revoker for providers without RFC 7009.
type AppRevoker struct {
	Galaxy   *Galaxy
	ClientID string         // the application's, at the provider
	Budget   *budget.Budget // of requests to Galaxy
}

// revocations are the user of the budget that all of them are: theirs have no
// session any more.
const revocations = "revocations"

// Revoke revokes the authorization of the access token's user, and with it
// every token of theirs; the refresh token is not needed. It reports whether
// Galaxy confirmed it; false and nil without an access token. Its error is a
// *grant.Failure, which wraps grant.ErrTokenRejected where that is so.
func (r AppRevoker) Revoke(ctx context.Context, access, _ secret.Text) (bool, error) {
	if access.IsZero() {
		return false, nil
	}
	var data struct {
		Revoked bool `json:"revokeAppAuthorization"`
	}
	turn := func(ctx context.Context) error { return turnIn(ctx, r.Budget, revocations, 0) } // it is tried again
	err := r.Galaxy.ask(ctx, access, turn, revokeAppDocument, map[string]any{"clientId": r.ClientID}, &data)
	if err == nil && !data.Revoked {
		err = &Error{Kind: Failed, Message: "Galaxy did not say that it is done."}
	}
	heed(r.Budget, err) //nolint:contextcheck // it is emptied for all
	if err != nil {
		return false, failure(err)
	}
	return true, nil
}

// failure is the error of ask in the domain's words.
func failure(err error) *grant.Failure {
	f := &grant.Failure{Kind: grant.Later, Reason: "timeout", Err: err}
	if e := (*Error)(nil); errors.As(err, &e) {
		f.Reason, f.Message, f.Status, f.RetryAfter = "galaxy_"+string(e.Kind), e.Message, e.Status, e.RetryAfter
		if e.Kind == OperatorFault {
			f.Kind = grant.OperatorFault
		}
	}
	return f
}
