// Package background owns work that outlives the request that began it, and the
// waiting for it at the end. It is a leaf: every room may import it, and it
// imports none.
package background
