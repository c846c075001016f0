package graphqlhttp

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"galaxygate/internal/errcode"
)

// WebSocket is GraphQL over WebSocket by the protocol graphql-transport-ws. Queries
// and mutations run over it as subscriptions do. It takes every request for an
// upgrade, so add it before the others.
//
// All fields but Closed and those of time are required.
type WebSocket struct {
	// Allowed reports whether pages of the origin may connect. A request without
	// an Origin, which no browser sends, may.
	Allowed func(origin string) bool
	// MaxMessageBytes is how large a message of the client's may be; 0 is no limit.
	MaxMessageBytes int64
	Streams         *Streams
	Callers         Callers
	// Closed is told by which code a connection was closed, by either side (RFC 6455,
	// section 7.4): 1006 where that was without one. It may be nil.
	Closed func(ctx context.Context, code int)

	// InitTimeout is how long the client may take to begin, KeepAlive how often it
	// is asked whether it is still there, PongTimeout how long it may take to
	// answer, WriteTimeout to read what is sent. 0 is what is usual.
	InitTimeout, KeepAlive, PongTimeout, WriteTimeout time.Duration
}

// Callers is what a connection asks about who is calling. All fields are required.
type Callers struct {
	// Authenticate returns the context with the session that the value of an
	// Authorization header carries; as it is where that carries none; or
	// ErrSignedOut where the session is not live. Any other error means that it
	// cannot be looked up now.
	Authenticate func(ctx context.Context, authorization string) (context.Context, error)
	// Confirm returns nil where the context's session, if there is one, is live;
	// ErrSignedOut where it has ended. Any other error is as Authenticate's.
	Confirm func(context.Context) error
	// Ended is closed when the context's session has ended; it may be nil.
	Ended func(context.Context) <-chan struct{}
	// Admit counts an operation, and returns why there may be none now, or nil.
	Admit func(context.Context) *Refusal
}

// What is usual.
const (
	initTimeout = 5 * time.Second
	keepAlive   = 25 * time.Second // below the idle timeouts of proxies
	pongTimeout = 10 * time.Second
)

var _ graphql.Transport = WebSocket{}

// Supports implements graphql.Transport.
func (WebSocket) Supports(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ProtoMinor >= 1 && hasToken(r.Header, "Upgrade", "websocket")
}

// Do implements graphql.Transport.
func (t WebSocket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	refusal := t.refusal(w, r)
	if refusal == nil {
		refusal = t.Streams.hold(r.Context(), OverWebSocket, func(s *stream) { t.serve(w, r, exec, s) })
	}
	if refusal != nil {
		Refuse(w, r, *refusal)
	}
}

// refusal is why the connection is not upgraded. What the library would say of the
// same quotes headers.
func (t WebSocket) refusal(w http.ResponseWriter, r *http.Request) *Refusal {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key")))
	origins := r.Header.Values("Origin")
	switch {
	case r.Method != http.MethodGet:
		return notAllowed(w, "GET", "A WebSocket is opened by GET.")
	case !hasToken(r.Header, "Connection", "upgrade"):
		return badRequest("The header Connection must have the option Upgrade.")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return &Refusal{Status: http.StatusUpgradeRequired, Code: errcode.BadUserInput, Message: "The version of WebSocket must be 13."}
	case err != nil || len(key) != 16 || len(r.Header.Values("Sec-WebSocket-Key")) != 1:
		return badRequest("The header Sec-WebSocket-Key must be 16 bytes in base64.")
	case len(origins) > 1, len(origins) == 1 && !t.Allowed(origins[0]):
		return &Refusal{Status: http.StatusForbidden, Code: errcode.Forbidden, Message: "This origin may not open a WebSocket."}
	}
	return nil
}

// hasToken reports whether the header lists the token, in whichever case.
func hasToken(h http.Header, name, token string) bool {
	for one := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		if strings.EqualFold(strings.TrimSpace(one), token) {
			return true
		}
	}
	return false
}

// serve upgrades the connection, and returns when it has ended.
func (t WebSocket) serve(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, s *stream) {
	taken := &hijacked{ResponseWriter: w}
	socket, err := websocket.Accept(taken, r, &websocket.AcceptOptions{
		// The older one is accepted to be refused: a browser is told no close code
		// unless a subprotocol of its own was chosen.
		Subprotocols: []string{subprotocol, legacySubprotocol},
		// Compression would tell the length of secrets beside chosen text, and costs
		// memory for each connection.
		CompressionMode:    websocket.CompressionDisabled,
		InsecureSkipVerify: true, // Allowed was asked
	})
	if err != nil {
		return // the library has answered
	}
	limit := t.MaxMessageBytes
	if limit <= 0 {
		limit = -1
	}
	socket.SetReadLimit(limit)
	c := &connection{
		settings:     t.withDefaults(),
		exec:         exec,
		header:       r.Header,
		stream:       s,
		socket:       socket,
		network:      taken.conn,
		acknowledged: make(chan (<-chan struct{}), 1),
		signedOut:    make(chan struct{}),
		operations:   make(map[string]*operation),
	}
	// The request's own context may end, or not, with what a hijacked connection
	// does.
	c.serve(context.WithoutCancel(r.Context()))
}

func (t WebSocket) withDefaults() WebSocket {
	t.InitTimeout = cmp.Or(t.InitTimeout, initTimeout)
	t.KeepAlive = cmp.Or(t.KeepAlive, keepAlive)
	t.PongTimeout = cmp.Or(t.PongTimeout, pongTimeout)
	t.WriteTimeout = cmp.Or(t.WriteTimeout, writeTimeout)
	return t
}

// hijacked remembers the connection that was taken over, for the deadlines that the
// library does not keep.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = conn
	return conn, buffered, err
}
