package store

import (
	"context"
	"net"
	"time"
)

// answerLimit is how long a PostgreSQL that is connected may be silent. A
// context's end alone does not free the caller of a server that hangs: the driver
// goes on reading.
const answerLimit = 10 * time.Second

// patient dials connections whose every read and write ends after answerLimit.
type patient struct{ net.Dialer }

// Dial implements pq.Dialer.
func (d patient) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, answerLimit)
}

// DialTimeout implements pq.Dialer.
func (d patient) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// DialContext implements pq.DialerContext.
func (d patient) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return limited{conn}, nil
}

// limited is a connection whose peer must not be silent for longer than
// answerLimit.
type limited struct{ net.Conn }

// Read implements net.Conn.
func (c limited) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c limited) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
