package backup

import "errors"

var (
	// ErrNoSnapshot is returned when there is no snapshot of that id, or none at all.
	ErrNoSnapshot = errors.New("no such snapshot")
	// ErrDamaged is returned when a snapshot or its manifest is not what was written.
	ErrDamaged = errors.New("damaged snapshot")
	// ErrNewerFormat is returned when a snapshot was written by a newer program.
	ErrNewerFormat = errors.New("snapshot of a newer program")
	// ErrForeign is returned when a snapshot is of another cluster.
	ErrForeign = errors.New("snapshot of another cluster")
	// ErrKey is returned when there is no key for a snapshot, or keys can't be read.
	ErrKey = errors.New("snapshot key")
	// ErrNoStore is returned when a node has no snapshot store.
	ErrNoStore = errors.New("there is no snapshot store: start the nodes with --snapshot-store")
	// ErrNotNow is returned when nothing was begun and a later try may succeed.
	ErrNotNow = errors.New("not now")
	// ErrKeyReused is returned when the key of a request was that of another one.
	ErrKeyReused = errors.New("the Idempotency-Key was used for another request")
	// ErrNoNode is what Peers return of a node that the cluster does not have.
	ErrNoNode = errors.New("no such node")
	// ErrNoOperation is returned when nobody knows of an operation (any more).
	ErrNoOperation = errors.New("no such operation")
)
