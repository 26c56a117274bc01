package backup

import (
	"context"
	"fmt"
	"time"
)

// Retention says which snapshots are kept. The newest one that is whole always is.
type Retention struct {
	// Keep is how many; 0 does not count.
	Keep int
	// MaxAge is how old they get; 0 is as old as they like.
	MaxAge time.Duration
}

// leftoverAge is how old an object without a manifest, or an upload that is not
// finished, must be, by the store's clock, to be a leftover: none takes that long.
const leftoverAge = 24 * time.Hour

// Prune deletes the snapshots that are not to be kept, and leftovers of uploads
// that failed or were cut short; it returns the ids of the former. Damaged snapshots are left to
// people: they are evidence.
func (v *Vault) Prune(ctx context.Context, keep Retention) ([]string, error) {
	l, err := v.List(ctx)
	if err != nil {
		return nil, err
	}
	now := v.opts.Now()
	var ids, manifests, objects []string
	for i, m := range l.Snapshots {
		over := keep.Keep > 0 && i >= keep.Keep || keep.MaxAge > 0 && now.Sub(m.Time) > keep.MaxAge
		if i > 0 && over {
			ids = append(ids, m.ID)
			manifests, objects = append(manifests, v.manifestAt(m.ID)), append(objects, v.objectAt(m))
		}
	}
	for _, object := range l.leftovers {
		if now.Sub(object.Modified) > leftoverAge {
			objects = append(objects, object.Location)
		}
	}
	// Manifests go first: a crash in between leaves leftovers, not damage.
	for _, locations := range [][]string{manifests, objects} {
		if len(locations) == 0 {
			continue
		}
		if err := v.opts.Store.DeleteMany(ctx, locations); err != nil {
			return nil, err
		}
	}
	if _, err := v.opts.Store.AbortUploads(ctx, v.folder(), now.Add(-leftoverAge)); err != nil {
		return ids, fmt.Errorf("uploads that were cut short stay in the store: %w", err)
	}
	return ids, nil
}
