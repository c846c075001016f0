// Package testdb owns the stores that other rooms' tests run on: new, migrated,
// sealed under a key of their own, on every database that the gateway knows.
// Starting PostgreSQL is pgtest's.
package testdb
