// Package telemetry owns what the process tells its operators: the form of its
// log, with a net under it that masks what looks like a secret, its metrics, and its
// traces.
//
// It leaves what is worth telling to whoever knows it: rooms take an
// *slog.Logger, and small functions to report to.
package telemetry
