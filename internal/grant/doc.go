// Package grant owns a user's stored consent at the provider: the tokens, the
// scopes, their expiry, and the protocol by which a refresh token is presented
// exactly once however many requests and replicas wait for its answer.
//
// It leaves the SQL to package store (Store, Leases), the wire to package
// passport (Refresher, Revoker), and what the tokens are used for to package
// upstream.
package grant
