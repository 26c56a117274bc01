package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Remains is what raft keeps of a node that does not run: its log, term, vote and
// snapshots. A cluster that has lost its majority for good is founded anew from
// them.
type Remains struct {
	store *store
	facts Facts
}

// Facts is how far a node's log goes, and whom it knows.
type Facts struct {
	// Term is the newest that the node has heard of.
	Term uint64
	// LastIndex and LastTerm are of the last entry that it has, in the log or in a
	// snapshot. Of two nodes the one with the larger term has more, and with equal
	// terms the one with the larger index.
	LastIndex, LastTerm uint64
	// SnapshotIndex and SnapshotTerm are of the newest snapshot; 0 is none.
	SnapshotIndex, SnapshotTerm uint64
	// ChangedMs is replicated time at the last command in the log; 0 where that has none.
	ChangedMs uint64
	// Servers is the newest configuration.
	Servers []Server
}

// keyAnew holds the last entry that a node had when the cluster was founded anew of
// its data. As long as it has no more, nobody has led that cluster.
var keyAnew = []byte("floeberg.founded-anew-at")

// Server is a member as a configuration names it.
type Server struct {
	ID, Address string
	Voter       bool
}

// OpenRemains opens what raft keeps in a folder. Nobody else may have it open.
func OpenRemains(dir string, logger *slog.Logger) (_ *Remains, err error) {
	if _, err := os.Stat(filepath.Join(dir, logFile)); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s in %s", ErrNoRemains, logFile, dir)
	}
	if err := checkStopped(dir); err != nil {
		return nil, fmt.Errorf("%w; where nothing better is left, remove that file", err)
	}
	opts := &Options{Dir: dir, Logger: logger}
	s, err := openStore(opts, newRaftLogger(logger), func(error) {})
	if err != nil {
		return nil, err
	}
	r := &Remains{store: s}
	if err := r.read(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close lets go of the files.
func (r *Remains) Close() error { return r.store.close() }

// Facts tells what is there.
func (r *Remains) Facts() Facts { return r.facts }

func (r *Remains) read() error {
	f := &r.facts
	term, err := r.store.getUint64(keyTerm)
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return logError(err)
	}
	f.Term = term
	snaps, err := r.store.snapshots.List()
	if err != nil {
		return fmt.Errorf("cluster: snapshots: %w", err)
	}
	if len(snaps) > 0 {
		f.SnapshotIndex, f.SnapshotTerm = snaps[0].Index, snaps[0].Term
		f.LastIndex, f.LastTerm = snaps[0].Index, snaps[0].Term
		f.Servers = serversOf(snaps[0].Configuration)
	}
	configured := false
	err = r.store.backwards(func(entry *raft.Log) (done bool, err error) {
		if entry.Index > f.LastIndex {
			f.LastIndex, f.LastTerm = entry.Index, entry.Term
		}
		switch {
		case entry.Type == raft.LogCommand && f.ChangedMs == 0:
			f.ChangedMs, err = fsm.EntryOf(entry).TimeMs()
		case entry.Type == raft.LogConfiguration && !configured:
			configured = true
			f.Servers = serversOf(raft.DecodeConfiguration(entry.Data))
		}
		return configured && f.ChangedMs > 0, err
	})
	if err == nil && f.LastIndex == 0 {
		err = fmt.Errorf("%w: %s belongs to no cluster yet", ErrNoRemains, r.store.dir)
	}
	return err
}

