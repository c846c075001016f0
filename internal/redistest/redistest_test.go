package redistest_test

import (
	"net"
	"strings"
	"testing"

	"galaxygate/internal/redistest"
)

// accepts reports whether the server takes a connection.
func accepts(t *testing.T, s *redistest.Server) bool {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", strings.TrimPrefix(s.URL, "unix://"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func TestAServerMayBeStoppedAndStartedAgain(t *testing.T) {
	t.Parallel()
	server, other := redistest.NewServer(t), redistest.NewServer(t)
	if !accepts(t, server) {
		t.Error("a new server is away")
	}
	server.Stop()
	if accepts(t, server) || !accepts(t, other) {
		t.Error("a stopped server is there, or another one is away")
	}
	server.Start()
	if !accepts(t, server) {
		t.Error("a server that was started again is away")
	}
}
