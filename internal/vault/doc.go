// Package vault owns the keys under which tokens are stored: it seals and opens
// them by authenticated encryption, each bound to its place in the database. It
// reads and writes keysets, in clear or wrapped under a key of a key-management
// service, and says which key a sealed value is under.
//
// It leaves what is sealed, and where it is kept, to package store, where the
// keyset is kept to package keyring, and the service to package kms.
package vault
