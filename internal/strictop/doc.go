// Package strictop is a strict, standard OpenID Provider for tests, built on
// zitadel's: code with PKCE S256, client_secret_basic, rotated refresh tokens
// whose reuse ends the whole family, revocation, keys that rotate. It is there so
// that our reading of the standards is checked by someone else's code.
//
// It owns the memory in which that provider keeps its users, codes and tokens.
// The quirks of Rollup are devrollup's.
package strictop
