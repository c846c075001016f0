// Package e2e owns the tests that drive the real binary, over real HTTP, on
// real databases, against both look-alikes of a provider. It holds nothing else.
package e2e
