// Package audit owns the words of the audit log: what happened, to whom, from
// where. It is a leaf: every room may import it, and it imports none. Writing
// the log is the store's.
package audit
