// Package storetest owns the specification that every store must pass: what the
// comments of grant.Store, grant.Leases, grant.Outbox, grant.Claims,
// grant.DueGrants, session.Store, session.Ender, login.Store, audit.Log and
// audit.Reader promise, as tests.
//
// It leaves opening a database, and what goes wrong with one, to the store's
// own tests.
package storetest
