package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Bucket is a token bucket of all replicas, by Redis's clock. It is a
// budget.Shared.
type Bucket struct {
	client   *Client
	key      string
	size     int64
	interval int64 // between two tokens, in microseconds
	script   *goredis.Script
}

// takeOrEmpty takes a token where pause is negative, else every one. The state is
// when the bucket will be full, if nothing more is taken, in microseconds: it holds
// a token less for each interval that this is ahead. A full bucket is not kept.
const takeOrEmpty = `
local interval, size, pause = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if pause < 0 then
  local wait = full - (size - 1) * interval - now
  if wait > 0 then return wait end
  full = full + interval
else
  full = math.max(full, now + pause + (size - 1) * interval)
end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.floor((full - now) / 1000) + 1)
return 0
`

// Bucket returns the bucket of that name, of as many tokens as a minute brings,
// of which there must be some. Those who share it must agree on their number.
func (c *Client) Bucket(name string, perMinute int) *Bucket {
	return &Bucket{
		client:   c,
		key:      prefix + "bucket:" + name,
		size:     int64(perMinute),
		interval: interval(perMinute),
		script:   goredis.NewScript(takeOrEmpty),
	}
}

// Counter counts what callers use of an allowance that all replicas share, by Redis's
// clock. It is an httpserver.Shared.
type Counter struct {
	client   *Client
	size     int64
	interval int64 // in which an allowance grows by one, in microseconds
	script   *goredis.Script
}

// countAll is takeOrEmpty for what has been taken already: it may take more than there
// is.
const countAll = `
local interval, size, n = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + n * interval
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.floor((full - now) / 1000) + 1)
return math.max(full - (size - 1) * interval - now, 0)
`

// Counter returns a counter of allowances of that many a minute, of which there must be
// some. Those who share them must agree on their number.
func (c *Client) Counter(perMinute int) *Counter {
	return &Counter{
		client: c, size: int64(perMinute), interval: interval(perMinute), script: goredis.NewScript(countAll),
	}
}

// Count counts n requests of the caller, and returns how long it is until there may be
// another; 0 where there may be one now. Redis is not told who the caller is.
func (c *Counter) Count(ctx context.Context, caller string, n int) (time.Duration, error) {
	sum := sha256.Sum256([]byte(caller))
	key := prefix + "rate:" + base64.RawURLEncoding.EncodeToString(sum[:16])
	return c.client.wait(ctx, c.script, key, c.interval, c.size, int64(n))
}

// interval is the time between two of so many a minute, in microseconds.
func interval(perMinute int) int64 {
	return int64(math.Ceil(float64(time.Minute.Microseconds()) / float64(perMinute)))
}

// Take takes a token and returns 0, or takes none and returns how long it is until
// there is one.
func (b *Bucket) Take(ctx context.Context) (time.Duration, error) { return b.run(ctx, -1) }

// Empty takes every token that there is, and lets none be taken before the pause
// is over.
func (b *Bucket) Empty(ctx context.Context, pause time.Duration) error {
	_, err := b.run(ctx, max(pause, 0).Microseconds())
	return err
}

func (b *Bucket) run(ctx context.Context, pause int64) (time.Duration, error) {
	return b.client.wait(ctx, b.script, b.key, b.interval, b.size, pause)
}

// wait runs a script that returns how long to wait, in microseconds.
func (c *Client) wait(ctx context.Context, script *goredis.Script, key string, args ...any) (time.Duration, error) {
	var wait int64
	err := c.call(ctx, func(ctx context.Context) (err error) {
		wait, err = script.Run(ctx, c.redis, []string{key}, args...).Int64()
		return err
	})
	return time.Duration(wait) * time.Microsecond, err
}
