package restore

import "errors"

var (
	// ErrBadRequest is returned when what is asked for contradicts itself.
	ErrBadRequest = errors.New("bad request")
	// ErrNotEmpty is returned when the cluster has something that would be lost.
	ErrNotEmpty = errors.New("the cluster is not empty")
	// ErrUnderWay is returned when another restore is being worked on.
	ErrUnderWay = errors.New("a restore is under way")
	// ErrForeign is returned when there are snapshots of other clusters, and none is named.
	ErrForeign = errors.New("snapshots of another cluster")
	// ErrOutOfRange is returned when nothing in the store gives the point that was
	// asked for.
	ErrOutOfRange = errors.New("not a point that can be restored")
	// ErrNoRestore is returned when there is no restore of that id.
	ErrNoRestore = errors.New("no such restore")

	// errTakenOver ends the work when another node has it.
	errTakenOver = errors.New("another node works on this restore")
	// errRefused is returned when the state machine does not take the stream.
	errRefused = errors.New("the state machine refuses the snapshot: it is damaged, " +
		"or of a cluster that uses newer commands than all nodes of this one know yet")
)
