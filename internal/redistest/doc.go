// Package redistest owns real Redis servers for tests: one for each test that
// wants one, on a Unix socket, without persistence, which may be stopped and
// started again.
//
// It leaves speaking to the server to those who test.
package redistest
