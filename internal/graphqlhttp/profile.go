package graphqlhttp

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"galaxygate/internal/errcode"
)

// Profile is a reading of GraphQL over HTTP: which status and media type an answer
// has. The zero Profile is Audited.
type Profile string

const (
	// Audited is what clients and the public audits expect today: to
	// application/json, a well-formed request is answered 200, whatever its errors;
	// to application/graphql-response+json, one that was not executed is answered
	// 400. Without an Accept header the answer is application/json.
	Audited Profile = "audited"
	// Draft is the specification's first edition, of September 2026. Answers are
	// application/graphql-response+json: 400 where JSON or document do not parse,
	// 422 for what else is wrong with a request, 294 for data with errors.
	// application/json is for clients that take nothing else, and then for answers
	// with data, which are 200.
	Draft Profile = "draft"
)

// statusPartialSuccess is the draft's own.
const statusPartialSuccess = 294

// offers are the media types, the one preferred first.
func (p Profile) offers() []string {
	if p == Draft {
		return []string{mediaGraphQL, mediaJSON}
	}
	return []string{mediaJSON, mediaGraphQL}
}

// refused returns the status and the media type of a refusal, to whom that media
// type was promised.
func (p Profile) refused(refusal Refusal, media string) (int, string) {
	if p != Draft {
		return refusal.Status, media
	}
	if refusal.malformed {
		return http.StatusUnprocessableEntity, mediaGraphQL
	}
	return refusal.Status, mediaGraphQL
}

// responded returns the status and the media type of a response of the executor's.
func (p Profile) responded(response *graphql.Response, media string) (int, string) {
	executed := response.Data != nil
	switch {
	case p == Draft && !executed:
		return unexecuted(response, http.StatusUnprocessableEntity), mediaGraphQL
	case p == Draft && len(response.Errors) > 0 && media == mediaGraphQL:
		return statusPartialSuccess, media
	case !executed && media == mediaGraphQL:
		return unexecuted(response, http.StatusBadRequest), media
	default:
		return http.StatusOK, media
	}
}

// unexecuted is the status of a response to a request that was not executed,
// invalid where the request is.
func unexecuted(response *graphql.Response, invalid int) int {
	for _, err := range response.Errors {
		switch err.Extensions["code"] {
		case errcode.ParseFailed:
			return http.StatusBadRequest
		case errcode.Forbidden, errcode.NotAllowed:
			return http.StatusForbidden
		case errcode.RateLimited:
			return http.StatusTooManyRequests
		case errcode.Internal:
			return http.StatusInternalServerError
		}
	}
	return invalid
}
