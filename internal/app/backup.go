package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/restore"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/ops"
)

// backupService is the part of a node that others ask about snapshots.
const backupService = "backup"

// keepSnapshots has this node take part in keeping snapshots in an object store.
func (a *App) keepSnapshots(context.Context) error {
	// What a trial of a snapshot left that was cut by the end of the process.
	if err := os.RemoveAll(a.folder.in(scratchFolder)); err != nil {
		return fmt.Errorf("data-dir: %w", err)
	}
	c := a.config
	if c.SnapshotStore == "" {
		return nil
	}
	root, err := storage.Canonical(c.SnapshotStore)
	if err != nil {
		return fmt.Errorf("snapshot-store: %w", err)
	}
	stores := a.storeConfig()
	stores.Private = true
	store, err := storage.Open(root, stores)
	if err != nil {
		return fmt.Errorf("snapshot-store: %w", err)
	}
	a.undo.add("closing the snapshot store", func(context.Context) error { return store.Close() })
	keys, err := snapshotKeys(c.SnapshotKey)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.folder.in(scratchFolder), 0o700); err != nil {
		return fmt.Errorf("data-dir: %w", err)
	}
	a.snapshots = &restore.Place{Store: store, Root: root, Keys: keys}
	keeper, err := backup.StartKeeper(backup.KeeperOptions{
		Store: store, Root: root, Keys: keys,
		ClusterID: a.node.ClusterID,
		Source:    a.machine,
		Revision: func() (uint64, error) {
			f, err := a.machine.Metrics()
			return f.Revision, err
		},
		About:     a.aboutSnapshot,
		Leading:   a.node.Leads,
		Peers:     backupPeers{a},
		Now:       func() time.Time { return time.UnixMilli(int64(a.node.NowMs())) },
		Interval:  c.SnapshotUploadInterval,
		Retention: backup.Retention{Keep: c.SnapshotKeep, MaxAge: c.SnapshotMaxAge},
		Scratch:   a.folder.in(scratchFolder),
		Beside:    a.archiveHints,
		Room:      func() (int64, error) { return roomAt(a.folder.path) },
		Logger:    a.logger.With(slog.String("room", "backup")),
		Observer:  backup.Observer{Uploaded: a.metrics.SnapshotUploaded, UploadFailed: a.metrics.SnapshotUploadFailed},
	})
	if err != nil {
		return err
	}
	a.keeper.Store(keeper)
	a.undo.add("ending work on snapshots", keeper.Stop)
	return nil
}

// snapshotKeys reads the file of keys, if there is one.
func snapshotKeys(file string) (*backup.Keys, error) {
	if file == "" {
		return nil, nil
	}
	keys, err := backup.ReadKeys(file)
	if err != nil {
		return nil, fmt.Errorf("snapshot-key: %w", err)
	}
	return keys, nil
}

// aboutSnapshot is what a manifest tells of who wrote it.
func (a *App) aboutSnapshot() backup.About {
	about := backup.About{Node: a.config.NodeID, Version: a.opts.Version}
	for _, p := range a.node.Status().Peers {
		if p.Member {
			about.Members = append(about.Members, backup.Member{ID: p.ID, Address: p.Cluster, Voter: p.Voter})
		}
	}
	return about
}

// answerBackup answers other nodes about snapshots.
func (a *App) answerBackup(ctx context.Context, question []byte) ([]byte, error) {
	keeper := a.keeper.Load()
	if keeper == nil {
		return nil, errors.New("this node has no snapshot store, or is starting")
	}
	return keeper.Answer(ctx, question)
}

// backupPeers is the cluster as the keepers of snapshots see it.
type backupPeers struct{ app *App }

// LeaderID implements backup.Peers.
func (p backupPeers) LeaderID() string { return p.app.node.LeaderID() }

// Ask implements backup.Peers.
func (p backupPeers) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	answer, err := p.app.node.AskService(ctx, node, backupService, question)
	if errors.Is(err, cluster.ErrNoSuchNode) {
		return nil, fmt.Errorf("%w: %s", backup.ErrNoNode, node)
	}
	return answer, err
}

// backups is the operators' side of snapshots; nil where there is no store.
func (a *App) backups() management.Backups {
	if keeper := a.keeper.Load(); keeper != nil {
		return keeper
	}
	return nil
}

// snapshotFigures is how it stands with snapshots, for metrics.
func (a *App) snapshotFigures() []ops.Figure {
	keeper := a.keeper.Load()
	if keeper == nil {
		return nil
	}
	s := keeper.Status()
	if s.AgeSeconds == nil {
		return nil
	}
	return []ops.Figure{
		{Name: "snapshot_age_seconds", Help: "Age of the newest snapshot in the snapshot store; 0 while nothing has changed since.", Value: *s.AgeSeconds},
	}
}

// snapshotNote is what a status says of snapshots: what the leader knows, since it
// writes them.
func (a *App) snapshotNote(ctx context.Context) statusNote {
	keeper := a.keeper.Load()
	if keeper == nil {
		return statusNote{}
	}
	s := keeper.ClusterStatus(ctx)
	note := statusNote{Warnings: s.Warnings}
	if s.AgeSeconds != nil {
		age := time.Duration(*s.AgeSeconds * float64(time.Second))
		note.SnapshotAge = &age
	}
	return note
}

// snapshotHints is what anybody may know of snapshots that are not as they should
// be.
func (a *App) snapshotHints() []string {
	keeper := a.keeper.Load()
	if keeper == nil {
		return nil
	}
	return keeper.Status().Hints
}
