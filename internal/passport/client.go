package passport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"galaxygate/internal/background"
	"galaxygate/internal/grant"
	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
)

// The first and the longest wait between two attempts at discovery.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Config says which provider, and as whom.
type Config struct {
	Issuer       string // exactly as the provider writes it: no slash is added or taken away
	ClientID     string
	ClientSecret secret.Text
	RedirectURL  string

	// RequireNonce refuses an ID token without a nonce. One that is there is
	// checked in any case. False only for a provider known not to echo it.
	RequireNonce bool
	// AssumedLife is how long an access token is taken to live whose end neither
	// the reply nor the token tells; 0 means 5 minutes.
	AssumedLife time.Duration
	// RefreshLife is how long a refresh token is taken to live of whose end the
	// provider says nothing; 0: that is unknown.
	RefreshLife time.Duration
	// Timeout ends a request to the provider; 0 means 10 seconds.
	Timeout time.Duration
	// Rediscover is how often, about, the provider is discovered again; 0 means
	// every hour.
	Rediscover time.Duration

	Transport http.RoundTripper // nil: one of the client's own
	// Watch returns base with something around each request for such a call; nil:
	// there is nothing.
	Watch  func(call string, base http.RoundTripper) http.RoundTripper
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Client talks to one OpenID Provider as one confidential client. It is safe
// for concurrent use. Until Run or Discover has discovered the provider, every other method
// fails with a *grant.Failure of kind Later, or with what discovery found wrong.
//
// It follows no redirect, for a 307 from the token endpoint would carry code and
// client secret to another host (RFC 9700, section 4.12), and reads no more than
// 1 MiB of any answer.
type Client struct {
	cfg  Config
	wire http.RoundTripper

	mu       sync.Mutex
	provider *provider
	trouble  *grant.Failure // why there is no provider yet
}

// New returns a client. It does no I/O: that begins with Run.
func New(cfg Config) *Client {
	if cfg.AssumedLife <= 0 {
		cfg.AssumedLife = 5 * time.Minute
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Rediscover <= 0 {
		cfg.Rediscover = time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport(cfg.Timeout)
	}
	return &Client{cfg: cfg, wire: limited{cfg.Transport}, trouble: later("not_discovered")}
}

// Run discovers the provider, and then again and again, because what a provider
// can do changes, until ctx ends. Its only error is Discover's.
func (c *Client) Run(ctx context.Context) error {
	if err := c.Discover(ctx); err != nil {
		return err
	}
	background.Every(ctx, c.cfg.Rediscover, c.rediscover)
	return nil
}

// Discover discovers the provider (OpenID Connect Discovery 1.0, section 4), trying
// again with growing, jittered waits, and returns nil once it has. A provider
// that is away or wrongly configured delays readiness and ends nothing: the only
// error is that of ctx.
func (c *Client) Discover(ctx context.Context) error {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		p, err := c.discover(ctx)
		if err == nil {
			c.adopt(ctx, p)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("discover provider: %w", ctx.Err())
		}
		f := asFailure(err)
		c.settle(nil, f)
		pause := max(retry.Jitter(wait), f.RetryAfter)
		logger := c.cfg.Logger.With("issuer", c.cfg.Issuer,
			"kind", f.Kind, "reason", f.Reason, "message", f.Message, "cause", f.Err, "retry_in", pause)
		if f.Kind == grant.OperatorFault {
			logger.ErrorContext(ctx, "provider not discovered: check ROLLUP_ISSUER", "alarm", true)
		} else {
			logger.WarnContext(ctx, "provider not discovered")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("discover provider: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// rediscover discovers the provider once more. Where that fails, what is known
// stays.
func (c *Client) rediscover(ctx context.Context) {
	p, err := c.discover(ctx)
	if err == nil {
		c.adopt(ctx, p)
		return
	}
	if ctx.Err() == nil {
		f := asFailure(err)
		c.cfg.Logger.WarnContext(ctx, "provider not discovered again: what is known of it stays", "issuer", c.cfg.Issuer,
			"kind", f.Kind, "reason", f.Reason, "message", f.Message, "cause", f.Err)
	}
}

// adopt takes what was discovered, with the keys that are at hand where they are
// still to be read from the same place.
func (c *Client) adopt(ctx context.Context, p *provider) {
	if before, err := c.discovered(); err == nil && before.keysURL == p.keysURL {
		p.keys = before.keys
	}
	c.settle(p, nil)
	c.cfg.Logger.InfoContext(ctx, "provider discovered", "issuer", c.cfg.Issuer,
		"client_auth", p.authMethod, "algorithms", p.algorithms, "revocation", p.revocationURL != "",
		"backchannel_logout", p.logoutTokens)
}

// Ready returns nil once the provider is discovered, else why it is not, in
// words that may be shown.
func (c *Client) Ready() error {
	_, err := c.discovered()
	if err != nil {
		return fmt.Errorf("provider %s is not discovered: %w", c.cfg.Issuer, err)
	}
	return nil
}

func (c *Client) settle(p *provider, trouble *grant.Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.provider, c.trouble = p, trouble
}

func (c *Client) discovered() (*provider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider == nil {
		return nil, c.trouble
	}
	return c.provider, nil
}

// through is the transport for such a call.
func (c *Client) through(call string) http.RoundTripper {
	if c.cfg.Watch == nil {
		return c.wire
	}
	return c.cfg.Watch(call, c.wire)
}

// client returns an HTTP client over the transport, with the rules of Client.
func (c *Client) client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		Timeout:   c.cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// logCall records how a call to the provider went.
func (c *Client) logCall(ctx context.Context, call string, began time.Time, err error) {
	args := []any{"call", call, "duration", c.cfg.Now().Sub(began)}
	switch f := (*grant.Failure)(nil); {
	case errors.As(err, &f):
		args = append(args, "kind", f.Kind, "reason", f.Reason, "status", f.Status)
	case err != nil:
		args = append(args, "reason", "token_rejected")
	}
	c.cfg.Logger.DebugContext(ctx, "provider called", args...)
}

func newTransport(timeout time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64 // one host is all there is, and so many requests it has at once
	t.ResponseHeaderTimeout = timeout
	return t
}

// limited is a transport whose bodies end with errTooLarge after maxReply bytes.
type limited struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: maxReply}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
