// Package graphqlhttp owns how GraphQL travels: media types, parameters, and one
// response by HTTP, over gqlgen's executor.
//
// It leaves routes, sessions and what rides on cookies to packages httpserver and
// session, and what an operation may cost and what its errors say to package graph.
package graphqlhttp

// Path is where the GraphQL API is served.
const Path = "/graphql"
