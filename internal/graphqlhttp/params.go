package graphqlhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"

	"galaxygate/internal/errcode"
)

// badRequest is the refusal of a request that cannot be read. Its message never
// quotes it.
func badRequest(message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: errcode.BadUserInput, Message: message}
}

// badParameters is the refusal of a request that can be read, and is not one of
// GraphQL over HTTP.
func badParameters(message string) *Refusal {
	refusal := badRequest(message)
	refusal.malformed = true
	return refusal
}

// extensionID is the member of a request's extensions in which its parameter
// documentId travels to the executor: a string that is not empty.
const extensionID = "documentId"

// readRequest reads the parameters of a GraphQL request by POST, GET or HEAD, or
// says why there are none. A body may have that many bytes; 0 is no limit.
//
// The parameters of a POST are its body's: what its URL says, for logs perhaps,
// counts for nothing.
func readRequest(w http.ResponseWriter, r *http.Request, maxBytes int64) (*graphql.RawParams, *Refusal) {
	var (
		params  *graphql.RawParams
		refusal *Refusal
	)
	switch r.Method {
	case http.MethodPost:
		params, refusal = readPost(w, r, maxBytes)
	case http.MethodGet, http.MethodHead:
		if hasBody(r) {
			dropBody(w, r)
			return nil, badRequest("A GET request has no body.")
		}
		params, refusal = readGet(r)
	default:
		refusal = notAllowed(w, methods, "GraphQL is served by GET and POST.")
	}
	if refusal != nil {
		return nil, refusal
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: graphql.GetStartTime(r.Context()), End: graphql.Now()}
	return params, nil
}

// readPost reads the parameters of a POST request.
func readPost(w http.ResponseWriter, r *http.Request, maxBytes int64) (*graphql.RawParams, *Refusal) {
	if !isPlainJSON(r.Header) {
		return nil, &Refusal{
			Status:  http.StatusUnsupportedMediaType,
			Code:    errcode.BadUserInput,
			Message: "The request body must be application/json in UTF-8, without a content encoding.",
		}
	}
	body := r.Body
	if maxBytes > 0 {
		if r.ContentLength > maxBytes {
			return nil, tooLarge()
		}
		body = http.MaxBytesReader(w, body, maxBytes)
	}
	content, err := io.ReadAll(body)
	switch exceeded := new(http.MaxBytesError); {
	case errors.As(err, &exceeded):
		return nil, tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		dropBody(w, r)
		return nil, &Refusal{
			Status:  http.StatusRequestTimeout,
			Code:    errcode.BadUserInput,
			Message: "The request body took too long.",
		}
	case err != nil:
		return nil, badRequest("The request body could not be read.")
	}
	return parseBody(content)
}

func tooLarge() *Refusal {
	return &Refusal{
		Status:  http.StatusRequestEntityTooLarge,
		Code:    errcode.BadUserInput,
		Message: "The request body is too large.",
	}
}

// isPlainJSON reports whether the body is JSON in UTF-8 as it is, and says so once:
// where there are two lines, who stands between may have heeded the other.
func isPlainJSON(h http.Header) bool {
	if len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == mediaJSON && isUTF8(params)
}

// parseBody reads the parameters from a JSON object. It must be I-JSON (RFC 7493):
// in UTF-8, without lone surrogates, and without a name that is given twice, which
// who stands between may have read otherwise. Names are matched exactly, which
// encoding/json does not do for a struct.
func parseBody(content []byte) (*graphql.RawParams, *Refusal) {
	var members map[string]json.RawMessage
	switch trimmed := bytes.TrimLeft(content, " \t\r\n"); {
	case bytes.HasPrefix(trimmed, []byte("[")):
		return nil, badParameters("Batches of operations are not supported.")
	case !jsontext.Value(content).IsValid():
		return nil, badRequest("The request must be JSON in UTF-8, with each name given once in its object.")
	case json.Unmarshal(content, &members) != nil || members == nil:
		return nil, badParameters("The request must be a JSON object.")
	}
	return parseParams(members)
}

// readGet reads the parameters of a GET request from its query.
func readGet(r *http.Request) (*graphql.RawParams, *Refusal) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The URL's query could not be read.")
	}
	members := map[string]json.RawMessage{}
	for _, name := range []string{"query", "documentId", "operationName", "variables", "extensions"} {
		switch values := query[name]; {
		case len(values) > 1:
			return nil, badParameters("The parameter " + name + " was given more than once.")
		case len(values) == 0 || values[0] == "" && name != "documentId":
		case !utf8.ValidString(values[0]):
			return nil, badRequest("The parameter " + name + " must be in UTF-8.")
		case name == "query" || name == "documentId" || name == "operationName":
			members[name], _ = json.Marshal(values[0]) // never fails for a string
		case !jsontext.Value(values[0]).IsValid():
			return nil, badRequest("The parameter " + name + " must be JSON, with each name given once in its object.")
		default:
			members[name] = json.RawMessage(values[0])
		}
	}
	return parseParams(members)
}

// hasBody reports whether a GET request has a body, or announces one, which is not
// waited for. Some who stand between see one there, and some do not.
func hasBody(r *http.Request) bool {
	if r.ContentLength > 0 {
		return true
	}
	_, err := io.ReadFull(r.Body, make([]byte, 1))
	return !errors.Is(err, io.EOF)
}

// dropBody keeps the answer from waiting for the rest of the request's body. By
// HTTP/2, where a stream ends alone, the word would end a proxy's whole connection.
func dropBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// parseParams reads the parameters of a GraphQL request (GraphQL over HTTP,
// section 5.1, and its appendix on persisted documents). Unknown ones are ignored.
func parseParams(members map[string]json.RawMessage) (*graphql.RawParams, *Refusal) {
	var (
		p          graphql.RawParams
		documentID *string
	)
	switch {
	case !decode(members["query"], &p.Query):
		return nil, badParameters("The parameter query must be a string with a GraphQL document.")
	case !decode(members["documentId"], &documentID) || documentID != nil && *documentID == "":
		return nil, badParameters("The parameter documentId must be a string that is not empty, or null.")
	case !decode(members["operationName"], &p.OperationName):
		return nil, badParameters("The parameter operationName must be a string or null.")
	case !decode(members["variables"], &p.Variables):
		return nil, badParameters("The parameter variables must be a JSON object or null.")
	case !decode(members["extensions"], &p.Extensions):
		return nil, badParameters("The parameter extensions must be a JSON object or null.")
	}
	if strings.TrimSpace(p.Query) == "" && documentID == nil && p.Extensions["persistedQuery"] == nil {
		return nil, badParameters("The parameter query must be a string with a GraphQL document.")
	}
	setDocumentID(&p, documentID)
	return &p, nil
}

// setDocumentID puts the parameter documentId where the executor finds it, and
// nothing else there: an extension of its name is not the parameter.
func setDocumentID(p *graphql.RawParams, id *string) {
	delete(p.Extensions, extensionID)
	if id == nil {
		return
	}
	if p.Extensions == nil {
		p.Extensions = make(map[string]any, 1)
	}
	p.Extensions[extensionID] = *id
}

// decode reads what is known to be JSON, with numbers as they are written, and
// reports whether it was null, absent, or of into's type.
func decode(raw json.RawMessage, into any) bool {
	if len(raw) == 0 {
		return true
	}
	if text, ok := into.(*string); ok {
		return json.Unmarshal(raw, text) == nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(into) == nil
}
