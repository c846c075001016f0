package graphqlhttp

import (
	"context"
	"net/http"
	"sync"
	"time"

	"galaxygate/internal/background"
	"galaxygate/internal/errcode"
)

// The transports whose streams are counted.
const (
	OverWebSocket = "websocket"
	OverEvents    = "events"
)

// StreamLimits says how much may be open at once: WebSocket connections, and
// subscriptions by server-sent events. 0 is no limit.
type StreamLimits struct {
	All       int
	PerCaller int
	// Caller names whose stream the context's is. It is required.
	Caller func(context.Context) string
}

// Streams knows what is open, whatever the transport, and ends it when the process
// stops. It is safe for concurrent use.
type Streams struct {
	limits  StreamLimits
	running background.Group
	closing chan struct{} // closed when the process stops

	mu       sync.Mutex
	closed   bool
	patience time.Duration
	all      map[string]int // by transport
	callers  map[string]int
}

// NewStreams returns a Streams of which nothing is open.
func NewStreams(limits StreamLimits) *Streams {
	return &Streams{
		limits:  limits,
		closing: make(chan struct{}),
		all:     make(map[string]int),
		callers: make(map[string]int),
	}
}

// Open returns how many streams of that transport are open.
func (s *Streams) Open(transport string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[transport]
}

// Close ends every stream so that its client comes back to another process, and
// refuses new ones from then on. It returns when all have ended, or with ctx's error
// where that ends before.
func (s *Streams) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if deadline, ok := ctx.Deadline(); ok {
			s.patience = time.Until(deadline) / 2
		}
		close(s.closing)
	}
	s.mu.Unlock()
	return s.running.Wait(ctx)
}

// hold runs f as the context's caller's stream, and returns when f does; or it
// returns why there may be no such stream.
func (s *Streams) hold(ctx context.Context, transport string, f func(*stream)) (refusal *Refusal) {
	s.running.Do(func() {
		one := &stream{streams: s, transport: transport, caller: s.limits.Caller(ctx)}
		if refusal = one.admit(); refusal != nil {
			return
		}
		defer one.release()
		f(one)
	})
	return refusal
}

// stream is one that is open.
type stream struct {
	streams   *Streams
	transport string
	caller    string
}

// admit counts the stream, or says why it may not be open.
func (o *stream) admit() *Refusal {
	s := o.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	open := 0
	for _, n := range s.all {
		open += n
	}
	switch {
	case s.closed:
		return &Refusal{
			Status: http.StatusServiceUnavailable, Code: errcode.Internal, Message: "The service is stopping.", RetryAfter: time.Second,
		}
	case s.limits.All > 0 && open >= s.limits.All:
		return &Refusal{
			Status: http.StatusServiceUnavailable, Code: errcode.Internal, Message: "Too many streams are open.", RetryAfter: streamRetry,
		}
	case s.full(o.caller):
		return &Refusal{
			Status: http.StatusTooManyRequests, Code: errcode.RateLimited, Message: "You have too many streams open.", RetryAfter: streamRetry,
		}
	}
	s.all[o.transport]++
	s.callers[o.caller]++
	return nil
}

// streamRetry is when it is worth asking for a stream again. Nobody knows when
// another one will be closed.
const streamRetry = 10 * time.Second

// full reports whether the caller may open no other stream.
func (s *Streams) full(caller string) bool {
	return s.limits.PerCaller > 0 && s.callers[caller] >= s.limits.PerCaller
}

// become counts the stream for the context's caller from now on, and reports whether
// that one may have another.
func (o *stream) become(ctx context.Context) bool {
	s, caller := o.streams, o.streams.limits.Caller(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if caller == o.caller {
		return true
	}
	if s.full(caller) {
		return false
	}
	s.leave(o.caller)
	o.caller = caller
	s.callers[caller]++
	return true
}

func (o *stream) release() {
	s := o.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[o.transport]--
	s.leave(o.caller)
}

// leave forgets one stream of the caller's.
func (s *Streams) leave(caller string) {
	if s.callers[caller]--; s.callers[caller] == 0 {
		delete(s.callers, caller)
	}
}

// ending is closed when the process stops.
func (o *stream) ending() <-chan struct{} { return o.streams.closing }

// patience is, once ending is closed, how long what ends by itself may take to.
func (o *stream) patience() time.Duration {
	o.streams.mu.Lock()
	defer o.streams.mu.Unlock()
	return o.streams.patience
}
