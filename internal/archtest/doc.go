// Package archtest owns the borders between the rooms: a test that reads every
// import of the project and refuses those that docs/architecture.md does not
// draw. It imports no room.
package archtest
