// Package kmstest owns a look-alike of HashiCorp Vault's transit engine for
// tests: it really encrypts, and speaks the API as it is documented. The client
// is kms's.
package kmstest