func serversOf(config raft.Configuration) []Server {
	out := make([]Server, 0, len(config.Servers))
	for _, s := range config.Servers {
		out = append(out, Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return out
}

// ClusterID is the cluster's identity; "" where it never got one. A state that was
// not flushed before a crash does not know it yet: then the snapshot or the log does.
func (r *Remains) ClusterID(machine *fsm.Machine) (string, error) {
	view, err := machine.View()
	if err != nil {
		return "", err
	}
	defer view.Close()
	if rec, ok, err := view.Cluster(); ok || err != nil {
		return rec.GetId(), err
	}
	if r.facts.SnapshotIndex > 0 {
		stream, err := r.Snapshot()
		if err != nil {
			return "", err
		}
		header, err := fsm.ReadHeader(stream)
		return header.ClusterID, errors.Join(err, stream.Close())
	}
	// It is in one of the first entries, and without a snapshot they are all there.
	for index := uint64(1); index <= r.facts.LastIndex; index++ {
		var entry raft.Log
		if err := (&logs{r.store}).read(index, &entry); err != nil {
			return "", fmt.Errorf("entry %d: %w", index, logError(err))
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		if id, err := identityIn(entry.Data); id != "" || err != nil {
			return id, err
		}
	}
	return "", nil
}

// identityIn is the identity that an entry gives the cluster, if it does.
func identityIn(data []byte) (string, error) {
	entry, err := command.Decode(data, command.NewestVersion)
	if err != nil {
		return "", err
	}
	for _, c := range entry.GetCommands() {
		for _, w := range c.GetTransaction().GetWrites() {
			if put := w.GetPut(); bytes.Equal(put.GetKey(), state.ClusterKey()) {
				rec := &state.Cluster{}
				err := state.Decode(state.Value{Data: put.GetValue()}, rec)
				return rec.GetId(), err
			}
		}
	}
	return "", nil
}

// Check tells whether a state machine is this node's, so that the log goes on
// where it stands, and whether it must be restored from the snapshot before.
func (r *Remains) Check(machine *fsm.Machine) (needsRestore bool, err error) {
	noRestore, err := r.store.check(machine)
	return !noRestore, err
}

// Snapshot opens the newest snapshot.
func (r *Remains) Snapshot() (io.ReadCloser, error) {
	snaps, err := r.store.snapshots.List()
	if err == nil && len(snaps) == 0 {
		err = ErrLogLost
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: snapshots: %w", err)
	}
	_, stream, err := r.store.snapshots.Open(snaps[0].ID)
	if err != nil {
		return nil, fmt.Errorf("cluster: snapshots: %w", err)
	}
	return stream, nil
}

// replayBatch bounds what is read of the log at once.
const replayBatch = 64

// Replay applies to a state machine what the log has beyond it, to its end. Which
// of the last entries a majority had is not known any more: all count, as raft
// itself does it in a recovery.
func (r *Remains) Replay(ctx context.Context, machine *fsm.Machine) error {
	applied, _ := machine.Applied()
	last, err := (&logs{r.store}).LastIndex()
	if err != nil {
		return logError(err)
	}
	for next := applied + 1; next <= last; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var entries []fsm.Entry
		for ; next <= last && len(entries) < replayBatch; next++ {
			var entry raft.Log
			if err := (&logs{r.store}).read(next, &entry); err != nil {
				return fmt.Errorf("entry %d: %w", next, logError(err))
			}
			entries = append(entries, fsm.EntryOf(&entry))
		}
		if err := machine.Replay(entries); err != nil {
			return err
		}
	}
	return nil
}

// Found writes into a new folder what raft starts from: a snapshot of a state
// machine that has replayed all of these remains, with servers for members, and
// the term and vote that were.
func (r *Remains) Found(dir string, machine *fsm.Machine, servers []Server) (err error) {
	s, err := openStore(&Options{Dir: dir}, r.store.logger, func(error) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, key := range votes {
		value, err := r.store.get(key)
		if errors.Is(err, raftboltdb.ErrKeyNotFound) {
			continue
		}
		if err == nil {
			err = s.set(key, value)
		}
		if err != nil {
			return logError(err)
		}
	}
	if err := s.set(keyAnew, binary.BigEndian.AppendUint64(nil, r.facts.LastIndex)); err != nil {
		return logError(err)
	}
	var config raft.Configuration
	for _, server := range servers {
		suffrage := raft.Nonvoter
		if server.Voter {
			suffrage = raft.Voter
		}
		config.Servers = append(config.Servers, raft.Server{
			Suffrage: suffrage, ID: raft.ServerID(server.ID), Address: raft.ServerAddress(server.Address),
		})
	}
	snap, err := machine.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	// Raft only asks it how to write addresses down.
	_, addresses := raft.NewInmemTransport("")
	// As if the configuration had been there from the first entry on, as in raft's
	// own recovery: every change to it comes later.
	const configuredAt = 1
	sink, err := s.snapshots.Create(raft.SnapshotVersionMax, r.facts.LastIndex, r.facts.LastTerm, config, configuredAt, addresses)
	if err != nil {
		return fmt.Errorf("cluster: snapshots: %w", err)
	}
	return snap.Persist(sink)
}
