package restore

import (
	"fmt"
	"time"
)

// Request says what to restore.
type Request struct {
	// ID names the restore. Asking again under it is asking for the same one. Required.
	ID string
	// Principal is who asks.
	Principal string
	// From is the URL of the snapshot store; empty is the cluster's own.
	From string
	// ClusterID is whose snapshots; empty is this cluster's own, where there are no others.
	ClusterID string
	// Snapshot is the id of one; empty is the newest that will do.
	Snapshot string
	// ToIndex, ToTime and ToEnd ask for another point than that of the snapshot: the
	// state after that entry of the log, as it was at that moment of replicated time, or
	// after everything that is archived. At most one of them.
	ToIndex uint64
	ToTime  time.Time
	ToEnd   bool
}

const maxID = 128

func (r *Request) check() error {
	points := 0
	for _, given := range []bool{r.ToIndex > 0, !r.ToTime.IsZero(), r.ToEnd} {
		if given {
			points++
		}
	}
	switch {
	case r.ID == "" || len(r.ID) > maxID:
		return fmt.Errorf("%w: a restore needs an id of 1 to %d bytes", ErrBadRequest, maxID)
	case points > 1:
		return fmt.Errorf("%w: a restore goes to an index or to a time, not to both", ErrBadRequest)
	case !r.ToTime.IsZero() && r.ToTime.UnixMilli() <= 0:
		return fmt.Errorf("%w: %s is before there was anything", ErrBadRequest, r.ToTime.Format(time.RFC3339))
	}
	return nil
}

// pointInTime tells whether the log is needed.
func (r *Request) pointInTime() bool { return r.ToIndex > 0 || !r.ToTime.IsZero() || r.ToEnd }
