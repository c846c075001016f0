package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"galaxygate/internal/budget"
	"galaxygate/internal/redis"
	"galaxygate/internal/redistest"
	"galaxygate/internal/retry"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

var (
	_ budget.Shared = (*redis.Bucket)(nil)
	_ redis.Sealer  = (*vault.Vault)(nil)
)

const canary = "canary-6c1f0e"

func newVault(t *testing.T) *vault.Vault {
	t.Helper()
	keys, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// log is what a client logs.
type log struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

// open returns a client of the server at that URL, and what it logs. The clock may
// be nil. The client has patience, lest it run out of it on a busy machine.
func open(t *testing.T, url string, sealer redis.Sealer, now func() time.Time) (*redis.Client, *log) {
	t.Helper()
	return openWithin(t, 20*time.Second, url, sealer, now)
}

func openWithin(
	t *testing.T, limit time.Duration, url string, sealer redis.Sealer, now func() time.Time,
) (*redis.Client, *log) {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	logged := &log{}
	c, err := redis.Open(redis.Config{
		URL: secret.New(url), Sealer: sealer, Limit: limit, Now: now,
		Observe: func(away bool) { _, _ = fmt.Fprintln(logged, "away:", away) },
		Logger:  slog.New(slog.NewTextHandler(logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, logged
}

// direct is a client that sees what is stored.
func direct(t *testing.T, url string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func set(t *testing.T, c *redis.Client, values map[string][]byte) {
	t.Helper()
	if err := c.Set(t.Context(), values, time.Minute); err != nil {
		t.Fatalf("Set: %v", err)
	}
}

// get returns what Get finds, as one text; what is missing is a dash.
func get(t *testing.T, c *redis.Client, keys ...string) string {
	t.Helper()
	values, err := c.Get(t.Context(), keys)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	texts := make([]string, len(values))
	for i, value := range values {
		if texts[i] = string(value); value == nil {
			texts[i] = "-"
		}
	}
	return strings.Join(texts, " ")
}

func TestReplicasShareAnswers(t *testing.T) {
	t.Parallel()
	server, sealer := redistest.NewServer(t), newVault(t)
	one, _ := open(t, server.URL, sealer, nil)
	other, _ := open(t, server.URL, sealer, nil)
	set(t, one, map[string][]byte{"a": []byte("apple"), "b": []byte("banana"), "empty": {}})
	if got := get(t, other, "b", "missing", "a", "empty"); got != "banana - apple " {
		t.Errorf("got %q", got)
	}
	if got := get(t, other); got != "" {
		t.Errorf("no keys: got %q", got)
	}
	set(t, other, map[string][]byte{"a": []byte("apricot")})
	if got := get(t, one, "a"); got != "apricot" {
		t.Errorf("replaced: got %q", got)
	}
}

func TestAnswersAreAskedForInOneRoundTripAndKeptForAWhile(t *testing.T) {
	t.Parallel()
	server := redistest.NewServer(t)
	c, _ := open(t, server.URL, newVault(t), nil)
	set(t, c, map[string][]byte{"a": []byte("apple"), "b": []byte("banana")})
	get(t, c, "a", "b", "c")
	stored := direct(t, server.URL)
	stats, err := stored.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stats, "cmdstat_mget:calls=1,") || strings.Contains(stats, "cmdstat_get:") {
		t.Errorf("got %s, want one MGET", stats)
	}
	keys, err := stored.Keys(t.Context(), "*answer*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("got %v, %v, want two keys", keys, err)
	}
	for _, key := range keys {
		if life := stored.PTTL(t.Context(), key).Val(); life <= 0 || life > time.Minute {
			t.Errorf("%s: got a life of %v, want a minute", key, life)
		}
	}
}

func TestWhatIsStoredIsSealedForItsKey(t *testing.T) {
	t.Parallel()
	server, sealer := redistest.NewServer(t), newVault(t)
	c, _ := open(t, server.URL, sealer, nil)
	set(t, c, map[string][]byte{"a": []byte(canary), "b": []byte("banana")})
	stored := direct(t, server.URL)
	keys := stored.Keys(t.Context(), "*").Val()
	if len(keys) != 2 {
		t.Fatalf("got %v, want two keys", keys)
	}
	var sealedA string
	for _, key := range keys {
		value := stored.Get(t.Context(), key).Val()
		if strings.Contains(key+value, canary) || value == "" {
			t.Errorf("%s: %q is stored in clear, or nothing is", key, value)
		}
		if strings.HasSuffix(key, "a") {
			sealedA = value
		}
	}
	for _, key := range keys {
		if strings.HasSuffix(key, "b") {
			stored.Set(t.Context(), key, sealedA, 0)
		}
	}
	stored.Set(t.Context(), strings.TrimSuffix(keys[0], keys[0][len(keys[0])-1:])+"c", "damaged", 0)
	if got := get(t, c, "a", "b", "c"); got != canary+" - -" {
		t.Errorf("moved and damaged: got %q, want misses", got)
	}
	other, _ := open(t, server.URL, newVault(t), nil)
	if got := get(t, other, "a"); got != "-" {
		t.Errorf("under another keyset: got %q, want a miss", got)
	}
}

// tick is a clock that only its test moves.
type tick struct {
	mu  sync.Mutex
	now time.Time
}

func (c *tick) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *tick) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestAServerThatComesBackIsUsedAgain(t *testing.T) {
	t.Parallel()
	server, clock := redistest.NewServer(t), &tick{now: time.Now()}
	c, logged := open(t, server.URL, newVault(t), clock.Now)
	bucket := c.Bucket("galaxy", 10)
	set(t, c, map[string][]byte{"a": []byte("apple")})
	if _, err := bucket.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	for range 5 {
		_, err := c.Get(t.Context(), []string{"a"})
		_, taken := bucket.Take(t.Context())
		for _, err := range []error{err, taken, bucket.Empty(t.Context(), time.Second)} {
			if !errors.Is(err, retry.ErrLater) {
				t.Fatalf("got %v, want retry.ErrLater", err)
			}
		}
	}
	server.Start()
	if _, err := c.Get(t.Context(), []string{"a"}); !errors.Is(err, retry.ErrLater) {
		t.Errorf("before it has rested: got %v, want it left alone", err)
	}
	eventually(t, "the server is used again", func() bool {
		clock.advance(time.Second)
		_, err := c.Get(t.Context(), []string{"a"})
		return err == nil
	})
	set(t, c, map[string][]byte{"a": []byte("apricot")})
	if got := get(t, c, "a"); got != "apricot" {
		t.Errorf("got %q", got)
	}
	if wait, err := bucket.Take(t.Context()); err != nil || wait != 0 { // its script was lost
		t.Errorf("got %v, %v, want a token", wait, err)
	}
	text := logged.String()
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 || strings.Contains(text, ".sock") {
		t.Errorf("got %s, want one line for each change, without the address", text)
	}
	if strings.Count(text, "away: true") != 1 || strings.Count(text, "away: false") != 1 {
		t.Errorf("got %s, want the observer told of each change", text)
	}
}

func TestAHungServerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var accepted sync.WaitGroup
	accepted.Go(func() {
		for {
			conn, err := listener.Accept() // and never answers
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	})
	address := listener.Addr().String()
	clock := &tick{now: time.Now()}
	c, logged := openWithin(t, 0, "redis://alice:"+canary+"@"+address+"/1", newVault(t), clock.Now)

	began := time.Now()
	errs := make([]error, 10)
	var first sync.WaitGroup
	for i := range errs {
		first.Go(func() { _, errs[i] = c.Get(t.Context(), []string{"a"}) })
	}
	first.Wait()
	for _, err := range errs {
		if took := time.Since(began); !errors.Is(err, retry.ErrLater) || took > 5*time.Second {
			t.Errorf("the first: got %v after %v, want retry.ErrLater within 100 ms or so", err, took)
		}
	}
	began = time.Now()
	for range 1000 {
		clock.advance(10 * time.Millisecond) // it is tried meanwhile, ten times
		if err := c.Set(t.Context(), map[string][]byte{"a": nil}, time.Minute); !errors.Is(err, retry.ErrLater) {
			t.Fatalf("got %v, want retry.ErrLater", err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a thousand later ones took %v", took)
	}
	text := fmt.Sprint(logged, errs)
	if strings.Contains(text, canary) || strings.Contains(text, address) || strings.Count(text, "level=WARN") != 1 {
		t.Errorf("got %s, want one warning without the address", text)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	accepted.Wait()
}

func TestAServerThatRefusesIsAway(t *testing.T) {
	t.Parallel()
	server, clock := redistest.NewServer(t), &tick{now: time.Now()}
	stored := direct(t, server.URL)
	c, logged := open(t, server.URL, newVault(t), clock.Now)
	stored.ConfigSet(t.Context(), "maxmemory", "1")
	if err := c.Set(t.Context(), map[string][]byte{"a": []byte("apple")}, time.Minute); !errors.Is(err, retry.ErrLater) {
		t.Fatalf("got %v, want retry.ErrLater", err)
	}
	eventually(t, "it is tried by writing, and found to refuse still", func() bool {
		clock.advance(time.Second)
		_, _ = c.Get(t.Context(), []string{"a"})
		stats, err := stored.Info(t.Context(), "commandstats").Result()
		return err == nil && strings.Contains(stats, "cmdstat_set:") && !strings.Contains(stats, "rejected_calls=1,")
	})
	if strings.Contains(logged.String(), "redis is back") {
		t.Errorf("got %s, want it away while it refuses", logged)
	}
	stored.ConfigSet(t.Context(), "maxmemory", "0")
	eventually(t, "the server is used again", func() bool {
		clock.advance(time.Second)
		return c.Set(t.Context(), map[string][]byte{"a": []byte("apple")}, time.Minute) == nil
	})
	if !strings.Contains(logged.String(), "reason=OOM") {
		t.Errorf("got %s, want the server's code", logged)
	}
}

func TestWhoLeavesSaysNothingAboutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.NewServer(t)
	c, logged := open(t, server.URL, newVault(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := get(t, c, "a"); got != "-" || logged.String() != "" {
		t.Errorf("got %q, logged %q", got, logged)
	}
}

func TestOpenDoesNotConnectAndQuotesNothing(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis://localhost", "redis://alice:" + canary + "@redis.example.com:6380/3",
		"rediss://:" + canary + "@redis.example.com", "unix:///run/redis.sock",
	} {
		c, err := redis.Open(redis.Config{URL: secret.New(url), Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{
		"", canary, "http://" + canary, "redis://localhost/" + canary, "redis://" + canary + ":" + canary + "@[",
		"redis://localhost/?pool_size=" + canary,
	} {
		if err := redis.CheckURL(secret.New(url)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v, want an error that quotes nothing", url, err)
		}
	}
}
