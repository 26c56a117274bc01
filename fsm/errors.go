package fsm

import "errors"

var (
	// ErrClosed is returned when the machine is asked for something after Close.
	ErrClosed = errors.New("fsm: closed")
	// ErrHalted is returned when the machine has stopped applying; it wraps the reason.
	ErrHalted = errors.New("fsm: halted")
	// ErrNewerFormat is returned when a data folder or a snapshot was written by a
	// program that is newer than this one.
	ErrNewerFormat = errors.New("fsm: written by a newer program")
	// ErrNewerCommands is returned when a state or a snapshot is of a cluster that
	// uses a newer command version than this program applies.
	ErrNewerCommands = errors.New("fsm: the cluster uses newer commands than this program knows")
	// ErrCorrupt is returned when stored bytes are not what was written.
	ErrCorrupt = errors.New("fsm: corrupt state")
	// ErrBadSnapshot is returned when a snapshot stream is damaged, cut short or
	// none at all.
	ErrBadSnapshot = errors.New("fsm: damaged snapshot")
	// ErrForeignSnapshot is returned when a snapshot is of another cluster.
	ErrForeignSnapshot = errors.New("fsm: snapshot of another cluster")
	// ErrReservedKey is returned when a view is asked for a key that belongs to
	// the machine.
	ErrReservedKey = errors.New("fsm: key in a reserved keyspace")
)
