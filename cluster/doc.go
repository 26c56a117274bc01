// Package cluster makes many nodes one: the Raft node around the state machine,
// the one port on which nodes speak to each other, proposals from any node,
// linearizable reads on any node, discovery and bootstrap.
//
// DESIGN.md beside this file says why it is as it is.
package cluster
