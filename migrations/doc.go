// Package migrations owns the database's schema: numbered SQL, written once for
// PostgreSQL and SQLite, whose column types differ in two places. Applying it is
// package store's.
package migrations
