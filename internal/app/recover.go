package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
)

// A recovery builds in buildFolder and then moves what was there into a folder
// whose name begins with keptPrefix.
const (
	buildFolder = "recovering"
	keptPrefix  = "before-recovery-"
)

// RecoveryOptions say what is recovered how.
type RecoveryOptions struct {
	// DataDir is the data folder of a node that does not run. Required.
	DataDir string
	// NodeID is the node's, for folders that do not say it. Default: what the folder says.
	NodeID string
	// Peers are the members of the cluster that is founded; the node itself must be
	// one of its voters. Default: the node alone.
	Peers []RecoveryPeer
	// Version is the program's.
	Version string
	// Logger gets what goes wrong without ending it. Required.
	Logger *slog.Logger
}

// Recovery founds a cluster anew of what one node has, after the majority of the
// old one was lost for good. It holds the data folder until Close.
type Recovery struct {
	// Remains is what the folder has.
	Remains *Remains
	// Peers are the members of the cluster that is founded.
	Peers []RecoveryPeer

	opts   RecoveryOptions
	opened *opened
}

// ErrRecovery is returned when a cluster can't be founded as it was asked for.
var ErrRecovery = errors.New("this can't be recovered so")

// OpenRecovery looks at what there is and whether it can be recovered as asked.
// Nothing is changed before Run.
func OpenRecovery(opts RecoveryOptions) (_ *Recovery, err error) {
	o, err := openRemains(opts.DataDir, opts.Version, opts.Logger)
	if err != nil {
		return nil, err
	}
	r := &Recovery{opts: opts, opened: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.Remains, err = o.survey(); err != nil {
		return nil, err
	}
	switch id := r.Remains.NodeID; {
	case id == "" && opts.NodeID == "":
		return nil, fmt.Errorf("%w: %s does not say whose it is: give the node's --node-id", ErrRecovery, opts.DataDir)
	case id == "":
		r.Remains.NodeID = opts.NodeID
	case opts.NodeID != "" && opts.NodeID != id:
		return nil, fmt.Errorf("node-id: %w: %s belongs to %q, not to %q", ErrOtherNode, opts.DataDir, id, opts.NodeID)
	}
	if r.Peers, err = r.peers(); err != nil {
		return nil, err
	}
	return r, nil
}

// peers are the members of the cluster to be founded.
func (r *Recovery) peers() ([]RecoveryPeer, error) {
	id := r.Remains.NodeID
	if r.opts.Peers == nil {
		own, ok := r.Remains.member(id)
		if !ok {
			return nil, fmt.Errorf("%w: %s is no member of the cluster that %s knows, so its address is not known: name it with --peers",
				ErrRecovery, id, r.opts.DataDir)
		}
		own.NonVoter = false
		return []RecoveryPeer{own}, nil
	}
	for _, p := range r.opts.Peers {
		if p.ID != id {
			continue
		}
		if p.NonVoter {
			return nil, fmt.Errorf("%w: %s has the data, so it has to vote", ErrPeers, id)
		}
		return r.opts.Peers, nil
	}
	return nil, fmt.Errorf("%w: %s, whose folder this is, is not among them", ErrPeers, id)
}

// Close lets go of the data folder.
func (r *Recovery) Close() error { return r.opened.close() }

// Run founds the cluster and returns where the folders are kept that were there
// before. It says what it does to say. Until the very end, nothing of what was
// there is touched; where it is ended in between, either all is as before, or the
// node starts as recovered.
func (r *Recovery) Run(ctx context.Context, say func(format string, args ...any)) (kept string, err error) {
	build := r.opened.in(buildFolder)
	if err := os.RemoveAll(build); err != nil {
		return "", fmt.Errorf("data-dir: %w", err)
	}
	if err := os.Mkdir(build, 0o700); err != nil {
		return "", fmt.Errorf("data-dir: %w", err)
	}
	// Before the folders are moved: the state would be flushed to where it was.
	if err := errors.Join(r.build(ctx, build, say), r.opened.shut()); err != nil {
		return "", errors.Join(err, os.RemoveAll(build))
	}
	kept = r.opened.in(keptPrefix + time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(kept, 0o700); err != nil {
		return "", errors.Join(fmt.Errorf("data-dir: %w", err), os.RemoveAll(build))
	}
	// In this order. Without a log, a node with a state refuses to start; with the
	// new log, the old state and no state are both brought up by its snapshot.
	for _, move := range [][2]string{
		{r.opened.in(raftFolder), filepath.Join(kept, raftFolder)},
		{filepath.Join(build, raftFolder), r.opened.in(raftFolder)},
		{r.opened.in(stateFolder), filepath.Join(kept, stateFolder)},
		{filepath.Join(build, stateFolder), r.opened.in(stateFolder)},
	} {
		if err := os.Rename(move[0], move[1]); err != nil {
			return kept, fmt.Errorf("data-dir: %w; what was there before is in %s", err, kept)
		}
		for _, path := range move {
			if err := syncParent(path); err != nil {
				return kept, fmt.Errorf("data-dir: %w; what was there before is in %s", err, kept)
			}
		}
	}
	if err := os.RemoveAll(build); err != nil {
		return kept, fmt.Errorf("data-dir: %w", err)
	}
	return kept, r.opened.claim(r.Remains.NodeID)
}

// build makes the state at the end of the log, and a Raft folder that starts from it.
func (r *Recovery) build(ctx context.Context, dir string, say func(format string, args ...any)) (err error) {
	machine, err := fsm.Open(fsm.Options{Dir: filepath.Join(dir, stateFolder), Logger: r.opts.Logger, Halt: func(error) {}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	needsRestore, err := r.opened.raft.Check(r.opened.machine)
	if err != nil {
		return err
	}
	if needsRestore {
		say("copying the state from the snapshot of entry %d", r.Remains.SnapshotIndex)
		stream, err := r.opened.raft.Snapshot()
		if err != nil {
			return err
		}
		if err := machine.Restore(stream); err != nil {
			return err
		}
	} else if r.Remains.AppliedIndex > 0 {
		say("copying the state of entry %d", r.Remains.AppliedIndex)
		if err := copyState(r.opened.machine, machine); err != nil {
			return err
		}
	}
	if applied, _ := machine.Applied(); applied < r.Remains.LastIndex {
		say("applying the log from entry %d to %d", applied+1, r.Remains.LastIndex)
	}
	if err := r.opened.raft.Replay(ctx, machine); err != nil {
		return err
	}
	say("writing a snapshot of it with the new members")
	members := make([]cluster.Server, len(r.Peers))
	for i, p := range r.Peers {
		members[i] = cluster.Server{ID: p.ID, Address: p.Address, Voter: !p.NonVoter}
	}
	return r.opened.raft.Found(filepath.Join(dir, raftFolder), machine, members)
}

// copyState brings a new machine to the state of another one. Both compute the
// checksum of all of it, so that damage goes no further.
func copyState(from, to *fsm.Machine) error {
	out, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		_, err := from.WriteSnapshot(in)
		written <- errors.Join(err, in.CloseWithError(err))
	}()
	return errors.Join(to.Restore(out), <-written)
}

// keptHint names what an interrupted recovery has left of a folder without a log.
func keptHint(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, entry := range slices.Backward(entries) {
		if strings.HasPrefix(entry.Name(), keptPrefix) {
			return fmt.Sprintf("; a recovery was interrupted: move %s back to %s and start it again",
				filepath.Join(dir, entry.Name(), raftFolder), filepath.Join(dir, raftFolder))
		}
	}
	return ""
}
