// Package background owns work that outlives the request that began it, the
// waiting for it at the end, and work that comes round by itself. It is a leaf:
// every room may import it, and it imports none but other leaves.
package background
