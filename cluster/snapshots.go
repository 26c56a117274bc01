package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/raft"
	"github.com/zeebo/xxh3"
)

const (
	// snapshotFolder and halfSnapshot are where raft writes snapshots and what ends
	// the names of those that are not whole yet.
	snapshotFolder = "snapshots"
	halfSnapshot   = ".tmp"
	// damagedFolder is where damaged ones are kept, for whoever wants to look.
	damagedFolder = "damaged-snapshots"
	// describedIn and stateIn are raft's files of one snapshot. Raft has a checksum
	// of the second in the first, and none of the first: that one is in sealedIn.
	describedIn = "meta.json"
	stateIn     = "state.bin"
	sealedIn    = "meta.sum"
)

// snapshotFiles are raft's snapshots on disk. A damaged one is set aside when it
// is found: nothing is restored from it, and nobody gets it.
type snapshotFiles struct {
	raft.SnapshotStore
	dir    string
	logger *raftLogger
	// lost has room for one word: that a snapshot was set aside.
	lost chan struct{}
}

func openSnapshots(dir string, logger *raftLogger) (*snapshotFiles, error) {
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, retainSnapshots, logger)
	if err != nil {
		return nil, err
	}
	return &snapshotFiles{SnapshotStore: files, dir: dir, logger: logger, lost: make(chan struct{}, 1)}, nil
}

func (f *snapshotFiles) path(id, name string) string {
	return filepath.Join(f.dir, snapshotFolder, id, name)
}

// List implements raft.SnapshotStore.
func (f *snapshotFiles) List() ([]*raft.SnapshotMeta, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, snapshotFolder))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasSuffix(entry.Name(), halfSnapshot) {
			continue
		}
		if err := f.checkDescription(entry.Name()); err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
	}
	return f.SnapshotStore.List()
}

// Open implements raft.SnapshotStore.
func (f *snapshotFiles) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if err := f.checkDescription(id); err != nil {
		return nil, nil, err
	}
	meta, stream, err := f.SnapshotStore.Open(id)
	var refused *fs.PathError
	var failed syscall.Errno
	if err == nil || errors.As(err, &refused) || errors.As(err, &failed) {
		return meta, stream, err
	}
	return nil, nil, f.setAside(id, stateIn, err)
}

// checkDescription checks what raft wrote of a snapshot. One without a checksum,
// of an earlier version or from before a crash, gets it now.
func (f *snapshotFiles) checkDescription(id string) error {
	want, err := f.sum(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil // raft has removed it meanwhile, or does not count it
	}
	if err != nil {
		return err
	}
	got, err := os.ReadFile(f.path(id, sealedIn))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return f.seal(id)
	case err != nil:
		return err
	case strings.TrimSpace(string(got)) != want:
		return f.setAside(id, describedIn, errBadSeal)
	}
	return nil
}

func (f *snapshotFiles) sum(id string) (string, error) {
	description, err := os.ReadFile(f.path(id, describedIn))
	sum := xxh3.Hash128(description).Bytes()
	return hex.EncodeToString(sum[:]), err
}

// seal writes the checksum of a snapshot's description.
func (f *snapshotFiles) seal(id string) error {
	sum, err := f.sum(id)
	if err != nil {
		return err
	}
	return replaceFile(f.path(id, sealedIn), []byte(sum+"\n"))
}

// setAside takes a damaged snapshot out of raft's sight and returns what it was.
func (f *snapshotFiles) setAside(id, name string, why error) error {
	err := fmt.Errorf("%w: %s: %w", ErrDamaged, f.path(id, name), why)
	kept := filepath.Join(f.dir, damagedFolder, id)
	moved := os.MkdirAll(filepath.Dir(kept), 0o700)
	if moved == nil {
		moved = os.Rename(f.path(id, ""), kept)
	}
	if moved != nil {
		return errors.Join(err, fmt.Errorf("it can't be set aside: %w", moved))
	}
	f.logger.Error("a snapshot of this node's is damaged: it is neither used nor sent, and is kept for a look; it can be removed",
		"error", err, "kept_in", kept)
	select {
	case f.lost <- struct{}{}:
	default:
	}
	return err
}

// Create implements raft.SnapshotStore.
func (f *snapshotFiles) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport,
) (raft.SnapshotSink, error) {
	sink, err := f.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
	if err != nil {
		return nil, err
	}
	return &sealingSink{SnapshotSink: sink, files: f}, nil
}

type sealingSink struct {
	raft.SnapshotSink
	files *snapshotFiles
}

// Close implements raft.SnapshotSink.
func (s *sealingSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	return s.files.seal(s.ID())
}

// replaceSnapshots takes a new snapshot where one was set aside: without one, a
// leader has nothing to send to a node that the log is too short for.
func (n *Node) replaceSnapshots(ctx context.Context) {
	for {
		select {
		case <-n.store.files.lost:
		case <-ctx.Done():
			return
		}
		for {
			applied, _ := n.machine.Applied()
			err := n.raft.Snapshot().Error()
			if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
				n.logger.Error("the damaged snapshot could not be replaced; the next one in turn will", "error", err)
			}
			if !errors.Is(err, raft.ErrNothingNewToSnapshot) || n.machine.WaitApplied(ctx, applied+1) != nil {
				break
			}
		}
	}
}
