// Package conformance runs released Iceberg clients against a cluster of three
// real processes, with a different node for every request, and against Iceberg's
// own reference server: what a client sees is the same, but for differences that
// are listed with their reason. What docs/clients.md shows is what is run.
package conformance
