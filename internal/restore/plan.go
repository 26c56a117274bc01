package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
)

// Place is where backups are.
type Place struct {
	// Store holds them below Root.
	Store interface {
		backup.Store
		archive.Store
	}
	Root string
	// Keys open what is encrypted; nil opens nothing.
	Keys *backup.Keys
	// Close is called when the place is not used any more; nil is nothing to do.
	Close func() error
}

func (p *Place) close() error {
	if p.Close == nil {
		return nil
	}
	return p.Close()
}

// plan is what will be restored, found in the store.
type plan struct {
	place    *Place
	vault    *backup.Vault
	archive  *archive.Archive
	snapshot *backup.Manifest
	request  Request
}

// newPlan finds the snapshot to begin with, and refuses what can't be done while
// whoever asks still listens.
func newPlan(ctx context.Context, place *Place, own string, r Request) (*plan, error) {
	source, err := sourceCluster(ctx, place, own, r.ClusterID)
	if err != nil {
		return nil, err
	}
	p := &plan{place: place, request: r}
	if p.vault, err = backup.Open(backup.Options{
		Store: place.Store, Root: place.Root, ClusterID: source, Keys: place.Keys, Hurry: true,
	}); err != nil {
		return nil, err
	}
	opts := archive.Options{Store: place.Store, Folder: backup.ClusterFolder(place.Root, source), ClusterID: source}
	if place.Keys != nil {
		opts.Keys = place.Keys
	}
	if p.archive, err = archive.Open(opts); err != nil {
		return nil, err
	}
	if err := p.choose(ctx); err != nil {
		return nil, err
	}
	if p.snapshot.Encryption != nil && !place.Keys.CanDecrypt() {
		return nil, fmt.Errorf("%w: snapshot %s is encrypted for %s, and this node has no secret key to open it with: give its --snapshot-key file one",
			backup.ErrKey, p.snapshot.ID, strings.Join(p.snapshot.Encryption.Recipients, ", "))
	}
	return p, nil
}

// sourceCluster finds out whose snapshots are meant. Those of another cluster are
// taken only where it is named: a new cluster that takes another's state for its own
// by accident would write to that one's tables. Where there are others, this
// cluster's own must be named too: it may have written one of its empty state already.
func sourceCluster(ctx context.Context, place *Place, own, asked string) (string, error) {
	there, err := backup.Clusters(ctx, place.Store, place.Root)
	if err != nil {
		return "", err
	}
	switch {
	case len(there) == 0:
		return "", fmt.Errorf("%w: there is none at all in %s", backup.ErrNoSnapshot, place.Root)
	case slices.Contains(there, asked):
		return asked, nil
	case asked != "":
		return "", fmt.Errorf("%w: there is none of cluster %s in %s, but of %s", backup.ErrNoSnapshot, asked, place.Root, strings.Join(there, ", "))
	case len(there) == 1 && there[0] == own:
		return own, nil
	default:
		return "", fmt.Errorf("%w: this cluster is %s, those in %s are of %s; name the one to restore (--cluster-id)",
			ErrForeign, own, place.Root, strings.Join(there, ", "))
	}
}

// choose finds the snapshot.
func (p *plan) choose(ctx context.Context) error {
	l, err := p.vault.List(ctx)
	if err != nil {
		return err
	}
	if p.request.Snapshot != "" {
		if p.snapshot, err = p.named(ctx, l); err != nil {
			return err
		}
	} else if len(l.Snapshots) == 0 {
		return errors.Join(fmt.Errorf("%w: there is no whole one of cluster %s in %s", backup.ErrNoSnapshot, p.vault.ClusterID(), p.place.Root), damages(l))
	}
	if !p.request.pointInTime() {
		if p.snapshot == nil {
			p.snapshot = l.Snapshots[0]
		}
		return nil
	}
	segments, err := p.archive.List(ctx)
	if err != nil {
		return err
	}
	r := &reach{plan: p, snapshots: l.Snapshots, segments: segments}
	if p.snapshot == nil {
		p.snapshot = r.before()
	}
	return r.check(ctx)
}

