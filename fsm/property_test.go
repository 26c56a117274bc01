package fsm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

// history draws a log: few keys and identities, so that they meet; clocks that
// go back; copies of transactions that come again; values that expire.
func history(rt *rapid.T) [][]*command.Command {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d", "\x00", "longer name"})
	var sent []*command.Transaction
	now := uint64(1_000_000)

	ends := func() (string, string) {
		from, to := names.Draw(rt, "from"), names.Draw(rt, "to")
		if from > to {
			from, to = to, from
		}
		return from, to + "\x01"
	}
	precondition := func() *command.Precondition {
		switch rapid.IntRange(0, 3).Draw(rt, "precondition") {
		case 0:
			return absent(names.Draw(rt, "absent"))
		case 1:
			return present(names.Draw(rt, "present"))
		case 2:
			return atRevision(names.Draw(rt, "key"), rapid.Uint64Range(0, 12).Draw(rt, "revision"))
		default:
			return empty(ends())
		}
	}
	write := func() *command.Write {
		switch rapid.IntRange(0, 5).Draw(rt, "write") {
		case 0:
			return del(names.Draw(rt, "delete"))
		case 1:
			return delRange(ends())
		case 2:
			expires := now + rapid.SampledFrom([]uint64{0, 1, 50, 3_000}).Draw(rt, "expires in")
			return putUntil(names.Draw(rt, "put"), rapid.StringN(0, 8, 16).Draw(rt, "value"), expires)
		default:
			return put(names.Draw(rt, "put"), rapid.StringN(0, 8, 16).Draw(rt, "value"))
		}
	}
	one := func() *command.Command {
		now += rapid.SampledFrom([]uint64{0, 0, 1, 10, 100, 5_000, 70_000}).Draw(rt, "passes")
		stamp := now - rapid.SampledFrom([]uint64{0, 0, 0, 20}).Draw(rt, "clock behind")
		switch rapid.IntRange(0, 19).Draw(rt, "kind") {
		case 0, 1:
			return openTerm(stamp)
		case 2:
			return raise(stamp, rapid.Uint32Range(command.FirstVersion, newestTested).Draw(rt, "version"))
		}
		if len(sent) > 0 && rapid.IntRange(0, 4).Draw(rt, "again") == 0 {
			return at(stamp, rapid.SampledFrom(sent).Draw(rt, "copy"))
		}
		tx := &command.Transaction{Id: id(uint64(len(sent) + 1))}
		tx.DeadlineMs = now + rapid.SampledFrom([]uint64{0, 5, 1_000}).Draw(rt, "deadline in") -
			rapid.SampledFrom([]uint64{0, 0, 0, 2, 80_000}).Draw(rt, "late by")
		for range rapid.IntRange(0, 2).Draw(rt, "preconditions") {
			tx.Preconditions = append(tx.Preconditions, precondition())
		}
		for range rapid.IntRange(0, 3).Draw(rt, "writes") {
			tx.Writes = append(tx.Writes, write())
		}
		if rapid.Bool().Draw(rt, "event") {
			tx.Events = append(tx.Events, event(rapid.StringN(0, 5, 10).Draw(rt, "payload")))
		}
		sent = append(sent, tx)
		return at(stamp, tx)
	}
	log := make([][]*command.Command, rapid.IntRange(1, 30).Draw(rt, "entries"))
	for i := range log {
		if rapid.IntRange(0, 5).Draw(rt, "restore") == 0 {
			log[i] = append(log[i], at(now, restoring(rt, uint64(10_000+i), now)))
			continue
		}
		for range rapid.IntRange(0, 4).Draw(rt, "commands") {
			log[i] = append(log[i], one())
		}
	}
	return log
}

