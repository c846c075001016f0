// Package httpserver owns how requests come in and answers go out: the two
// listeners and their graceful end, the routes, the order of the middleware, the
// limits that are HTTP's, and GraphQL over HTTP.
//
// It leaves who is calling to package session, what an operation may cost and
// what its errors say to package graph, and the pages to packages login and
// playground: their handlers come in as values.
package httpserver
