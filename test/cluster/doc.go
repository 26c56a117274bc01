// Package cluster starts floeberg as its users do: as separate processes of the
// real program, each with a data directory and ports of its own, that can be
// killed, paused, ended and started again.
//
// The program is built once per test run; FLOEBERG_BIN names a ready one
// instead. Everything that is waited for has a deadline, and the message says
// what was waited for. Every process is ended by its own id.
package cluster
