// Package pgtest owns a real PostgreSQL server for tests: one for each test
// process, a database of its own for each test, and private servers for tests
// that need one to go away.
//
// It speaks to the server by PostgreSQL's own programs, and leaves drivers and
// schema to those who test.
package pgtest
