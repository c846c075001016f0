package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"
)

// connections is how many ask at once, each as soon as it has been answered.
const connections = 16

// target is what a connection sends, again and again, and to whom.
type target struct {
	address  string
	requests [][]byte // one for each connection
	size     int64    // of the body of a right answer
}

// newTarget returns the target of a query by POST, as one user on each connection,
// once each has been answered rightly, and the last answer.
func newTarget(ctx context.Context, address, query string, users []http.Header) (*target, []byte, error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	t, answer := &target{address: u.Host}, []byte(nil)
	for _, user := range users {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(req.Header, user)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		var request bytes.Buffer
		if err := req.Write(&request); err != nil {
			return nil, nil, err
		}
		if answer, err = t.once(ctx, request.Bytes()); err != nil {
			return nil, nil, err
		}
		t.requests = append(t.requests, request.Bytes())
	}
	t.size = int64(len(answer))
	return t, answer, nil
}

// once asks once and returns the answer, which must be data without an error or a
// null.
func (t *target) once(ctx context.Context, request []byte) ([]byte, error) {
	c, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var answer bytes.Buffer
	if err := c.ask(t, request, &answer); err != nil {
		return nil, fmt.Errorf("%w: %s", err, excerpt(answer.Bytes()))
	}
	var parsed struct {
		Data   any               `json:"data"`
		Errors []json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(answer.Bytes(), &parsed); err != nil {
		return nil, fmt.Errorf("%w: %s", err, excerpt(answer.Bytes()))
	}
	if len(parsed.Errors) > 0 || lacking(parsed.Data) {
		return nil, fmt.Errorf("not the whole answer: %s", excerpt(answer.Bytes()))
	}
	return answer.Bytes(), nil
}

// lacking reports whether there is a null in the value.
func lacking(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		for _, member := range v {
			if lacking(member) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if lacking(item) {
				return true
			}
		}
	}
	return false
}

func excerpt(b []byte) []byte { return b[:min(len(b), 400)] }

// client is one connection. It ends with the context that it was dialled in.
type client struct {
	net.Conn
	reader *bufio.Reader
	stop   func() bool
}

func (t *target) dial(ctx context.Context) (*client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	return &client{
		Conn: conn, reader: bufio.NewReaderSize(conn, 64<<10),
		stop: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}, nil
}

func (c *client) close() {
	c.stop()
	_ = c.Close()
}

// ask sends the request and reads the answer into w.
func (c *client) ask(t *target, request []byte, w io.Writer) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(w, resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status)
	case t.size != 0 && n != t.size:
		return fmt.Errorf("an answer of %d bytes, and not of %d", n, t.size)
	}
	return nil
}

// load is as many connections to one target.
type load struct {
	target  *target
	clients []*client
}

// connect opens the connections, which must be closed.
func connect(ctx context.Context, t *target) (*load, error) {
	l := &load{target: t}
	for range connections {
		c, err := t.dial(ctx)
		if err != nil {
			l.close()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.clients {
		c.close()
	}
}

// run asks on every connection for that long, and returns how many answers came
// and how long it took until the last one. Any wrong answer is an error.
func (l *load) run(long time.Duration) (requests int, took time.Duration, err error) {
	type done struct {
		requests int
		err      error
	}
	ended := make(chan done)
	began := time.Now()
	for i, c := range l.clients {
		request := l.target.requests[i%len(l.target.requests)]
		go func() {
			var d done
			for d.err == nil && time.Since(began) < long {
				d.err = c.ask(l.target, request, io.Discard)
				d.requests++
			}
			ended <- d
		}()
	}
	for range l.clients {
		d := <-ended
		requests += d.requests
		err = cmp.Or(err, d.err)
	}
	return requests, time.Since(began), err
}
