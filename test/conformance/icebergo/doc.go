// Package icebergo drives the REST catalog client of iceberg-go, the client
// library that programs in Go use. It is a module of its own, so that what that
// library needs is no dependency of the product. The tests of the folder above
// run it, against Iceberg's reference server and against three nodes.
package icebergo
