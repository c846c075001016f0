// Package retry owns how long to wait before something is tried again. It is a
// leaf: every room may import it, and it imports none.
package retry
