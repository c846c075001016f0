package graphqlhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/background"
	"galaxygate/internal/errcode"
)

// The bounds of a connection.
const (
	// maxOperations is how many operations may be under way.
	maxOperations = 100
	// closeLimit is how long the client may take to answer a close.
	closeLimit = 5 * time.Second
	// signOutPatience is how long a query or mutation may go on once its session
	// has ended. It may be what ended it, and then waits for all replicas.
	signOutPatience = 15 * time.Second
)

// connection is a WebSocket connection. It has one reader, and whoever writes holds
// mu. When the context of serve ends, its cause is why the connection is closed.
type connection struct {
	settings WebSocket
	exec     graphql.GraphExecutor
	header   http.Header // of the upgrade
	stream   *stream
	socket   *websocket.Conn
	network  net.Conn // beneath socket

	stop         context.CancelCauseFunc // ends the connection; the first call counts
	late         *time.Timer             // ends it where the client does not begin
	acknowledged chan (<-chan struct{})  // is sent, once, what is closed when the session has ended
	signOut      sync.Once
	signedOut    chan struct{} // closed when an operation found that the session has ended
	running      background.Group

	mu         sync.Mutex // also orders what is written
	leaving    bool       // no operation is begun any more
	operations map[string]*operation
}

// operation is one that is under way under an ID.
type operation struct {
	id     string
	cancel context.CancelFunc
	single bool // a query or a mutation
}

// errGone means that there is nobody to close the connection with.
var errGone = errors.New("the client has gone")

// serve reads messages and answers them, and returns when the connection is closed
// and everything on it has ended.
func (c *connection) serve(ctx context.Context) {
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
	c.late = time.AfterFunc(c.settings.InitTimeout, func() { c.stop(errInitTimeout) })
	defer c.late.Stop()
	var beside sync.WaitGroup
	beside.Go(func() { c.watch(ctx) })
	beside.Go(func() { c.keepAlive(ctx) })
	if c.socket.Subprotocol() == "" || c.socket.Subprotocol() == legacySubprotocol {
		c.stop(errNotAcceptable)
	} else {
		c.stop(c.read(ctx))
	}
	beside.Wait()
	_ = c.running.Wait(context.WithoutCancel(ctx)) // which has no end
}

// watch ends the connection in time, and closes it when ctx ends.
func (c *connection) watch(ctx context.Context) {
	var (
		leaving   sync.WaitGroup
		ended     <-chan struct{}
		signedOut = c.signedOut
		ending    = c.stream.ending()
	)
	for ctx.Err() == nil {
		select {
		case ended = <-c.acknowledged:
		case <-ended:
			ended, signedOut = nil, nil
			leaving.Go(func() { c.leave(ctx, lastMoment, signOutPatience, errSessionEnded) })
		case <-signedOut:
			ended, signedOut = nil, nil
			leaving.Go(func() { c.leave(ctx, lastMoment, signOutPatience, errSessionEnded) })
		case <-ending: // also while it leaves already, for which there is less time now
			ending = nil
			leaving.Go(func() { c.leave(ctx, 0, c.stream.patience(), errStopping) })
		case <-ctx.Done():
		}
	}
	c.close(ctx, context.Cause(ctx))
	leaving.Wait()
}

// leave closes the connection once its operations have ended: all within the moment,
// else queries and mutations within the patience.
func (c *connection) leave(ctx context.Context, moment, patience time.Duration, why *closing) {
	// Who writes to a client that does not read holds the lock for long.
	late := time.AfterFunc(moment+patience, func() { c.stop(why) })
	defer late.Stop()
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	c.settle(ctx, moment)
	c.mu.Lock()
	for _, o := range c.operations {
		if !o.single {
			o.cancel()
		}
	}
	c.mu.Unlock()
	c.settle(ctx, patience)
	c.stop(why)
}

// settle waits until nothing is under way, for a while.
func (c *connection) settle(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = c.running.Wait(ctx) // what has not ended is ended by whoever waits
}

