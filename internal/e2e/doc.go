// Package e2e owns the tests that drive the real binary, over real HTTP, on
// real databases, against both look-alikes of a provider. It holds nothing else.
//
// What the tests are made of:
//
//	world_test.go     a gateway and all that it needs, and its replicas
//	gateway_test.go   the binary as a process: built, begun, ended
//	browser_test.go   a person with a cookie jar who signs in
//	device_test.go    a device with a native app, and the browser that it signs in by
//	viewer_test.go    what a client sees that asks for the user's name
//	front_test.go     a provider that is watched, and disturbed
//	wire_test.go      connections that fail, each in its way
//	node_test.go      npm's packages, and the scripts in node/ that use them
//	matrix_test.go    docs/fault-matrix.md as it is read; steps_test.go is what users do there
//	report_test.go    docs/soak-refresh.md as it is written
//
// All other files are tests, named by what is tested. Those of hostile requests are one
// test, hostile_test.go, and what it sends: hostile_client, hostile_graphql, hostile_http
// and hostile_stream. What hostile apps do is in native_hostile_test.go and
// native_codes_test.go.
package e2e
