// Package login owns the sign-in flows over HTTP: it sends a browser to the
// provider, takes it back, and turns an authorization code into a stored grant
// and a session; and it hears from the provider who has signed out there. To native
// apps it is an authorization server of its own (RFC 8252): they get a code of the
// gateway's, and for that a session.
//
// It leaves the provider's wire format to package passport, the tokens once
// they are stored to package grant, and the SQL to package store.
package login
