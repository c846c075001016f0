// Package vault owns the keys under which tokens are stored: it seals and opens
// them by authenticated encryption, each bound to its place in the database.
//
// It leaves what is sealed, and where it is kept, to package store, and where
// the keyset comes from to package config.
package vault
