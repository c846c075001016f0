// Package galaxydiff owns what our copy of Galaxy's query type is held against:
// Galaxy's own schema, as it tells it, and how the two differ, with what is to be
// added here.
//
// The copy is in schema.graphqls: GalaxyQuery is Galaxy's Query, GalaxyX its X, and
// every other type has Galaxy's own name. What Galaxy can change is not compared:
// there is no copy of its Mutation.
package galaxydiff
