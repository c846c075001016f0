// Package scope owns what a scope is (RFC 6749, section 3.3). It is a leaf: every
// room may import it, and it imports none.
package scope