// close closes the connection, with a word where there is somebody to hear it.
func (c *connection) close(ctx context.Context, why error) {
	said := (*closing)(nil)
	heard := errors.As(why, &said)
	if c.settings.Closed != nil {
		c.settings.Closed(ctx, closeCode(said, why))
	}
	if heard {
		// The library waits without a limit for the rest of a message.
		_ = c.network.SetDeadline(time.Now().Add(c.closeLimit()))
		_ = c.socket.Close(said.code, said.reason)
		return
	}
	_ = c.socket.CloseNow()
}

// closeCode is the code that is said, else the client's, else that of a connection
// that ended without one.
func closeCode(said *closing, why error) int {
	if said != nil {
		return int(said.code)
	}
	if code := websocket.CloseStatus(why); code > 0 {
		return int(code)
	}
	return int(websocket.StatusAbnormalClosure)
}

// closeLimit is how long the client may take to answer a close: at shutdown no longer
// than there is time for.
func (c *connection) closeLimit() time.Duration {
	if patience := c.stream.patience(); patience > 0 {
		return min(patience/2, closeLimit)
	}
	return closeLimit
}

// keepAlive keeps proxies from closing an idle connection, and ends one whose client
// does not answer.
func (c *connection) keepAlive(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.settings.KeepAlive):
			ping, cancel := context.WithTimeout(ctx, c.settings.PongTimeout)
			err := c.socket.Ping(ping)
			cancel()
			if err != nil {
				c.stop(errGone)
				return
			}
		}
	}
}

// read answers messages until the connection is to be closed, and returns why.
func (c *connection) read(ctx context.Context) error {
	ctx, err := c.greet(ctx)
	for err == nil {
		var m message
		switch m, err = c.receive(ctx); {
		case err != nil:
		case m.kind == typeInit:
			err = errTooManyInits
		default:
			err = c.answer(ctx, m)
		}
	}
	return err
}

// greet answers messages until the client begins, and returns the context of who it
// is.
func (c *connection) greet(ctx context.Context) (context.Context, error) {
	for {
		m, err := c.receive(ctx)
		switch {
		case err != nil:
			return ctx, err
		case m.kind == typeInit:
			c.late.Stop()
			return c.begin(ctx, m)
		case m.kind == typeSubscribe:
			return ctx, errUnauthorized
		}
		if err := c.answer(ctx, m); err != nil {
			return ctx, err
		}
	}
}

// receive returns the next message, or why the connection is to be closed.
func (c *connection) receive(ctx context.Context) (message, error) {
	// Reading ends with the connection: the library takes that down at once where
	// the context ends, and sends no close.
	kind, content, err := c.socket.Read(context.WithoutCancel(ctx))
	switch {
	case ctx.Err() != nil:
		return message{}, context.Cause(ctx)
	case errors.Is(err, websocket.ErrMessageTooBig):
		return message{}, errMessageTooLarge
	case err != nil:
		return message{}, fmt.Errorf("%w: %w", errGone, err)
	}
	return parseMessage(kind, content)
}

