// Package playground owns the page at "/": GraphiQL with who is signed in and a
// first query ready to run, or a short page where the playground is off, and
// the files that these load.
//
// It leaves signing in and out to package login and the API to package graph:
// the page reaches both over HTTP. GraphiQL and React are kept as published
// under assets, with their licences and checksums; update.sh fetches them.
package playground
