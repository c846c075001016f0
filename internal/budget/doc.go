// Package budget owns how many requests an upstream is sent, and whose turn it is
// where there are too few for everyone: a token bucket whose tokens go to the
// users in fair turns.
//
// Fairness is local: each replica is fair to those who wait there, and the
// replicas' common bucket (Shared) knows no users. What a request is, what the
// bucket of all replicas is kept in, and what a user is told who gets nothing,
// are others' to know.
package budget
