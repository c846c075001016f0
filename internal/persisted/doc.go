// Package persisted owns the documents that clients name instead of sending them:
// the file of trusted ones, which the operator writes, and the memory of automatic
// ones, which clients fill.
//
// It leaves to package graph when one may be run and what a client is told, and to
// package graphqlhttp how a request names it.
package persisted
