package graphqlhttp

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/secret"
)

// Transport is GraphQL over HTTP: POST with a JSON body, and queries by GET and
// HEAD. It takes every request, so add it after the others.
//
// The status is what clients expect today: to application/json, a well-formed
// request is answered 200, whatever the errors; to
// application/graphql-response+json, one that was not executed is answered 400.
// A request error has no data. No error quotes the request's body.
type Transport struct {
	// MaxBodyBytes is how large the body of a request may be; 0 is no limit.
	MaxBodyBytes int64
}

var _ graphql.Transport = Transport{}

// Supports implements graphql.Transport.
func (Transport) Supports(*http.Request) bool { return true }

// Do implements graphql.Transport.
func (t Transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	media, acceptable := negotiate(r, mediaJSON, mediaGraphQL)
	w.Header().Add("Vary", "Accept")
	if !acceptable {
		Refuse(w, r, Refusal{
			Status:  http.StatusNotAcceptable,
			Code:    CodeBadUserInput,
			Message: "Responses are " + mediaGraphQL + " or " + mediaJSON + ".",
		})
		return
	}
	w.Header().Set("Content-Type", contentType(media))
	params, refusal := readRequest(w, r, t.MaxBodyBytes)
	if refusal != nil {
		Refuse(w, r, *refusal)
		return
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: graphql.GetStartTime(r.Context()), End: graphql.Now()}
	execute(w, r, exec, params, media)
}

// notAllowed is the refusal of a method, and says which ones are allowed.
func notAllowed(w http.ResponseWriter, allow, message string) *Refusal {
	w.Header().Set("Allow", allow)
	return &Refusal{Status: http.StatusMethodNotAllowed, Code: CodeBadUserInput, Message: message}
}

// execute runs the operation and writes its one response.
func execute(
	w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, params *graphql.RawParams, media string,
) {
	operation, errs := exec.CreateOperationContext(r.Context(), params)
	if errs != nil {
		ctx := graphql.WithOperationContext(r.Context(), operation)
		respond(w, media, exec.DispatchError(ctx, sayWhich(errs)))
		return
	}
	if refusal := unsuitable(w, r, operation.Operation.Operation); refusal != nil {
		Refuse(w, r, *refusal)
		return
	}
	next, ctx := exec.DispatchOperation(r.Context(), operation)
	response := next(ctx)
	if response == nil {
		// The executor answers nothing once the request's context has ended.
		Refuse(w, r, cancelled(ctx))
		return
	}
	respond(w, media, response)
}

// unsuitable returns why this kind of operation is not run by such a request.
func unsuitable(w http.ResponseWriter, r *http.Request, kind ast.Operation) *Refusal {
	switch {
	case kind == ast.Subscription:
		return badRequest("Subscriptions are not answered by a single response: ask for " + mediaEvents +
			" in Accept, or open a WebSocket with the subprotocol " + subprotocol + ".")
	case kind == ast.Mutation && r.Method != http.MethodPost:
		return notAllowed(w, "POST", "Mutations are run by POST alone.")
	}
	return nil
}

func cancelled(ctx context.Context) Refusal {
	if ctx.Err() == nil {
		return InternalError()
	}
	return Refusal{Status: http.StatusServiceUnavailable, Code: CodeInternal, Message: "The request was cancelled."}
}

// respond writes the response in the media type.
func respond(w http.ResponseWriter, media string, response *graphql.Response) {
	status := http.StatusOK
	if response.Data == nil && media == mediaGraphQL {
		status = http.StatusBadRequest
	}
	writeResult(w, status, result{Errors: response.Errors, Data: response.Data, Extensions: response.Extensions})
}

// sayWhich turns the errors of variables into errors of the user's input that
// name the variable. gqlparser puts it into the path, which is the response's
// (GraphQL, section 7.1.7), and may quote a value in the message.
func sayWhich(errs gqlerror.List) gqlerror.List {
	for _, err := range errs {
		if len(err.Path) < 2 || err.Path[0] != ast.PathName("variable") {
			continue
		}
		err.Message = secret.Scrub("Variable $" + err.Path[1:].String() + ": " + err.Message)
		err.Path = nil
		err.Extensions = map[string]any{"code": CodeBadUserInput}
	}
	return errs
}
