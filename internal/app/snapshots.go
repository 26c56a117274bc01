package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/internal/storage"
)

// NewestSnapshot stands for the id of the newest snapshot.
const NewestSnapshot = backup.NewestID

// Snapshots is a snapshot store that is read without a node.
type Snapshots struct {
	store storage.Store
	vault *backup.Vault
}

// OpenSnapshots opens the snapshot store that the settings name. Where it holds
// snapshots of several clusters, clusterID says whose are meant.
func OpenSnapshots(ctx context.Context, c *config.Config, clusterID string) (_ *Snapshots, err error) {
	root, err := storage.Canonical(c.SnapshotStore)
	if err != nil {
		return nil, err
	}
	if folder, local := strings.CutPrefix(root, "file://"); local {
		// A node makes the folder of its store; who only reads must not.
		if _, err := os.Stat(folder); err != nil {
			return nil, err
		}
	}
	keys, err := snapshotKeys(c.SnapshotKey)
	if err != nil {
		return nil, err
	}
	store, err := storage.Open(root, storeConfig(c))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if clusterID == "" {
		if clusterID, err = onlyCluster(ctx, store, root); err != nil {
			return nil, err
		}
	}
	vault, err := backup.Open(backup.Options{Store: store, Root: root, ClusterID: clusterID, Keys: keys, Hurry: true})
	if err != nil {
		return nil, err
	}
	return &Snapshots{store: store, vault: vault}, nil
}

func onlyCluster(ctx context.Context, store storage.Store, root string) (string, error) {
	ids, err := backup.Clusters(ctx, store, root)
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", fmt.Errorf("%w: there is none in %s", backup.ErrNoSnapshot, root)
	case len(ids) > 1:
		return "", fmt.Errorf("there are snapshots of several clusters in %s: say whose with --cluster-id: %s", root, strings.Join(ids, ", "))
	}
	return ids[0], nil
}

// Close gives the store's connections back.
func (s *Snapshots) Close() { _ = s.store.Close() } // Nothing was written.

// List tells what is there.
func (s *Snapshots) List(ctx context.Context) (*management.BackupList, error) {
	l, err := s.vault.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &management.BackupList{Backups: l.Snapshots}
	for _, d := range l.Damaged {
		out.Damaged = append(out.Damaged, management.DamagedBackup{ID: d.ID, Problem: d.Err.Error()})
	}
	return out, nil
}

// Show gives the manifest of one, or of the newest.
func (s *Snapshots) Show(ctx context.Context, id string) (*management.Backup, error) {
	if id == NewestSnapshot {
		return s.vault.Newest(ctx)
	}
	return s.vault.Find(ctx, id)
}

// Verify restores one into a scratch state in a temporary folder and compares its
// checksum.
func (s *Snapshots) Verify(ctx context.Context, id string, progress func(phase string, done, total int64)) (*management.BackupOperation, error) {
	m, err := s.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	begun := time.Now().UTC()
	found, err := s.vault.Verify(ctx, m, os.TempDir(), func(phase backup.Phase, done, total int64) { progress(string(phase), done, total) })
	if err != nil {
		return nil, err
	}
	end := time.Now().UTC()
	return &management.BackupOperation{
		Kind: backup.KindVerify, Status: backup.StatusDone, Backup: m.ID, Phase: backup.PhaseRestoring, BytesDone: m.Bytes, BytesTotal: m.Bytes,
		StartedAt: begun, FinishedAt: &end, Manifest: m, StateChecksum: found.StateChecksum,
	}, nil
}

// MakeSnapshotKey writes a new key for snapshots to a file that must not exist,
// and gives its recipient.
func MakeSnapshotKey(file string) (recipient string, err error) {
	text, recipient, err := backup.NewKey()
	if err != nil {
		return "", err
	}
	return recipient, makeKeyFile(file, text)
}
