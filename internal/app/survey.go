package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
)

// Remains is what the data folder of a node that does not run holds.
type Remains struct {
	DataDir string `json:"data_dir"`
	// NodeID is empty where the folder does not say whose it is.
	NodeID    string `json:"node_id"`
	ClusterID string `json:"cluster_id"`
	// CommandVersion is the one in use, as far as this node knew.
	CommandVersion uint32 `json:"command_version"`
	Term           uint64 `json:"term"`
	// LastTerm and LastIndex are of the last entry that is there.
	LastTerm      uint64 `json:"last_term"`
	LastIndex     uint64 `json:"last_index"`
	SnapshotIndex uint64 `json:"snapshot_index"`
	// AppliedIndex is how far the state goes: up to there, a majority had it.
	AppliedIndex uint64 `json:"applied_index"`
	// LastChange is replicated time at the last entry; nil where it is not known.
	LastChange *time.Time     `json:"last_change"`
	Members    []RecoveryPeer `json:"members"`
}

// More compares how much two nodes have: positive where r has more than other.
func (r *Remains) More(other *Remains) int {
	return cmp.Or(cmp.Compare(r.LastTerm, other.LastTerm), cmp.Compare(r.LastIndex, other.LastIndex))
}

// member is the entry of a node in the newest configuration that it knows.
func (r *Remains) member(id string) (RecoveryPeer, bool) {
	for _, m := range r.Members {
		if m.ID == id {
			return m, true
		}
	}
	return RecoveryPeer{}, false
}

// ErrNoDataFolder is returned when a folder is no node's.
var ErrNoDataFolder = errors.New("no data folder of a node")

// opened is a data folder that is looked at while its node does not run.
type opened struct {
	*folder
	raft    *cluster.Remains
	machine *fsm.Machine
}

// openRemains takes a data folder and opens what is in it. Nothing is changed but
// what any start would.
func openRemains(dir, program string, logger *slog.Logger) (_ *opened, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("data-dir: %w", err)
	}
	// Opening makes what is missing, and a slip must not make a folder.
	if _, err := os.Stat(filepath.Join(dir, raftFolder)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data-dir: %w: there is no %s in %s%s", ErrNoDataFolder, raftFolder, dir, keptHint(dir))
	}
	f, err := openFolder(dir, program)
	if err != nil {
		return nil, err
	}
	o := &opened{folder: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	if o.raft, err = cluster.OpenRemains(f.in(raftFolder), logger); err != nil {
		return nil, fmt.Errorf("data-dir: %s: %w", dir, err)
	}
	o.machine, err = fsm.Open(fsm.Options{Dir: f.in(stateFolder), Logger: logger, Halt: func(error) {}})
	if err != nil {
		return nil, fmt.Errorf("data-dir: %s: the state can't be opened: %w; where it is damaged, move %s away: it is made anew of the log and the snapshot",
			dir, err, f.in(stateFolder))
	}
	return o, nil
}

// close closes what is open and lets go of the folder.
func (o *opened) close() error { return errors.Join(o.shut(), o.folder.close()) }

// shut closes what is open and keeps the folder.
func (o *opened) shut() error {
	var err error
	if o.machine != nil {
		err = o.machine.Close()
		o.machine = nil
	}
	if o.raft != nil {
		err = errors.Join(err, o.raft.Close())
		o.raft = nil
	}
	return err
}

func (o *opened) survey() (*Remains, error) {
	owner, err := o.owner()
	if err != nil {
		return nil, err
	}
	facts := o.raft.Facts()
	r := &Remains{
		DataDir: o.path, NodeID: owner, Term: facts.Term, LastTerm: facts.LastTerm, LastIndex: facts.LastIndex,
		SnapshotIndex: facts.SnapshotIndex, Members: []RecoveryPeer{},
	}
	r.CommandVersion, _ = o.machine.CommandVersions()
	r.AppliedIndex, _ = o.machine.Applied()
	ms := facts.ChangedMs
	if ms == 0 {
		ms, _ = o.machine.TimeMs()
	}
	if ms > 0 {
		at := time.UnixMilli(int64(ms)).UTC()
		r.LastChange = &at
	}
	for _, s := range facts.Servers {
		r.Members = append(r.Members, RecoveryPeer{ID: s.ID, Address: s.Address, NonVoter: !s.Voter})
	}
	if r.ClusterID, err = o.raft.ClusterID(o.machine); err != nil {
		return nil, fmt.Errorf("data-dir: %s: %w", o.path, err)
	}
	return r, nil
}

// Survey tells what is left in data folders whose nodes do not run, and which of
// them has the most. Folders of different clusters are refused.
func Survey(dirs []string, program string, logger *slog.Logger) (all []*Remains, best *Remains, err error) {
	for _, dir := range dirs {
		o, err := openRemains(dir, program, logger)
		if err != nil {
			return nil, nil, err
		}
		r, err := o.survey()
		if err := errors.Join(err, o.close()); err != nil {
			return nil, nil, err
		}
		if best != nil && r.ClusterID != "" && best.ClusterID != "" && r.ClusterID != best.ClusterID {
			return nil, nil, fmt.Errorf("data-dir: %w: %s is of cluster %s, %s of %s", ErrOtherCluster, best.DataDir, best.ClusterID, r.DataDir, r.ClusterID)
		}
		if best == nil || r.More(best) > 0 {
			best = r
		}
		all = append(all, r)
	}
	return all, best, nil
}

// ErrOtherCluster is returned when folders are of different clusters.
var ErrOtherCluster = errors.New("the folders are of different clusters")
