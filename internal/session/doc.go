// Package session owns who is calling: an opaque token, as cookie or bearer,
// becomes a Session in the request's context; its life, and its end.
//
// It leaves the SQL to package store, and the sign-in that makes a session to
// package login.
package session
