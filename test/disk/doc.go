// Package disk is a disk that fails on demand: a FUSE file system of the test's
// own, which hands everything on to a folder and can say, at any moment, that
// there is no room, that it can't be written to, or that a sync failed, or take
// its time. Programs see a file system like any other: files may be mapped, locked,
// truncated and synced.
//
// It needs Linux, root and /dev/fuse, and no program.
package disk
