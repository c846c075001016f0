package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"galaxygate/internal/secret"
)

const (
	// defaultLimit bounds each call.
	defaultLimit = 100 * time.Millisecond
	// prefix begins every key.
	prefix = "galaxygate:"
)

// errURL quotes nothing: the URL may hold a password.
var errURL = errors.New("must be redis://user:password@host:port/database, rediss://… or unix:///path")

// Sealer seals what is stored. *vault.Vault does.
type Sealer interface {
	// SealValue returns the value encrypted, to be kept under that key.
	SealValue(value []byte, key string) ([]byte, error)
	// OpenValue returns the value that was sealed for that key, or an error.
	OpenValue(sealed []byte, key string) ([]byte, error)
}

// Config says where Redis is.
type Config struct {
	URL    secret.Text // redis://, rediss:// or unix://; it may hold a password
	Sealer Sealer
	// Limit bounds each call, the opening of a connection included; 100 ms where
	// it is 0.
	Limit time.Duration
	// Observe is told when Redis is away, and when it is back; it may be nil.
	Observe func(away bool)
	Now     func() time.Time
	Logger  *slog.Logger
}

// Client is a client of one Redis server. It is safe for concurrent use. Its
// errors mean that Redis was of no use, and are retry.ErrLater, or ctx's; they
// quote neither the address nor a password.
//
// After a failure Redis is left alone for a second, in which every call fails at
// once, and then tried in the background, where nobody waits for it.
type Client struct {
	cfg   Config
	redis *goredis.Client
	state state
}

// Open returns a client, and an error where the URL is not one. It does not
// connect: Redis may be away.
func Open(cfg Config) (*Client, error) {
	if cfg.Limit == 0 {
		cfg.Limit = defaultLimit
	}
	if cfg.Observe == nil {
		cfg.Observe = func(bool) {}
	}
	options, err := parse(cfg.URL, cfg.Limit)
	if err != nil {
		return nil, err
	}
	logging.Disable() // it prints addresses, to standard error
	return &Client{cfg: cfg, redis: goredis.NewClient(options)}, nil
}

// CheckURL says whether Open takes the URL.
func CheckURL(url secret.Text) error {
	_, err := parse(url, defaultLimit)
	return err
}

// parse returns the options that the URL names, and those of a client that is
// rather without Redis than late.
func parse(url secret.Text, limit time.Duration) (*goredis.Options, error) {
	o, err := goredis.ParseURL(url.Reveal())
	if err != nil {
		return nil, errURL // the parser's error quotes the URL
	}
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = limit, limit, limit, limit
	o.ContextTimeoutEnabled = true
	// What the protocol's newer version brings is of no use here.
	o.Protocol, o.DisableIdentity, o.PipelinePoolSize = 2, true, -1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// Close ends what is tried in the background, and closes the connections.
func (c *Client) Close() error {
	c.state.mu.Lock()
	c.state.closed = true
	c.state.mu.Unlock()
	err := c.redis.Close()
	c.state.tries.Wait()
	if err != nil {
		return fmt.Errorf("close redis: %s", reason(err))
	}
	return nil
}

// Get returns the values of those keys that are there, in the order of the keys;
// the others are nil. A value that does not open is not there.
func (c *Client) Get(ctx context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	if len(keys) == 0 {
		return values, nil
	}
	places := make([]string, len(keys))
	for i, key := range keys {
		places[i] = answerKey(key)
	}
	var found []any
	err := c.call(ctx, func(ctx context.Context) (err error) {
		found, err = c.redis.MGet(ctx, places...).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, sealed := range found {
		if text, ok := sealed.(string); ok {
			values[i] = c.open(text, places[i])
		}
	}
	return values, nil
}

// open returns nil for a value that does not open. What opens is never nil.
func (c *Client) open(sealed, place string) []byte {
	value, err := c.cfg.Sealer.OpenValue([]byte(sealed), place)
	switch {
	case err != nil:
		return nil
	case value == nil:
		return []byte{}
	}
	return value
}

// Set keeps the values by their keys for that long, sealed.
func (c *Client) Set(ctx context.Context, values map[string][]byte, life time.Duration) error {
	if len(values) == 0 || life <= 0 {
		return nil
	}
	sealed := make(map[string][]byte, len(values))
	for key, value := range values {
		place := answerKey(key)
		var err error
		if sealed[place], err = c.cfg.Sealer.SealValue(value, place); err != nil {
			return err
		}
	}
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.redis.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for place, value := range sealed {
				pipe.Set(ctx, place, value, life)
			}
			return nil
		})
		return err
	})
}

func answerKey(key string) string { return prefix + "answer:" + key }

// reason says in a word what went wrong, as the client's errors name addresses.
func reason(err error) string {
	var answer goredis.Error
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &answer):
		code, _, _ := strings.Cut(answer.Error(), " ") // NOAUTH, OOM, READONLY, …
		return secret.Scrub(code)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, goredis.ErrClosed):
		return "client_closed"
	default:
		return "connection_failed"
	}
}
