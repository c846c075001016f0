// Package retry owns what says that something may be tried again, and how long to
// wait before it is. It is a leaf: every room may import it, and it imports none.
package retry
