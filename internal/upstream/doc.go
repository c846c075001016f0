// Package upstream asks Galaxy and the provider's userinfo endpoint as the user: it
// owns the meaning of Galaxy's errors, the sharing of answers among a user's
// operations and replicas, and what keeps an upstream that is in trouble from being
// asked more.
//
// What an operation asks of Galaxy, and what of its answer is whose, is package
// plan's; whose turn it is, package budget's. It leaves the access tokens to package
// grant, userinfo's wire format to package passport, and the question whether the
// user has consented to package graph, which asks it before it calls anything here.
package upstream
