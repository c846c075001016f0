package graphqlhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
)

// badRequest is the refusal of parameters that cannot be read. Its message
// never quotes them.
func badRequest(message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: CodeBadUserInput, Message: message}
}

// DocumentID is the member of a request's extensions in which its parameter
// documentId travels to the executor: a string that is not empty.
const DocumentID = "documentId"

// readRequest reads the parameters of a GraphQL request by POST, GET or HEAD, or
// says why there are none. A body may have that many bytes; 0 is no limit.
func readRequest(w http.ResponseWriter, r *http.Request, maxBytes int64) (*graphql.RawParams, *Refusal) {
	switch r.Method {
	case http.MethodPost:
		return readPost(w, r, maxBytes)
	case http.MethodGet, http.MethodHead:
		return readGet(r)
	default:
		return nil, notAllowed(w, "GET, HEAD, POST", "GraphQL is served by GET and POST.")
	}
}

// readPost reads the parameters of a POST request, whose body may have that
// many bytes; 0 is no limit.
func readPost(w http.ResponseWriter, r *http.Request, maxBytes int64) (*graphql.RawParams, *Refusal) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaJSON || !isUTF8(params) || r.Header.Get("Content-Encoding") != "" {
		return nil, &Refusal{
			Status:  http.StatusUnsupportedMediaType,
			Code:    CodeBadUserInput,
			Message: "The request body must be application/json in UTF-8, without a content encoding.",
		}
	}
	body := r.Body
	if maxBytes > 0 {
		body = http.MaxBytesReader(w, body, maxBytes)
	}
	content, err := io.ReadAll(body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &Refusal{
			Status:  http.StatusRequestEntityTooLarge,
			Code:    CodeBadUserInput,
			Message: "The request body is too large.",
		}
	}
	if err != nil {
		return nil, badRequest("The request body could not be read.")
	}
	return parseBody(content)
}

// parseBody reads the parameters from a JSON object. Names are matched exactly,
// which encoding/json does not do for a struct.
func parseBody(content []byte) (*graphql.RawParams, *Refusal) {
	var members map[string]json.RawMessage
	switch trimmed := bytes.TrimLeft(content, " \t\r\n"); {
	case bytes.HasPrefix(trimmed, []byte("[")):
		return nil, badRequest("Batches of operations are not supported.")
	case !utf8.Valid(content) || json.Unmarshal(content, &members) != nil || members == nil:
		return nil, badRequest("The request body must be one JSON object in UTF-8.")
	}
	return parseParams(members, decodeValid)
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
			return nil, badRequest("The parameter " + name + " was given more than once.")
		case len(values) == 0 || values[0] == "" && name != "documentId":
		case name == "query" || name == "documentId" || name == "operationName":
			members[name], _ = json.Marshal(values[0]) // never fails for a string
		default:
			members[name] = json.RawMessage(values[0])
		}
	}
	return parseParams(members, decode)
}

// parseParams reads the parameters of a GraphQL request (GraphQL over HTTP,
// section 5.1, and its appendix on persisted documents), each decoded by decode.
// Unknown ones are ignored.
func parseParams(members map[string]json.RawMessage, decode func(json.RawMessage, any) bool) (*graphql.RawParams, *Refusal) {
	var (
		p          graphql.RawParams
		documentID *string
	)
	switch {
	case !decode(members["query"], &p.Query):
		return nil, badRequest("The parameter query must be a string with a GraphQL document.")
	case !decode(members["documentId"], &documentID) || documentID != nil && *documentID == "":
		return nil, badRequest("The parameter documentId must be a string that is not empty, or null.")
	case !decode(members["operationName"], &p.OperationName):
		return nil, badRequest("The parameter operationName must be a string or null.")
	case !decode(members["variables"], &p.Variables):
		return nil, badRequest("The parameter variables must be a JSON object or null.")
	case !decode(members["extensions"], &p.Extensions):
		return nil, badRequest("The parameter extensions must be a JSON object or null.")
	}
	_, persisted := p.Extensions["persistedQuery"]
	if strings.TrimSpace(p.Query) == "" && documentID == nil && !persisted {
		return nil, badRequest("The parameter query must be a string with a GraphQL document.")
	}
	setDocumentID(&p, documentID)
	return &p, nil
}

// setDocumentID puts the parameter documentId where the executor finds it, and
// nothing else there: an extension of its name is not the parameter.
func setDocumentID(p *graphql.RawParams, id *string) {
	delete(p.Extensions, DocumentID)
	if id == nil {
		return
	}
	if p.Extensions == nil {
		p.Extensions = make(map[string]any, 1)
	}
	p.Extensions[DocumentID] = *id
}

// decode reads one JSON value, with numbers as they are written, and reports
// whether it was null, absent, or of into's type.
func decode(raw json.RawMessage, into any) bool {
	// The decoder would not mind what trails the value.
	return len(raw) == 0 || json.Valid(raw) && decodeValid(raw, into)
}

// decodeValid is decode for what is known to be JSON.
func decodeValid(raw json.RawMessage, into any) bool {
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
