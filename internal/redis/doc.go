// Package redis owns what the replicas share in Redis: answers, sealed, for a
// while, the buckets of budgets, and what callers use of their rate limits. It is a client that never keeps anyone
// waiting: where Redis is away that costs speed, and nothing else.
//
// It leaves what an answer is, and how its key is made, to those who share it, the
// sealing to package vault, and whose turn it is to package budget.
package redis
