// Command bench owns what `make bench` does: it measures the real gateway beside
// a tuned httputil.ReverseProxy in the same run, and writes what came of it into
// docs/benchmarks.md.
//
// Three processes are measured or wait to be asked, and a fourth asks: the
// gateway, as `go build` makes it; the proxy; a stub upstream of both, which
// prepares an answer once and then hands it out; and this one, with the
// connections. The stub and the proxy are this command again, in another role.
//
// What a machine does besides changes from one second to the next, so that the
// proxy's rounds and the gateway's take turns, and only their ratios are worth
// keeping. Nothing here asserts a time. That the answers are right is asserted:
// before the rounds, and by their size for each answer in them.
//
// It imports no room: what it measures is a process.
package main
