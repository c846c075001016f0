// Package plan looks ahead over a GraphQL operation: it finds every field that
// Galaxy answers, writes one upstream document for them, and takes the answer
// apart into what each field shows the client.
//
// A field is Galaxy's where the schema says so with @galaxy, and so is every
// field of the type GalaxyQuery. A type named GalaxyX is Galaxy's X; every other
// name is the same on both sides.
//
// It asks nobody: sending, sharing and remembering is package upstream's. Whether
// the user has consented, and who the user is, package graph tells it.
//
// Its proof is in package graph's tests: stories in testdata/galaxy of what Galaxy
// is asked, word for word, and any operation held against a reference executor,
//
//	go test ./graph -run WhatGalaxyIsAsked -update
//	go test ./graph -run AnyOperation -rapid.checks=10000
package plan
