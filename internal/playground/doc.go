// Package playground owns the page at "/": GraphiQL with example operations, who is
// signed in and what they have consented to, or a short page where the playground is
// off, and the files that these load.
//
// It leaves signing in and out to package login and the API to package graph: the page
// reaches both over HTTP. The page's own files are under web; GraphiQL and React are
// kept as published under assets, with their licences, those of what GraphiQL contains,
// and checksums; update.sh fetches them.
package playground
