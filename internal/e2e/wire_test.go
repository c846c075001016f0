package e2e_test

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// fault is something that happens to the connections to one part.
type fault struct {
	name   string
	toxics []string // toxiproxy's, which strike connections that are open already as well
	// anew cuts the open connections first: toxiproxy resets only those that are
	// made after.
	anew bool
	// slow says that answers come all the same; silent, that neither they come nor
	// an error.
	slow   bool
	silent bool
	// down refuses connections, and cuts those that are open.
	down bool
}

// faults are those of the matrix. In toxiproxy's words the way to the part is
// upstream and the way back is downstream.
func faults() []fault {
	return []fault{
		{name: "latency", slow: true, toxics: []string{
			`{"type":"latency","stream":"upstream","attributes":{"latency":25,"jitter":10}}`,
			`{"type":"latency","stream":"downstream","attributes":{"latency":25,"jitter":10}}`,
		}},
		{name: "bandwidth", slow: true, toxics: []string{
			`{"type":"bandwidth","stream":"upstream","attributes":{"rate":20}}`,
			`{"type":"bandwidth","stream":"downstream","attributes":{"rate":20}}`,
		}},
		{name: "slow close", slow: true, toxics: []string{
			`{"type":"slow_close","stream":"upstream","attributes":{"delay":2000}}`,
			`{"type":"slow_close","stream":"downstream","attributes":{"delay":2000}}`,
		}},
		{name: "reset", anew: true, toxics: []string{
			`{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
		}},
		{name: "hang", silent: true, toxics: []string{
			`{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
			`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
		}},
		{name: "half-open", silent: true, toxics: []string{
			`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
		}},
		{name: "refused", down: true},
	}
}

func named(t *testing.T, name string) fault {
	t.Helper()
	for _, f := range faults() {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("no fault %s", name)
	return fault{}
}

// wire is the way from a gateway to one part of its world, through a proxy.
type wire struct{ proxy *toxiproxy.Proxy }

func newWire(t *testing.T, name, upstream string) wire {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := wire{toxiproxy.NewProxy(server, name, freeAddress(t), upstream)}
	w.start(t)
	t.Cleanup(w.proxy.Stop)
	return w
}

func (w wire) start(t *testing.T) {
	t.Helper()
	if err := w.proxy.Start(); err != nil {
		t.Fatalf("proxy before %s: %v", w.proxy.Name, err)
	}
}

// strike makes the fault happen until mend is called.
func (w wire) strike(t *testing.T, f fault) {
	t.Helper()
	if f.down || f.anew {
		w.proxy.Stop()
	}
	for _, toxic := range f.toxics {
		if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatalf("%s of %s: %v", f.name, w.proxy.Name, err)
		}
	}
	if f.anew {
		w.start(t)
	}
}

// mend ends every fault. Connections that hung are cut.
func (w wire) mend(t *testing.T) {
	t.Helper()
	w.proxy.Toxics.ResetToxics(t.Context())
	if !w.proxy.Enabled {
		w.start(t)
	}
}

// wires are the ways to all parts of a world, by their names.
type wires map[string]wire

// placed puts a wire before each part.
func (w wires) placed(t *testing.T) placing {
	t.Helper()
	return func(name, address string) string {
		w[name] = newWire(t, name, address)
		return w[name].proxy.Listen
	}
}

// toDatabase puts a wire before the PostgreSQL database at the URL of a Unix
// socket, and returns the URL that goes through it.
func (w wires) toDatabase(t *testing.T, direct string) string {
	t.Helper()
	return w.toDatabaseBy(t, direct, func(from io.Reader) io.Reader { return from })
}

// toDatabaseBy does so, and what the gateway asks passes through the tap.
func (w wires) toDatabaseBy(t *testing.T, direct string, tap func(io.Reader) io.Reader) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	u.Host, u.RawQuery = w.placed(t)(theDatabase, bridge(t, socket, tap)), "sslmode=disable"
	return u.String()
}

// bridge listens on TCP for the server at the Unix socket: toxiproxy knows
// TCP alone.
func bridge(t *testing.T, socket string, tap func(io.Reader) io.Reader) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			go pump(server, tap(client))
			go pump(client, server)
		}
	}()
	return listener.Addr().String()
}

// pump copies until one side is closed, and closes the other.
func pump(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	_, _ = io.Copy(to, from)
}
