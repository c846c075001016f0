// Package failpoint lets tests kill the process at named points of a refresh,
// to see what a crash there leaves behind. It owns the points' names and, in
// builds with the tag failpoints, the killing; in every other build a point is
// nothing at all. What becomes of the grant is for the rooms that have the
// points, and for docs/crash-matrix.md.
package failpoint
