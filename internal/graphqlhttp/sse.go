package graphqlhttp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// mediaEvents is the media type of server-sent events.
const mediaEvents = "text/event-stream"

// eventsKeepAlive is how often something is sent, below the idle timeouts of
// proxies.
const eventsKeepAlive = 12 * time.Second

// Events is GraphQL over server-sent events, a connection for each operation
// (graphql-sse's distinct connections mode), for who prefers text/event-stream: by
// GET, which a browser's EventSource sends, and by POST. Mutations are run by POST
// alone. Add it before Transport.
//
// What is not executed is answered 400 with a JSON body, and no stream is begun.
//
// All fields but those of time are required.
type Events struct {
	// MaxBodyBytes is how large the body of a request may be; 0 is no limit.
	MaxBodyBytes int64
	Streams      *Streams
	// Ended is closed when the context's session has ended; it may be nil.
	Ended func(context.Context) <-chan struct{}
	// KeepAlive is how often something is sent, WriteTimeout how long the client may
	// take to read it. 0 is what is usual.
	KeepAlive, WriteTimeout time.Duration
}

var _ graphql.Transport = Events{}

// Supports implements graphql.Transport.
func (Events) Supports(r *http.Request) bool {
	if r.Method == http.MethodOptions { // asks what there is, whatever it accepts
		return false
	}
	media, ok := negotiate(r, mediaJSON, mediaGraphQL, mediaEvents)
	return ok && media == mediaEvents
}

// Do implements graphql.Transport.
func (t Events) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	media, ok := negotiate(r, mediaJSON, mediaGraphQL)
	if !ok {
		media = mediaJSON
	}
	w.Header().Add("Vary", "Accept")
	w.Header().Set("Content-Type", contentType(media))
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		Refuse(w, r, *notAllowed(w, "GET, POST", "Events are streamed by GET and POST, a connection for each operation."))
		return
	}
	defer guard(r.Context(), exec, func(errs gqlerror.List) {
		w.Header().Set("Content-Type", contentType(media))
		writeResult(w, http.StatusInternalServerError, result{Errors: errs})
	})
	params, refusal := readRequest(w, r, t.MaxBodyBytes)
	if refusal != nil {
		Refuse(w, r, *refusal)
		return
	}
	operation, response := prepare(r.Context(), exec, params)
	if operation == nil {
		writeResult(w, http.StatusBadRequest, resultOf(response))
		return
	}
	if refusal := t.serve(w, r, exec, operation); refusal != nil {
		Refuse(w, r, *refusal)
	}
}

// serve executes the operation, or returns why it does not.
func (t Events) serve(
	w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, operation *graphql.OperationContext,
) *Refusal {
	ctx := r.Context()
	events := events{w: w, control: http.NewResponseController(w), limit: cmp.Or(t.WriteTimeout, writeTimeout)}
	switch kind := operation.Operation.Operation; {
	case kind == ast.Subscription:
		return t.Streams.hold(ctx, OverEvents, func(s *stream) { t.stream(ctx, events, exec, operation, s) })
	case kind == ast.Mutation && r.Method != http.MethodPost:
		return postAlone(w)
	}
	// The header goes out with the result: a mutation may add to it, as one does that
	// ends the session and clears its cookie.
	events.begin()
	if run(ctx, exec, operation, events.next) == nil {
		_ = events.complete() // the client has gone: nobody is left to tell
	}
	return nil
}

// stream sends the responses of a subscription until it ends, its session or the
// process does, or the client goes.
func (t Events) stream(
	ctx context.Context, events events, exec graphql.GraphExecutor, operation *graphql.OperationContext, s *stream,
) {
	events.begin()
	if events.comment() != nil {
		return
	}
	alive := time.NewTicker(cmp.Or(t.KeepAlive, eventsKeepAlive))
	defer alive.Stop()

	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	responses := make(chan *graphql.Response)
	running.Go(func() {
		defer close(responses)
		pass(ctx, exec, operation, responses)
	})

	ended := t.Ended(ctx)
	var late <-chan time.Time
	for err := error(nil); err == nil; {
		select {
		case response, more := <-responses:
			if !more {
				if ctx.Err() == nil {
					_ = events.complete()
				}
				return
			}
			err = events.next(response)
		case <-alive.C:
			err = events.comment()
		case <-ended:
			ended, late = nil, time.After(lastMoment)
		case <-late:
			_ = events.complete()
			return
		case <-s.ending():
			return // without complete: the client connects again
		case <-ctx.Done():
			return
		}
	}
}

// pass runs the operation and sends its responses.
func pass(ctx context.Context, exec graphql.GraphExecutor, operation *graphql.OperationContext, to chan<- *graphql.Response) {
	send := func(response *graphql.Response) error {
		select {
		case to <- response:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer guard(ctx, exec, func(errs gqlerror.List) { _ = send(&graphql.Response{Errors: errs}) })
	_ = run(ctx, exec, operation, send) // ctx's error: nobody waits any more
}

// events is what is sent to one client.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

// begin makes the response a stream. Its deadlines are those of each write from then
// on; the one for reading has been lifted with the end of the request's body.
func (e events) begin() {
	h := e.w.Header()
	h.Set("Content-Type", mediaEvents+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
}

func (e events) next(response *graphql.Response) error {
	content, err := resultOf(response).encode()
	if err != nil {
		return err
	}
	return e.send("next", content)
}

// complete has data although it says nothing: a browser passes no event on that has
// none.
func (e events) complete() error { return e.send("complete", nil) }

// comment says nothing, so that the connection is seen to be in use.
func (e events) comment() error { return e.write([]byte(":\n\n")) }

// send sends an event with JSON, or nothing, as its data.
func (e events) send(name string, data []byte) error {
	var text bytes.Buffer
	text.WriteString("event: " + name + "\ndata: ")
	if bytes.ContainsAny(data, "\r\n") {
		// A line break ends the data. In JSON it is white space.
		if err := json.Compact(&text, data); err != nil {
			return err
		}
	} else {
		text.Write(data)
	}
	text.WriteString("\n\n")
	return e.write(text.Bytes())
}

func (e events) write(text []byte) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(e.limit))
	if _, err := e.w.Write(text); err != nil {
		return err
	}
	if err := e.control.Flush(); err != nil {
		return err
	}
	// A deadline that passes resets an HTTP/2 stream also while nothing is written.
	_ = e.control.SetWriteDeadline(time.Time{})
	return nil
}
