package restore

import (
	"encoding/hex"
	"time"

	"github.com/floeberg/floeberg/fsm/state"
)

// Status is how far a restore has come.
type Status string

// The statuses.
const (
	// Copying makes and reads the snapshot and brings it into the log. The cluster is
	// as it was.
	Copying Status = "copying"
	// Checking looks for metadata files. The state is the restored one.
	Checking Status = "checking"
	// Done is the end.
	Done Status = "done"
	// Failed is the end, too. The cluster is as it was.
	Failed Status = "failed"
	// Interrupted is one that nobody works on any more: asked for again under its id,
	// it goes on.
	Interrupted Status = "interrupted"
)

// Restore is how a restore stands.
type Restore struct {
	ID     string
	Status Status
	// Node works on it, or did last.
	Node              string
	Started, Finished time.Time
	// Store, ClusterID and Snapshot are what is restored from.
	Store, ClusterID, Snapshot string
	// Index and Term are of the last log entry that is in the restored state, Time is
	// replicated time at that entry, Checksum that of the state, which all nodes
	// compared. Until it is known, Index is how far the log has been applied.
	Index, Term uint64
	Time        time.Time
	Checksum    string
	// BytesRead of BytesTotal of the snapshot were read, Entries of the log applied to it, and
	// BytesWritten brought into the log.
	BytesRead, BytesTotal, Entries, BytesWritten uint64
	// Tables is how many tables and views there are; the metadata files of Checked were
	// looked for, and MissingCount were not there. Missing are the first of those.
	Tables, Checked, MissingCount uint64
	Missing                       []*state.MissingFile
	// Unchecked could not be looked for, and why the last of them.
	Unchecked       uint64
	UncheckedReason string
	// Error is why it failed.
	Error string
	// LogIndex is the entry of this cluster's log that this reflects.
	LogIndex uint64
}

func show(s *state.Restore, index, nowMs uint64) *Restore {
	status := map[state.RestoreStatus]Status{
		state.RestoreStatus_RESTORE_STATUS_COPYING:  Copying,
		state.RestoreStatus_RESTORE_STATUS_CHECKING: Checking,
		state.RestoreStatus_RESTORE_STATUS_DONE:     Done,
		state.RestoreStatus_RESTORE_STATUS_FAILED:   Failed,
	}[s.GetStatus()]
	if underWay(s) && s.GetLeaseMs() <= nowMs {
		status = Interrupted
	}
	return &Restore{
		ID: s.GetId(), Status: status, Node: s.GetNode(), Started: moment(s.GetStartedMs()), Finished: moment(s.GetFinishedMs()),
		Store: s.GetStore(), ClusterID: s.GetClusterId(), Snapshot: s.GetSnapshot(),
		Index: s.GetIndex(), Term: s.GetTerm(), Time: moment(s.GetTimeMs()), Checksum: hex.EncodeToString(s.GetChecksum()),
		BytesRead: s.GetBytesRead(), BytesTotal: s.GetBytesTotal(), Entries: s.GetEntries(), BytesWritten: s.GetBytesWritten(),
		Tables: s.GetTables(), Checked: s.GetChecked(), MissingCount: s.GetMissingCount(), Missing: s.GetMissing(),
		Unchecked: s.GetUnchecked(), UncheckedReason: s.GetUncheckedReason(), Error: s.GetError(), LogIndex: index,
	}
}

func moment(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