// restoring is one of the two steps of a restore: to bring the stream into the
// state, in pieces, or to let the state give way to it. Often the one comes
// without the other.
func restoring(rt *rapid.T, n, now uint64) *command.Transaction {
	tx := &command.Transaction{Id: id(n), DeadlineMs: now + 100_000}
	if rapid.Bool().Draw(rt, "bring") {
		stream := string(otherState().stream)
		const head = 20 // says which format it is
		cut := rapid.IntRange(head, len(stream)).Draw(rt, "cut")
		damaged := stream[:cut]
		if cut > head && rapid.IntRange(0, 4).Draw(rt, "damage") == 0 {
			damaged = stream[:cut-1]
		}
		tx.Writes = []*command.Write{put("stream 1", damaged), put("stream 2", stream[cut:])}
		return tx
	}
	tx.Preconditions = []*command.Precondition{present("stream 1")}
	tx.Writes = []*command.Write{put("b", "after the restore")}
	tx.Restore = &command.Restore{Stream: rangeOf("stream", "streams")}
	return tx
}

// logOf encodes a history. Indexes have gaps, as where raft's own entries stand.
func logOf(rt *rapid.T, t *testing.T, entries [][]*command.Command) []*raft.Log {
	var logs []*raft.Log
	index := uint64(0)
	for _, commands := range entries {
		index += rapid.SampledFrom([]uint64{1, 1, 1, 3}).Draw(rt, "step")
		if rapid.IntRange(0, 7).Draw(rt, "configuration") == 0 {
			logs = append(logs, &raft.Log{Index: index, Term: 1, Type: raft.LogConfiguration})
			index++
		}
		logs = append(logs, entryLog(t, index, commands...))
	}
	return logs
}

// The outcomes are those of the model, whatever the entries hold.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		entries := history(rt)
		m := open(t, vfs.NewMem())
		defer closeMachine(t, m)
		want := newModel()
		for i, commands := range entries {
			index := uint64(i + 1)
			results := apply(t, m, index, commands...)
			for n, c := range commands {
				allowed := want.apply(index, c)
				if !slices.Contains(allowed, results[n]) {
					rt.Fatalf("entry %d, command %d: %+v instead of one of %+v", index, n, results[n], allowed)
				}
			}
			if inUse, _ := m.CommandVersions(); inUse != want.version {
				rt.Fatalf("after entry %d command version %d instead of %d", index, inUse, want.version)
			}
			if diff := cmp.Diff(want.contents(), contents(t, m)); diff != "" {
				rt.Fatalf("after entry %d (-model +machine)\n%s", index, diff)
			}
		}
		verify(t, m)
	})
}

func closeMachine(t *testing.T, m *fsm.Machine) {
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Two machines end with the same bytes: one applies entry by entry in peace, the
// other in batches, with restarts, power losses, snapshots and restores anywhere.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		logs := logOf(rt, t, history(rt))
		peaceful := open(t, vfs.NewMem())
		defer closeMachine(t, peaceful)
		sums := map[uint64][16]byte{}
		answers := map[uint64]any{}
		for _, log := range logs {
			answers[log.Index] = peaceful.Apply(log)
			sums[log.Index], _ = peaceful.Checksum()
		}

		n := &node{t: t, fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))}
		n.open()
		defer func() { closeMachine(t, n.machine) }()
		for {
			applied, _ := n.machine.Applied()
			sum, index := n.machine.Checksum()
			if index != applied || (applied > 0 && sums[applied] != sum) {
				rt.Fatalf("checksum %x at %d differs", sum, index)
			}
			rest := after(logs, applied)
			if len(rest) == 0 {
				break
			}
			// A batch may begin with entries that are applied already, as after a start.
			again := rapid.IntRange(0, min(2, len(logs)-len(rest))).Draw(rt, "again")
			size := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			from := len(logs) - len(rest)
			batch := logs[from-again : from+size]
			for i, answer := range n.machine.ApplyBatch(batch) {
				if i < again {
					continue
				}
				if diff := cmp.Diff(answers[batch[i].Index], answer); diff != "" {
					rt.Fatalf("entry %d (-alone +batch)\n%s", batch[i].Index, diff)
				}
			}
			n.disturb(rapid.SampledFrom(disturbances).Draw(rt, "disturbance"))
		}
		if !bytes.Equal(dump(t, peaceful), dump(t, n.machine)) {
			rt.Fatal("the states differ")
		}
		verify(t, n.machine)
		before, _ := peaceful.CommandVersions()
		if after, _ := n.machine.CommandVersions(); before != after {
			rt.Fatalf("command version %d instead of %d", after, before)
		}
		if diff := cmp.Diff(contents(t, peaceful), contents(t, n.machine)); diff != "" {
			rt.Fatalf("(-peaceful +disturbed)\n%s", diff)
		}
	})
}

