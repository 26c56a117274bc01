package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/floeberg/floeberg/fsm"
)

// Log is this node's log, as far as it is committed.
type Log interface {
	// Leads tells whether this node is the leader.
	Leads() bool
	// CommitIndex is the last entry that this node knows to be committed.
	CommitIndex() uint64
	// Committed returns committed entries in order, from one on.
	Committed(from uint64, maxEntries, maxBytes int) ([]fsm.Entry, error)
}

// Bases are the snapshots that the archive goes on from.
type Bases interface {
	// Bases are the oldest and the newest snapshot that are kept; ok is false where
	// there is none.
	Bases(ctx context.Context) (oldest, newest Position, ok bool, err error)
	// Request asks for a new snapshot, soon. It does not wait for it.
	Request(reason string)
}

// ArchiverOptions are what an Archiver is made of.
type ArchiverOptions struct {
	// Archive returns where the log goes; an error while that is not known yet.
	// Required.
	Archive func() (*Archive, error)
	// Log is this node's. Required.
	Log Log
	// Bases are the snapshots beside it. Required.
	Bases Bases
	// LogCut is the error by which Log says that entries are no longer there. Required.
	LogCut error
	// Interval is how often what is new is archived: what may be lost with all
	// machines. Default: 5 s.
	Interval time.Duration
	// PruneInterval is how often segments that no snapshot needs are looked for.
	// Default: 10 min.
	PruneInterval time.Duration
	// Logger gets what operators should see. Default: slog.Default().
	Logger *slog.Logger
}

// Gap is a run of entries that is in no segment and will not be: only a snapshot
// after it can be restored and gone on from.
type Gap struct{ From, To uint64 }

// Status is how far the archive has come, as the node that writes it knows.
type Status struct {
	// Active tells whether this node is the one that writes it now.
	Active bool
	// Archived is the last entry that is in it, At when that was written.
	Archived uint64
	At       time.Time
	// Pending is how many committed entries are not in it yet.
	Pending uint64
	// Failures is how many attempts failed since the last that did not; LastError
	// is why the last of them did.
	Failures  int
	LastError error
	// Gap is what is missing before the newest snapshot has closed it; nil is nothing.
	Gap *Gap
	// Entries and Bytes were archived by this node since it started, and Failed
	// attempts failed.
	Entries, Bytes, Failed uint64
}

// Archiver archives the log while this node leads.
type Archiver struct {
	opts   ArchiverOptions
	cancel context.CancelFunc
	ended  chan struct{}

	// mu guards the status, which is asked for while work waits for a slow store.
	mu     sync.Mutex
	status Status

	// working is held by who archives; it guards what follows.
	working sync.Mutex
	// next is the entry to archive next; 0 while that is not known. prevTerm is the
	// term of the one before, or 0.
	next, prevTerm uint64
	gap            *Gap
	failures       int
	pruned         time.Time
}

const (
	defaultInterval = 5 * time.Second
	defaultPrune    = 10 * time.Minute
	// segmentEntries and segmentBytes bound a segment.
	segmentEntries = 16 << 10
	segmentBytes   = 4 << 20
	// lastWord bounds what is archived when a node stops.
	lastWord = 5 * time.Second
)

