// Package cache owns the memory of what the store said: for a short while, and
// only as long as nobody has said that it changed. It is a leaf: every room may
// import it, and it imports none.
package cache
