// Package devrollup owns look-alikes of Rollup's Passport (an OpenID Provider)
// and Galaxy (a GraphQL API), for development and for tests. They keep every
// habit of the hosted service that a client has to cope with, and take switches
// for what a test wants to see happen.
//
// Never for production: anyone may sign in as anyone without a password, every
// secret that is issued is remembered and can be read at /dev/issued, and the keys
// and all state live in memory, unless Save writes them to a file.
//
// It knows no other room but package secret. Listening is the caller's: open
// the listener first, because the issuer is its address.
//
//	srv := httptest.NewUnstartedServer(nil)
//	rollup, err := devrollup.New(devrollup.Config{Issuer: "http://" + srv.Listener.Addr().String(), …})
//	srv.Config.Handler = rollup.Handler()
//	srv.Start()
//
// # Passport
//
//	GET  /.well-known/openid-configuration, /.well-known/jwks.json
//	GET  /authorize   sign-in page, consent page, or straight back with a code
//	POST /authorize   the forms of those pages, to the very URL of the page
//	POST /token       authorization_code, refresh_token
//	GET  /userinfo
//	POST /revoke      only with Switches.Revocation (RFC 7009)
//
// A test signs in by posting two forms to the authorization URL, query and all,
// with a cookie jar; Visitor does it.
//
//	person=alice                    the sign-in page: alice or bob
//	decision=allow | deny | switch  the consent page: switch asks for another person
//	scope=email                     repeated: the scopes allowed (openid is implied)
//	account=urn:rollupid:account/…  repeated: the connected accounts allowed
//
// Elements have the ids person-alice, scope-email, account-1 (2, …), and
// decision-allow, decision-deny, decision-switch.
//
// # Galaxy
//
//	POST /graphql
//
// Galaxy can also be had alone, beside a provider of another kind: NewGalaxy.
//
// # Control
//
// Under /dev/, for loopback peers alone:
//
//	GET            /dev/          a page with people, counters and switches
//	GET, DELETE    /dev/counters  calls by endpoint; DELETE starts again at zero
//	GET            /dev/issued    every secret ever issued
//	GET, POST, DELETE /dev/switches  a Switches as JSON; POST changes what it names, DELETE resets
//	POST           /dev/expire    an Expiry as JSON
//	POST           /dev/merge     a Merging as JSON
//
// The counters are discovery, jwks, authorize, authorize:post,
// token:authorization_code, token:refresh_token, token:other, userinfo, revoke
// and galaxy. A call counts when it arrives, also where a fault then strikes.
package devrollup
