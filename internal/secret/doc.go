// Package secret owns the one type in which tokens, codes, keys and cookies
// travel through the process, and the scrubbing of foreign text that may quote
// one. It is a leaf: every room may import it, and it imports none.
package secret
