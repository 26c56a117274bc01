package cluster

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/state"
)

// Machine is what a node needs of the replicated state machine; *fsm.Machine is one.
type Machine interface {
	raft.BatchingFSM
	// View returns the state as it is now. The caller closes it.
	View() (*state.View, error)
	// Applied returns the last entry whose effects are in the state.
	Applied() (index, term uint64)
	// WaitApplied waits until the entry is applied.
	WaitApplied(ctx context.Context, index uint64) error
	// Ahead works out what committed entries do to the state before they are
	// applied, ViewAhead returns the state as it then will be; see fsm.Machine.
	Ahead(ctx context.Context, entries []fsm.Entry) (*fsm.Ahead, error)
	ViewAhead(a *fsm.Ahead) (v *state.View, ok bool, err error)
	// TimeMs returns replicated time and when this node learned it.
	TimeMs() (replicated uint64, appliedAt time.Time)
	// CommandVersions returns the command version that is in use in the cluster and
	// the newest one that this machine applies.
	CommandVersions() (inUse, newest uint32)
	// ChecksumAt returns the checksum of the state as it was after an entry, and the
	// entry's term, if that is remembered.
	ChecksumAt(index uint64) (sum [16]byte, term uint64, ok bool)
	// VerifyDisk reads the whole state from disk and compares it with its checksum.
	VerifyDisk(ctx context.Context) (sum [16]byte, index uint64, err error)
	// NeedsRestore tells whether the state must be restored from the snapshot
	// with this index before the log can go on.
	NeedsRestore(latestSnapshotIndex uint64) bool
}

// watchedMachine is the state machine as raft sees it: each batch announces the
// commit that it is the consequence of, before the work, so that followers apply
// it at the same time as the leader does.
type watchedMachine struct {
	Machine
	// configuration learns what is committed before raft answers whoever changed it.
	configuration *configuration
	arrival       *arrival
	before        func()
	after         func(entries int, took time.Duration)
	// damaged is told where a snapshot could not be written because the state is
	// not what it must be.
	damaged func(error)
}

var _ raft.BatchingFSM = (*watchedMachine)(nil)

// ApplyBatch implements raft.BatchingFSM.
func (m *watchedMachine) ApplyBatch(logs []*raft.Log) []any {
	m.before()
	start := time.Now()
	results := m.Machine.ApplyBatch(logs)
	m.configuration.noteEntries(logs)
	m.arrival.take(logs)
	m.after(len(logs), time.Since(start))
	return results
}

// Restore implements raft.FSM.
func (m *watchedMachine) Restore(snapshot io.ReadCloser) error {
	m.arrival.restoring.Add(1)
	defer m.arrival.restoring.Add(-1)
	return m.Machine.Restore(snapshot)
}

// Snapshot implements raft.FSM.
func (m *watchedMachine) Snapshot() (raft.FSMSnapshot, error) {
	snapshot, err := m.Machine.Snapshot()
	if err != nil {
		return nil, err
	}
	return &watchedSnapshot{snapshot, m.damaged}, nil
}

type watchedSnapshot struct {
	raft.FSMSnapshot
	damaged func(error)
}

// Persist implements raft.FSMSnapshot.
func (s *watchedSnapshot) Persist(sink raft.SnapshotSink) error {
	err := s.FSMSnapshot.Persist(sink)
	if errors.Is(err, fsm.ErrCorrupt) {
		s.damaged(err)
	}
	return err
}
