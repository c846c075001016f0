package graphqlhttp

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/errcode"
)

// methods are those that the API is served by.
const methods = "GET, HEAD, POST, OPTIONS"

// statusClientClosed is what the log and the metrics say of a request whose
// client has gone: nobody reads it, and no server failed. It is nginx's.
const statusClientClosed = 499

// Transport is GraphQL over HTTP: POST with a JSON body, and queries by GET and
// HEAD. It takes every request, so add it after the others.
//
// A request error has no data. No error of its own quotes the request's body.
type Transport struct {
	// MaxBodyBytes is how large the body of a request may be; 0 is no limit.
	MaxBodyBytes int64
	// Profile says which status and media type answers have.
	Profile Profile
}

var _ graphql.Transport = Transport{}

// Supports implements graphql.Transport.
func (Transport) Supports(*http.Request) bool { return true }

// Do implements graphql.Transport.
func (t Transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if r.Method == http.MethodOptions { // of CORS it is not, or it would not have come here
		w.Header().Set("Allow", methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	media, acceptable := negotiate(r, t.Profile.offers()...)
	w.Header().Add("Vary", "Accept")
	if !acceptable {
		Refuse(w, r, Refusal{
			Status:  http.StatusNotAcceptable,
			Code:    errcode.BadUserInput,
			Message: "Responses are " + mediaGraphQL + " or " + mediaJSON + ".",
		})
		return
	}
	a := answerer{w: w, r: r, profile: t.Profile, media: media}
	defer guard(r.Context(), exec, a.broken)
	params, refusal := readRequest(w, r, t.MaxBodyBytes)
	if refusal != nil {
		a.refuse(*refusal)
		return
	}
	a.execute(r.Context(), exec, params)
}

// notAllowed is the refusal of a method, and says which ones are allowed.
func notAllowed(w http.ResponseWriter, allow, message string) *Refusal {
	w.Header().Set("Allow", allow)
	return &Refusal{Status: http.StatusMethodNotAllowed, Code: errcode.BadUserInput, Message: message}
}

// postAlone is the refusal of a mutation by another method.
func postAlone(w http.ResponseWriter) *Refusal {
	return notAllowed(w, http.MethodPost, "Mutations are run by POST alone.")
}

// answerer writes the one answer to a request.
type answerer struct {
	w       http.ResponseWriter
	r       *http.Request
	profile Profile
	media   string // that was negotiated
}

// execute runs the operation and answers with its one response.
func (a answerer) execute(ctx context.Context, exec graphql.GraphExecutor, params *graphql.RawParams) {
	operation, refused := prepare(ctx, exec, params)
	if refused != nil {
		a.respond(refused)
		return
	}
	if refusal := a.unsuitable(operation.Operation.Operation); refusal != nil {
		a.refuse(*refusal)
		return
	}
	next, ctx := exec.DispatchOperation(ctx, operation)
	response := next(ctx)
	if response == nil {
		// The executor answers nothing once the request's context has ended.
		a.refuse(cancelled(ctx))
		return
	}
	a.respond(response)
}

// unsuitable returns why this kind of operation is not run by such a request.
func (a answerer) unsuitable(kind ast.Operation) *Refusal {
	switch {
	case kind == ast.Subscription:
		return badParameters("Subscriptions are not answered by a single response: ask for " + mediaEvents +
			" in Accept, or open a WebSocket with the subprotocol " + subprotocol + ".")
	case kind == ast.Mutation && a.r.Method != http.MethodPost:
		return postAlone(a.w)
	}
	return nil
}

func cancelled(ctx context.Context) Refusal {
	if ctx.Err() == nil {
		return InternalError()
	}
	return Refusal{Status: statusClientClosed, Code: errcode.Internal, Message: "The request was cancelled."}
}

// refuse answers with the refusal.
func (a answerer) refuse(refusal Refusal) {
	status, media := a.profile.refused(refusal, a.media)
	refusal.Status = status
	a.w.Header().Set("Content-Type", contentType(media))
	Refuse(a.w, a.r, refusal)
}

// broken answers where something panicked. gqlgen would say neither the media type
// nor that there are no data.
func (a answerer) broken(errs gqlerror.List) {
	status, media := a.profile.refused(InternalError(), a.media)
	a.w.Header().Set("Content-Type", contentType(media))
	writeResult(a.w, status, result{Errors: errs})
}

// respond answers with the response of the executor.
func (a answerer) respond(response *graphql.Response) {
	status, media := a.profile.responded(response, a.media)
	a.w.Header().Set("Content-Type", contentType(media))
	writeResult(a.w, status, resultOf(response))
}
