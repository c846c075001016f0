// Package document owns what a GraphQL document may be before anybody executes it: it
// reads one in bounded time, checks the variables that come with it, and measures
// what an operation asks for by what the schema says of costs (@cost, @listSize).
//
// How much is allowed, which code an error has, and what becomes of the operation are
// package graph's.
package document
