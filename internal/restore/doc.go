// Package restore brings the backup of a cluster into an empty one.
//
// A snapshot, or the state of a point between snapshots that is made of one and of the
// archived log, goes through the new cluster's own log: its stream is written as
// ordinary values, piece by piece, and one last transaction lets the state give way to
// it (see fsm/DESIGN.md). Whatever stops in between, each node has either the state
// before or the one after, and nothing of it is to be seen by anybody else.
//
// How far it has come is a record in the replicated state, so that any node can tell.
// The node that works on it holds a lease; where that runs out, asking again under the
// same id lets another one begin anew, or go on where the state has given way already.
package restore
