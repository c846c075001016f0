// Package redirect owns the rules by which an address is one that sign-in may
// return to. It is a leaf: every room may import it, and it imports none.
package redirect