// StartArchiver begins to archive in the background.
func StartArchiver(opts ArchiverOptions) (*Archiver, error) {
	if opts.Archive == nil || opts.Log == nil || opts.Bases == nil || opts.LogCut == nil {
		return nil, errors.New("archive: Archive, Log, Bases or LogCut is missing")
	}
	if opts.Interval == 0 {
		opts.Interval = defaultInterval
	}
	if opts.PruneInterval == 0 {
		opts.PruneInterval = defaultPrune
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	a := &Archiver{opts: opts, ended: make(chan struct{}), pruned: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	go a.run(ctx)
	return a, nil
}

// Stop ends it. A node that still leads archives what is new before.
func (a *Archiver) Stop(ctx context.Context) error {
	a.cancel()
	<-a.ended
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		a.opts.Logger.Warn("the end of the log was not archived", "error", err)
	}
	return nil
}

// Status tells how far it has come.
func (a *Archiver) Status() Status {
	a.mu.Lock()
	s := a.status
	a.mu.Unlock()
	if !s.Active || !a.opts.Log.Leads() {
		return Status{Entries: s.Entries, Bytes: s.Bytes, Failed: s.Failed}
	}
	if commit := a.opts.Log.CommitIndex(); s.Archived > 0 && commit > s.Archived {
		s.Pending = commit - s.Archived
	}
	return s
}

func (a *Archiver) note(change func(*Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.status)
}

func (a *Archiver) run(ctx context.Context) {
	defer close(a.ended)
	ticker := time.NewTicker(a.opts.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		// What fails is in the status, and is tried again at the next tick.
		if err := a.Flush(ctx); err == nil && time.Since(a.pruned) >= a.opts.PruneInterval {
			a.prune(ctx)
		}
	}
}

// Flush archives all that is committed and not yet archived, if this node leads.
func (a *Archiver) Flush(ctx context.Context) error {
	a.working.Lock()
	defer a.working.Unlock()
	if !a.opts.Log.Leads() {
		// Whoever leads next finds out anew how far it has come.
		a.next, a.gap, a.failures = 0, nil, 0
		a.note(func(s *Status) { *s = Status{Entries: s.Entries, Bytes: s.Bytes, Failed: s.Failed} })
		return nil
	}
	err := a.flush(ctx)
	switch {
	case err == nil && a.failures > 0:
		a.opts.Logger.Info("the log is archived again", "archived", a.next-1)
		a.failures = 0
	case err != nil && a.failures == 0:
		a.opts.Logger.Warn("the log could not be archived; it is tried again", "error", err)
		fallthrough
	case err != nil:
		a.failures++
	}
	a.note(func(s *Status) {
		s.Active, s.Failures, s.LastError, s.Gap = true, a.failures, err, a.gap
		if err != nil {
			s.Failed++
		}
	})
	return err
}

func (a *Archiver) flush(ctx context.Context) error {
	to, err := a.opts.Archive()
	if err != nil {
		return err
	}
	if a.next == 0 {
		if err := a.locate(ctx, to); err != nil {
			return err
		}
	}
	for {
		entries, err := a.opts.Log.Committed(a.next, segmentEntries, segmentBytes)
		if errors.Is(err, a.opts.LogCut) {
			if err := a.skip(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return a.closeGap(ctx)
		}
		if err := a.write(ctx, to, entries); err != nil {
			return err
		}
	}
}

func (a *Archiver) write(ctx context.Context, to *Archive, entries []fsm.Entry) error {
	s, size, err := to.Write(ctx, a.prevTerm, entries)
	if err != nil {
		return err
	}
	a.next, a.prevTerm = s.Last+1, s.Term
	a.note(func(status *Status) {
		status.Archived, status.At = s.Last, time.Now()
		status.Entries += uint64(len(entries))
		status.Bytes += uint64(size)
	})
	return nil
}

// locate finds out where to go on: after the last segment that is of this node's
// history, else after the oldest snapshot.
func (a *Archiver) locate(ctx context.Context, to *Archive) error {
	segments, err := to.List(ctx)
	if err != nil {
		return err
	}
	oldest, newest, ok, err := a.opts.Bases.Bases(ctx)
	if err != nil {
		return err
	}
	var end Segment
	for _, s := range slices.Backward(segments) {
		if s.Last <= end.Last {
			continue
		}
		same, err := a.inLog(Position{s.Last, s.Term})
		if err != nil {
			return err
		}
		// Where the log is cut there is nothing to compare with, and nothing to go on with.
		if same {
			end = s
		}
	}
	switch {
	case end.Last > 0:
		a.next, a.prevTerm = end.Last+1, end.Term
	case ok:
		a.next, a.prevTerm = oldest.Index+1, oldest.Term
	default:
		// The first snapshot may hold less than what is committed by now.
		a.next, a.prevTerm = 1, 0
	}
	a.gap = nil
	if ok {
		a.gap = missing(segments, newest.Index, a.next)
	} else {
		a.opts.Bases.Request("the log archive has no snapshot to begin with")
	}
	a.note(func(s *Status) { s.Archived = a.next - 1 })
	return nil
}

// missing finds the last entries between a snapshot and the next entry to archive
// that no segment has.
func missing(segments []Segment, snapshot, next uint64) (gap *Gap) {
	reached := snapshot
	for _, s := range append(slices.Clone(segments), Segment{First: next, Last: next}) {
		if s.First > reached+1 && s.First <= next {
			gap = &Gap{reached + 1, s.First - 1}
		}
		reached = max(reached, s.Last)
	}
	return gap
}

// inLog tells whether this node's log has an entry.
func (a *Archiver) inLog(p Position) (bool, error) {
	entries, err := a.opts.Log.Committed(p.Index, 1, 0)
	if errors.Is(err, a.opts.LogCut) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return len(entries) == 1 && entries[0].Term == p.Term, nil
}

// skip goes on where the log does, and notes what is missing.
func (a *Archiver) skip() error {
	from := a.next
	to := a.opts.Log.CommitIndex()
	// The log is cut at its front: the first entry that is there is found by halving.
	low, high := from, to+1
	for low < high {
		middle := low + (high-low)/2
		switch _, err := a.opts.Log.Committed(middle, 1, 0); {
		case err == nil:
			high = middle
		case errors.Is(err, a.opts.LogCut):
			low = middle + 1
		default:
			return err
		}
	}
	gap := Gap{from, low - 1}
	if a.gap != nil {
		gap.From = a.gap.From
	}
	a.gap = &gap
	a.next, a.prevTerm = low, 0
	a.opts.Logger.Warn("entries were cut off the log before they were archived: no point among them can be restored, and none after them before the next snapshot",
		"from", gap.From, "to", gap.To)
	return nil
}

// closeGap forgets a gap once a snapshot lies after it, and asks for one before.
func (a *Archiver) closeGap(ctx context.Context) error {
	if a.gap == nil {
		return nil
	}
	_, newest, ok, err := a.opts.Bases.Bases(ctx)
	if err != nil {
		return err
	}
	if !ok || newest.Index < a.gap.To {
		a.opts.Bases.Request(fmt.Sprintf("entries %d to %d are missing in the log archive", a.gap.From, a.gap.To))
		return nil
	}
	a.opts.Logger.Info("a snapshot lies after the gap in the log archive", "from", a.gap.From, "to", a.gap.To, "snapshot", newest.Index)
	a.gap = nil
	return nil
}

// prune deletes what no snapshot needs. It can wait where it fails.
func (a *Archiver) prune(ctx context.Context) {
	if !a.opts.Log.Leads() {
		return
	}
	a.pruned = time.Now()
	to, err := a.opts.Archive()
	var gone int
	if err == nil {
		var oldest Position
		var ok bool
		if oldest, _, ok, err = a.opts.Bases.Bases(ctx); err == nil && ok {
			gone, err = to.Prune(ctx, oldest.Index)
		}
	}
	switch {
	case err != nil:
		a.opts.Logger.Warn("old log segments were not removed; it is tried again", "error", err)
	case gone > 0:
		a.opts.Logger.Info("removed log segments that no snapshot needs", "segments", gone)
	}
}