func after(logs []*raft.Log, applied uint64) []*raft.Log {
	for i, log := range logs {
		if log.Index > applied {
			return logs[i:]
		}
	}
	return nil
}

// node is a machine to which things happen. It keeps the last snapshot, like
// raft's snapshot store, and holds that the log was cut behind it.
type node struct {
	t        *testing.T
	fs       *vfs.MemFS
	rng      *rand.Rand
	machine  *fsm.Machine
	snapshot []byte
	// cut is the index up to which the log is gone.
	cut uint64
}

var disturbances = []string{"nothing", "nothing", "flush", "restart", "power loss", "power loss", "snapshot", "restore", "new node"}

func (n *node) open() {
	m, err := fsm.Open(options(n.fs, func(err error) { n.t.Errorf("halted: %v", err) }))
	if err != nil {
		n.t.Fatal(err)
	}
	n.machine = m
	if n.machine.NeedsRestore(n.cut) {
		n.t.Errorf("entries up to %d are in no place any more", n.cut)
	}
}

func (n *node) disturb(how string) {
	switch how {
	case "flush":
		if err := n.machine.Flush(); err != nil {
			n.t.Error(err)
		}
	case "restart":
		before, _ := n.machine.Applied()
		closeMachine(n.t, n.machine)
		n.open()
		if after, _ := n.machine.Applied(); after != before {
			n.t.Errorf("a clean restart went from index %d to %d", before, after)
		}
	case "power loss":
		crashed := n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: n.rng.IntN(101), RNG: n.rng})
		closeMachine(n.t, n.machine)
		n.fs = crashed
		n.open()
	case "snapshot":
		n.takeSnapshot()
	case "restore":
		if n.snapshot == nil {
			return
		}
		if err := restore(n.machine, n.snapshot); err != nil {
			n.t.Error(err)
		}
	case "new node":
		if n.snapshot == nil {
			return
		}
		closeMachine(n.t, n.machine)
		n.fs, n.cut = vfs.NewCrashableMem(), 0
		n.open()
		if err := restore(n.machine, n.snapshot); err != nil {
			n.t.Error(err)
		}
	}
}

func (n *node) takeSnapshot() {
	s, err := n.machine.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	defer s.Release()
	sink := &memorySink{}
	if err := s.Persist(sink); err != nil || !sink.closed || sink.cancelled {
		n.t.Fatalf("snapshot: %v, %+v", err, sink)
	}
	n.snapshot = sink.Bytes()
	n.cut, _ = n.machine.Applied()
}

// memorySink is a raft.SnapshotSink.
type memorySink struct {
	bytes.Buffer
	closed, cancelled bool
	failAfter         int
}

func (s *memorySink) Write(p []byte) (int, error) {
	if s.failAfter > 0 && s.Len()+len(p) > s.failAfter {
		return 0, fmt.Errorf("sink: disk full")
	}
	return s.Buffer.Write(p)
}

func (s *memorySink) ID() string    { return "memory" }
func (s *memorySink) Close() error  { s.closed = true; return nil }
func (s *memorySink) Cancel() error { s.cancelled = true; return nil }
