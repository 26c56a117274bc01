// Package scale holds tests with very many tables: what a cluster that has grown
// must still do. Run as they are they are small; SCALE_TABLES says how
// many tables it shall be.
package scale
