// Package config owns the environment: it reads it once, checks all of it, and
// reports every problem at once, by the variable's name. Rooms receive values,
// never names of variables.
package config
