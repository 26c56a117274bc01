// Package manifest reads the two kinds of Avro files that lead from a snapshot
// to its data: manifest lists and manifests.
//
// It is pure like the room around it: bytes in, entries out, one block of a file
// in memory at a time. What clients wrote is not trusted: sizes and depths are
// bounded, and whatever is wrong is an error. Fields are found by name in the
// schema that the file brings along, so files of every version of the format
// are read by the same code, and what is not asked for is skipped undecoded.
package manifest
