// Package graphqlhttp owns how GraphQL travels: media types, parameters, one
// response by HTTP, many by WebSocket (graphql-transport-ws) and by server-sent events
// (graphql-sse), over gqlgen's executor; and how many of these streams may be open.
//
// It leaves routes, sessions and what rides on cookies to packages httpserver and
// session, and what an operation may cost and what its errors say to package graph.
package graphqlhttp

// Path is where the GraphQL API is served.
const Path = "/graphql"
