// Package secret keeps secrets in the replicated state, in the log, in snapshots and
// backups such that only nodes that hold the cluster key can read them.
//
// Secrets are sealed with data keys. Those are part of the state, each wrapped by the
// cluster key, which is not: every node is given it from outside. A node unwraps the
// data keys once and keeps them in memory, so that no request waits for whoever holds
// the cluster key. A change of either key is the same thing: another data key, wrapped
// by the cluster key of the day, and what is sealed is sealed anew (Rotate).
package secret
