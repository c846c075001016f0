// Package graph is the GraphQL edge: resolvers of one call, the @consent and
// @viewerOnly directives, limits on what may be asked, and the one place where
// errors become extensions.code.
//
// It leaves HTTP to package httpserver, what an operation asks of Galaxy to package
// plan, the asking to package upstream, tokens and scopes to package grant, and who
// is calling to package session. Its subpackages generated and model are gqlgen's.
package graph

//go:generate go tool gqlgen generate
