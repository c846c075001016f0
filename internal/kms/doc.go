// Package kms owns the client of key-management services: it encrypts and
// decrypts under a key that such a service holds and never gives away, in the
// words of Tink's AEADWithContext.
//
// It knows the transit engine of HashiCorp Vault, by Tink's key URIs. It speaks
// its two requests itself: the service's own client would bring fifteen modules,
// could not be interrupted, and would read an environment of its own.
//
// It leaves what is encrypted to package vault.
package kms
