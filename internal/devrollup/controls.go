package devrollup

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxBody is how many bytes of a request's body are read.
const maxBody = 1 << 20

// Controls are what a test holds in its hands: switches, counters, and the
// record of secrets. Safe for concurrent use.
type Controls struct {
	mu       sync.Mutex
	switches Switches
	changed  chan struct{} // closed and replaced whenever the switches are set
	counters map[string]int
	issued   []string
}

func newControls() *Controls {
	return &Controls{
		switches: Switches{}.clone(),
		changed:  make(chan struct{}),
		counters: map[string]int{},
	}
}

// Set changes the switches, and lets calls go on that hang at an endpoint which
// no longer has such a fault. The change must not call the Controls.
func (c *Controls) Set(change func(*Switches)) {
	_ = c.trySet(func(s *Switches) error {
		change(s)
		return nil
	})
}

// trySet changes the switches unless change returns an error, which it returns.
func (c *Controls) trySet(change func(*Switches) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.switches.clone()
	if err := change(&next); err != nil {
		return err
	}
	c.switches = next.clone()
	maps.DeleteFunc(c.switches.Faults, func(_ Endpoint, f Fault) bool { return f == Fault{} })
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// Switches returns the switches as they stand; faults count down.
func (c *Controls) Switches() Switches {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.switches.clone()
}

// Counters returns the calls so far by endpoint; see the package's comment for
// their names.
func (c *Controls) Counters() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counters)
}

// ResetCounters sets all counters to zero.
func (c *Controls) ResetCounters() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.counters)
}

// Issued returns every code, token and sign-in cookie that was ever issued, so
// that a test can search for leaks.
func (c *Controls) Issued() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.issued)
}

func (c *Controls) recordIssued(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued = append(c.issued, value)
}

// arrive counts a call and takes the fault that strikes it, if any, with the
// channel that tells of the next change of the switches.
func (c *Controls) arrive(endpoint Endpoint, counter string) (Fault, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counters[counter]++
	fault := c.switches.Faults[endpoint]
	switch fault.Times {
	case 0:
	case 1:
		delete(c.switches.Faults, endpoint)
	default:
		left := fault
		left.Times--
		c.switches.Faults[endpoint] = left
	}
	return fault, c.changed
}

// endpoint wraps a handler in the counters and faults of its endpoint. The body
// is read first: a server notices that its client went away only after that.
func (c *Controls) endpoint(name Endpoint, counter func(*http.Request) string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		key := string(name)
		if counter != nil {
			key = counter(r)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		fault, changed := c.arrive(name, key)
		if fault.Delay > 0 && !wait(r.Context(), time.Duration(fault.Delay)) {
			panic(http.ErrAbortHandler)
		}
		if fault.Late {
			next(discarded{header: http.Header{}}, r)
		}
		if fault.Hang {
			c.hang(r.Context(), name, changed)
		}
		fault.end(w, r, next)
	})
}

// end answers the call as the fault says, or lets it be answered.
func (f Fault) end(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	switch {
	case f.Reset:
		reset(w)
	case f.Status != 0:
		f.answer(w)
	case f.Late:
		panic(http.ErrAbortHandler)
	default:
		next(w, r)
	}
}

// hang returns when the endpoint no longer has a fault that hangs. Where the
// client goes away first, it ends the handler.
func (c *Controls) hang(ctx context.Context, name Endpoint, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		case <-changed:
		}
		c.mu.Lock()
		hangs := c.switches.Faults[name].Hang
		changed = c.changed
		c.mu.Unlock()
		if !hangs {
			return
		}
	}
}

// wait waits and reports whether the context outlived it.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reset closes the connection so that its client sees a reset, where TCP and
// HTTP/1 allow it, and an unexpected end otherwise.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// discarded is a ResponseWriter that nobody reads.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}
