// Package errcode owns the words that a client decides by: the values of
// extensions.code in the errors of GraphQL responses, as docs/clients.md tells them.
// When an error has which one is for its users to say.
package errcode

// What is wrong with the request.
const (
	ParseFailed      = "GRAPHQL_PARSE_FAILED"
	ValidationFailed = "GRAPHQL_VALIDATION_FAILED"
	BadUserInput     = "BAD_USER_INPUT"
	TooComplex       = "QUERY_TOO_COMPLEX"
	RateLimited      = "RATE_LIMITED"

	PersistedNotFound     = "PERSISTED_QUERY_NOT_FOUND"
	PersistedNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED"
	NotAllowed            = "OPERATION_NOT_ALLOWED" // it is not one of the trusted documents
)

// What the caller lacks.
const (
	Unauthenticated   = "UNAUTHENTICATED"
	Reauthentication  = "REAUTHENTICATION_REQUIRED"
	InsufficientScope = "INSUFFICIENT_SCOPE"
	Forbidden         = "FORBIDDEN"
	NotFound          = "NOT_FOUND"
)

// What is wrong elsewhere.
const (
	UpstreamUnavailable = "UPSTREAM_UNAVAILABLE"
	UpstreamRateLimited = "UPSTREAM_RATE_LIMITED"
	UpstreamError       = "UPSTREAM_ERROR"
	Internal            = "INTERNAL_SERVER_ERROR"
)
