package redis

import (
	"context"
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
		interval: int64(math.Ceil(float64(time.Minute.Microseconds()) / float64(perMinute))),
		script:   goredis.NewScript(takeOrEmpty),
	}
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
	var wait int64
	err := b.client.call(ctx, func(ctx context.Context) (err error) {
		wait, err = b.script.Run(ctx, b.client.redis, []string{b.key}, b.interval, b.size, pause).Int64()
		return err
	})
	return time.Duration(wait) * time.Microsecond, err
}
