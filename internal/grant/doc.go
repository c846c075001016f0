// Package grant owns a user's stored consent at the provider: the tokens, the
// scopes, their expiry, and the protocol by which a refresh token is presented
// exactly once however many requests and replicas wait for its answer. What is
// given back it revokes there, until the provider confirms it.
//
// It leaves the SQL to package store (Store, Leases, Outbox, Claims, DueGrants), the wire to
// package passport (Refresher, Revoker), and what the tokens are used for to
// package upstream.
package grant
