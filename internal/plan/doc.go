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
package plan
