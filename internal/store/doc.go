// Package store owns all SQL: it keeps users, grants, sessions, sign-ins under
// way and the audit log, on PostgreSQL and on embedded SQLite, and satisfies
// the interfaces by which packages grant, session, login and audit ask for it.
//
// It leaves the schema to package migrations, sealing to package vault, and
// every decision about tokens and sessions to those who declare the interfaces.
//
// The times that decide between replicas, of leases and of retries, are by the
// database's clock; all others are the callers'. Statements are written once
// for both databases; a dialect supplies what differs.
package store
