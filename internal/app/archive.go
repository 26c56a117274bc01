package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/ops"
)

// archiveLog has this node archive the log beside the snapshots while it leads.
func (a *App) archiveLog(context.Context) error {
	if a.snapshots == nil || a.config.LogArchiveInterval == 0 {
		return nil
	}
	archiver, err := archive.StartArchiver(archive.ArchiverOptions{
		Archive:  a.openArchive,
		Log:      a.node,
		LogCut:   cluster.ErrLogCut,
		Bases:    &snapshotBases{app: a},
		Interval: a.config.LogArchiveInterval,
		Logger:   a.logger.With(slog.String("room", "archive")),
	})
	if err != nil {
		return err
	}
	a.archiver.Store(archiver)
	a.undo.add("archiving the end of the log", archiver.Stop)
	return nil
}

// openArchive gives the archive of this node's cluster, once it knows which that is.
func (a *App) openArchive() (*archive.Archive, error) {
	id := a.node.ClusterID()
	if id == "" {
		return nil, fmt.Errorf("%w: this node does not know its cluster yet", backup.ErrNotNow)
	}
	opts := archive.Options{Store: a.snapshots.Store, Folder: backup.ClusterFolder(a.snapshots.Root, id), ClusterID: id}
	if a.snapshots.Keys != nil {
		opts.Keys = a.snapshots.Keys
	}
	return archive.Open(opts)
}

// snapshotBases is the snapshots as the archive sees them.
type snapshotBases struct {
	app    *App
	asking atomic.Bool
}

// Bases implements archive.Bases.
func (b *snapshotBases) Bases(ctx context.Context) (oldest, newest archive.Position, ok bool, err error) {
	list, err := b.app.keeper.Load().List(ctx)
	if err != nil || len(list.Snapshots) == 0 {
		return oldest, newest, false, err
	}
	first, last := list.Snapshots[len(list.Snapshots)-1], list.Snapshots[0]
	return archive.Position{Index: first.Index, Term: first.Term}, archive.Position{Index: last.Index, Term: last.Term}, true, nil
}

// Request implements archive.Bases. Where one is being written, or none is there
// yet, one will be without asking.
func (b *snapshotBases) Request(reason string) {
	keeper := b.app.keeper.Load()
	if s := keeper.Status(); s.Writing || s.Newest == nil || b.asking.Swap(true) {
		return
	}
	go func() {
		defer b.asking.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		if _, err := keeper.Create(ctx, ""); err != nil {
			b.app.logger.Warn("a snapshot that the log archive needs was not begun; it is asked for again",
				slog.String("reason", reason), slog.Any("error", err))
		}
	}()
}

// requestTimeout bounds the begin of a snapshot, not its making.
const requestTimeout = 10 * time.Second

// archiveFigures is how it stands with the archive, for metrics.
func (a *App) archiveFigures() []ops.Figure {
	archiver := a.archiver.Load()
	if archiver == nil {
		return nil
	}
	s := archiver.Status()
	out := []ops.Figure{
		{Name: "log_archive_entries_total", Help: "Log entries that this node archived.", Counter: true, Value: float64(s.Entries)},
		{Name: "log_archive_bytes_total", Help: "What they take in the snapshot store.", Counter: true, Value: float64(s.Bytes)},
		{Name: "log_archive_failures_total", Help: "Attempts to archive the log that failed on this node.", Counter: true, Value: float64(s.Failed)},
	}
	if !s.Active {
		return out
	}
	gap := 0.0
	if s.Gap != nil {
		gap = 1
	}
	return append(out,
		ops.Figure{Name: "log_archive_index", Help: "Last log entry that is archived; on the leader.", Value: float64(s.Archived)},
		ops.Figure{Name: "log_archive_pending", Help: "Committed log entries that are not archived yet; on the leader.", Value: float64(s.Pending)},
		ops.Figure{Name: "log_archive_gap", Help: "1 while entries are missing that no snapshot makes up for; on the leader.", Value: gap},
	)
}

// archiveHints is what anybody may know of an archive that is not as it should be.
func (a *App) archiveHints() []string {
	archiver := a.archiver.Load()
	if archiver == nil {
		return nil
	}
	var out []string
	s := archiver.Status()
	if s.Failures > 0 {
		out = append(out, "the log can't be archived to the snapshot store")
	}
	if s.Gap != nil {
		out = append(out, "entries are missing in the log archive until the next snapshot")
	}
	return out
}
