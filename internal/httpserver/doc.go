// Package httpserver owns how requests come in and answers go out: the two
// listeners and their graceful end, the routes, the order of the middleware, and
// the limits that are HTTP's.
//
// It leaves who is calling to package session, how GraphQL travels to package
// graphqlhttp, and the pages to packages login and playground: their handlers come
// in as values.
package httpserver