// begin acknowledges the connection, as whose it is says the context that it returns.
func (c *connection) begin(ctx context.Context, m message) (context.Context, error) {
	value, err := authorization(m.payload)
	if err != nil {
		return ctx, err
	}
	if value != "" {
		known, err := c.settings.Callers.Authenticate(ctx, value)
		if err != nil {
			return ctx, unless(err, errNotSignedIn)
		}
		ctx = known
	}
	if err := c.settings.Callers.Confirm(ctx); err != nil {
		return ctx, unless(err, errSessionEnded)
	}
	if !c.stream.become(ctx) {
		return ctx, errTooManyStreams
	}
	c.acknowledged <- c.settings.Callers.Ended(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(ctx, typeAck, "", nil)
	return ctx, nil
}

// unless returns signedOut, unless the error says nothing of the session.
func unless(err error, signedOut *closing) error {
	if errors.Is(err, ErrSignedOut) {
		return signedOut
	}
	return errUnavailable
}

// answer does what the message asks.
func (c *connection) answer(ctx context.Context, m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m.kind {
	case typePing:
		c.write(ctx, typePong, "", nil)
	case typeComplete:
		if o := c.operations[m.id]; o != nil {
			delete(c.operations, m.id)
			o.cancel()
		}
	case typeSubscribe:
		return c.subscribe(ctx, m)
	}
	return nil
}

// subscribe begins an operation. The caller holds mu.
func (c *connection) subscribe(ctx context.Context, m message) error {
	var members map[string]json.RawMessage
	if !decode(m.payload, &members) || members == nil {
		return invalid("payload must be an object")
	}
	params, refusal := parseParams(members)
	switch {
	case refusal != nil:
		return invalid(refusal.Message)
	case c.operations[m.id] != nil:
		return errSubscribed(m.id)
	case c.leaving:
		return nil
	case len(c.operations) >= maxOperations:
		busy := Refusal{Code: errcode.RateLimited, Message: "Too many operations are under way on this connection."}
		c.writeErrors(ctx, m.id, gqlerror.List{busy.graphQL(ctx)})
		return nil
	}
	params.Headers = c.header
	params.ReadTime = graphql.TraceTiming{Start: graphql.Now(), End: graphql.Now()}
	ctx, cancel := context.WithCancel(graphql.StartOperationTrace(ctx))
	o := &operation{id: m.id, cancel: cancel}
	c.operations[m.id] = o
	c.running.Go(func() {
		defer cancel()
		c.operate(ctx, o, params)
	})
	return nil
}

// operate runs the operation to its end.
func (c *connection) operate(ctx context.Context, o *operation, params *graphql.RawParams) {
	defer guard(ctx, c.exec, func(errs gqlerror.List) { c.end(ctx, o, errs) })
	// First, since whether the session is live may be a question to the store.
	if refusal := c.settings.Callers.Admit(ctx); refusal != nil {
		c.end(ctx, o, gqlerror.List{refusal.graphQL(ctx)})
		return
	}
	switch err := c.settings.Callers.Confirm(ctx); {
	case errors.Is(err, ErrSignedOut):
		c.signOut.Do(func() { close(c.signedOut) })
		c.forget(o)
		return
	case err != nil:
		c.end(ctx, o, gqlerror.List{Unavailable().graphQL(ctx)})
		return
	}
	prepared, response := prepare(ctx, c.exec, params)
	if prepared == nil {
		c.end(ctx, o, response.Errors)
		return
	}
	c.mu.Lock()
	o.single = prepared.Operation.Operation != ast.Subscription
	c.mu.Unlock()
	if err := run(ctx, c.exec, prepared, func(r *graphql.Response) error { return c.next(ctx, o, r) }); err != nil {
		c.forget(o)
		return
	}
	c.end(ctx, o, nil)
}

// next sends a response of the operation, unless that was completed meanwhile.
func (c *connection) next(ctx context.Context, o *operation, response *graphql.Response) error {
	content, err := resultOf(response).encode()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operations[o.id] == o {
		c.write(ctx, typeNext, o.id, content)
	}
	return ctx.Err()
}

// end tells that the operation has ended, or why it is not executed, unless it was
// completed meanwhile. Its ID may be used again.
func (c *connection) end(ctx context.Context, o *operation, errs gqlerror.List) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operations[o.id] != o {
		return
	}
	delete(c.operations, o.id)
	if len(errs) > 0 {
		c.writeErrors(ctx, o.id, errs)
		return
	}
	c.write(ctx, typeComplete, o.id, nil)
}

// forget ends the operation without a word.
func (c *connection) forget(o *operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operations[o.id] == o {
		delete(c.operations, o.id)
	}
}

// writeErrors says why an operation is not executed. The caller holds mu.
func (c *connection) writeErrors(ctx context.Context, id string, errs gqlerror.List) {
	content, err := json.Marshal(errs)
	if err != nil {
		content, _ = json.Marshal(gqlerror.List{InternalError().graphQL(ctx)})
	}
	c.write(ctx, typeError, id, content)
}

// write sends a message, or ends the connection where the client does not take it.
// The caller holds mu.
func (c *connection) write(ctx context.Context, kind, id string, payload []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.settings.WriteTimeout)
	defer cancel()
	if c.socket.Write(ctx, websocket.MessageText, encodeMessage(kind, id, payload)) != nil {
		c.stop(errGone)
	}
}
