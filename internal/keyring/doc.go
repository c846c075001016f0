// Package keyring owns where the keyset is kept and how it changes: it reads and
// rewrites the file, notices that the file has changed while the gateway serves,
// and leads a new key through its life without a moment in which a replica meets
// a value that it cannot open.
//
// It leaves the keys themselves to package vault, and which of them stored values
// are under, and which replicas have them, to whom it declares an interface for.
package keyring
