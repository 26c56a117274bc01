// Package certs makes and describes the certificates of a cluster: an authority of
// its own, and one certificate for each node.
package certs