func (p *plan) named(ctx context.Context, l *backup.Listing) (*backup.Manifest, error) {
	for _, d := range l.Damaged {
		if d.ID == p.request.Snapshot {
			return nil, d.Err
		}
	}
	return p.vault.Find(ctx, p.request.Snapshot)
}

func damages(l *backup.Listing) error {
	var errs []error
	for _, d := range l.Damaged {
		errs = append(errs, d.Err)
	}
	return errors.Join(errs...)
}

// reach tells which points can be restored.
type reach struct {
	plan      *plan
	snapshots []*backup.Manifest // the newest first
	segments  []archive.Segment
}

// before is the newest snapshot that is not after what is asked for; nil is none.
func (r *reach) before() *backup.Manifest {
	q := r.plan.request
	for _, m := range r.snapshots {
		if q.ToEnd || q.ToIndex > 0 && m.Index <= q.ToIndex || !q.ToTime.IsZero() && !m.Time.After(q.ToTime) {
			return m
		}
	}
	return nil
}

// from is the last entry that can be had from a snapshot on.
func (r *reach) from(m *backup.Manifest) uint64 {
	last := m.Index
	for _, s := range r.segments {
		if s.First <= last+1 {
			last = max(last, s.Last)
		}
	}
	return last
}

// check refuses a point that can't be had, and says which can.
func (r *reach) check(ctx context.Context) error {
	q, m := r.plan.request, r.plan.snapshot
	if m == nil {
		return r.refuse(ctx, "it is before the oldest snapshot")
	}
	if q.ToEnd {
		return nil
	}
	end := r.from(m)
	if q.ToIndex > 0 {
		switch {
		case q.ToIndex < m.Index:
			return r.refuse(ctx, fmt.Sprintf("it is before snapshot %s, which holds index %d", m.ID, m.Index))
		case q.ToIndex > end:
			return r.refuse(ctx, "it is after what is archived without a gap")
		}
		return nil
	}
	at, err := r.timeOf(ctx, m, end)
	switch {
	case err != nil:
		return err
	case q.ToTime.Before(m.Time):
		return r.refuse(ctx, fmt.Sprintf("it is before snapshot %s, which is of %s", m.ID, clock(m.Time)))
	case q.ToTime.After(at):
		return r.refuse(ctx, "it is after what is archived without a gap")
	}
	return nil
}

// timeOf is the last replicated time that is told between a snapshot and an entry.
func (r *reach) timeOf(ctx context.Context, m *backup.Manifest, end uint64) (time.Time, error) {
	latest := m.Time
	for _, s := range slices.Backward(r.segments) {
		if s.First > end || s.Last <= m.Index {
			continue
		}
		h, _, err := r.plan.archive.Read(ctx, s)
		if errors.Is(err, archive.ErrDamaged) {
			continue // reading what is needed says so
		}
		if err != nil {
			return latest, err
		}
		if at := time.UnixMilli(int64(h.ToMs)).UTC(); h.ToMs > 0 && at.After(latest) {
			return at, nil
		}
	}
	return latest, nil
}

func (r *reach) refuse(ctx context.Context, why string) error {
	what := fmt.Sprintf("index %d", r.plan.request.ToIndex)
	if !r.plan.request.ToTime.IsZero() {
		what = "time " + clock(r.plan.request.ToTime)
	}
	var ranges []string
	for _, m := range slices.Backward(r.snapshots) {
		end := r.from(m)
		if n := len(ranges); n > 0 && r.from(r.older(m)) >= m.Index {
			continue // the range before goes on to here
		}
		at, err := r.timeOf(ctx, m, end)
		if err != nil {
			return err
		}
		ranges = append(ranges, fmt.Sprintf("index %d (%s) to %d (%s)", m.Index, clock(m.Time), end, clock(at)))
	}
	return fmt.Errorf("%w: %s: %s; there is %s", ErrOutOfRange, what, why, strings.Join(ranges, ", and "))
}

// older is the snapshot before one.
func (r *reach) older(m *backup.Manifest) *backup.Manifest {
	return r.snapshots[min(slices.Index(r.snapshots, m)+1, len(r.snapshots)-1)]
}

// clock shows a moment so that it can be given back.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
