// Package passport is the client of the OpenID Provider: Rollup's Passport, or
// any other. It owns the wire: discovery, the authorization URL, the exchange
// of a code, the check of the ID token, refresh, revocation, userinfo, and all
// in which providers differ from the standard and from each other.
//
// Whatever goes wrong comes back as a [grant.Failure] of one of three kinds,
// with a reason from a closed set and no secret in it. What is not understood is
// [grant.Later].
//
// It leaves the HTTP of signing in to package login, the question when to
// refresh and where tokens are kept to package grant, and what userinfo says to
// package upstream.
package passport
