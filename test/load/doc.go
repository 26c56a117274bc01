// Package load is what clients do to a cluster while it is in trouble: several
// workers commit to tables that all share, read them, and create and drop names,
// through all nodes. Every answer goes into a history that can be judged, is
// counted by its code, and is held against what a node may ever say.
package load
