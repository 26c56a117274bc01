package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

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
	// TimeMs returns replicated time and when this node learned it.
	TimeMs() (replicated uint64, appliedAt time.Time)
	// CommandVersions returns the command version that is in use in the cluster and
	// the newest one that this machine applies.
	CommandVersions() (inUse, newest uint32)
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
	before        func()
	after         func(entries int, took time.Duration)
}

var _ raft.BatchingFSM = (*watchedMachine)(nil)

// ApplyBatch implements raft.BatchingFSM.
func (m *watchedMachine) ApplyBatch(logs []*raft.Log) []any {
	m.before()
	start := time.Now()
	results := m.Machine.ApplyBatch(logs)
	m.configuration.noteEntries(logs)
	m.after(len(logs), time.Since(start))
	return results
}
