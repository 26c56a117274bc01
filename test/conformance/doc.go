// Package conformance runs released Iceberg clients against a cluster of three
// real processes, with a different node for every request.
package conformance
