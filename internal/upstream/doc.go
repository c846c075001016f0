// Package upstream asks Galaxy and the provider's userinfo endpoint as the user:
// it owns Galaxy's wire format, the meaning of Galaxy's errors, and the saving of
// requests within one operation.
//
// It leaves the access tokens to package grant, userinfo's wire format to
// package passport, and the question whether the user has consented to package
// graph, which asks it before it calls anything here.
package upstream
