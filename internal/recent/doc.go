// Package recent owns a memory of what has happened of late, for things that are
// to be done at most once in a while. It is a leaf: every room may import it,
// and it imports none.
package recent
