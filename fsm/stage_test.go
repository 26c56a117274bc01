package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

// bring puts a stream into the state, in pieces.
func bring(n uint64, stream []byte) *command.Transaction {
	cut := len(stream) / 3
	return transaction(n, put("stream 1", string(stream[:cut])), put("stream 2", string(stream[cut:])))
}

func giveWay(n uint64, parts ...any) *command.Transaction {
	tx := transaction(n, parts...)
	tx.Restore = &command.Restore{Stream: rangeOf("stream", "streams")}
	return tx
}

// The whole state gives way to the restored one, but for what the log itself
// needs; writes and events of the same transaction come on top.
func TestRestoreByEntry(t *testing.T) {
	t.Parallel()
	theirs := busy(t, "their cluster")
	stream := dump(t, theirs)
	m := open(t, vfs.NewMem())
	one(t, m, 1, 5_000, transaction(100, put("mine", "1"), event("mine")))
	one(t, m, 2, 5_000, bring(101, stream))

	before, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	got := one(t, m, 3, 5_001, giveWay(102, put("mine", "again"), event("restored")))
	if want := (command.Result{Outcome: command.Applied, Revision: 1<<32 + 3, Index: 3}); got != want {
		t.Fatalf("%+v instead of %+v", got, want)
	}
	want := contents(t, theirs)
	delete(want, "b") // it has expired
	want["mine"] = fmt.Sprint("again@", uint64(1<<32+3))
	if diff := cmp.Diff(want, contents(t, m)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok := viewContents(t, before)["stream 1"]; !ok {
		t.Error("a view of the old state has changed")
	}
	verify(t, m)
	if index, term := m.Applied(); index != 3 || term != 1 {
		t.Errorf("applied is %d in term %d", index, term)
	}
	if ms, _ := m.TimeMs(); ms != 5_001 {
		t.Errorf("time went to %d", ms)
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if rec, ok, err := v.Cluster(); err != nil || !ok || rec.GetId() != "their cluster" {
		t.Errorf("the cluster is %v, %v, %v", rec, ok, err)
	}

	// Copies of what was decided before and of the restore itself get the first answer.
	if again := one(t, m, 4, 5_002, giveWay(102)); again != got {
		t.Errorf("a copy got %+v instead of %+v", again, got)
	}
	if again := one(t, m, 5, 5_002, transaction(100, put("mine", "1"))); again.Index != 1 {
		t.Errorf("a copy of a transaction from before was decided anew: %+v", again)
	}
	one(t, m, 6, 5_003, transaction(103, atRevision("mine", 1<<32+3), put("mine", "goes on")))
	if got := contents(t, m)["mine"]; got != fmt.Sprint("goes on@", uint64(1<<32+4)) {
		t.Errorf("the next write: %s", got)
	}
	verify(t, m)
}

// What can't be restored is rejected on every node alike and changes nothing.
func TestRestoreByEntryRefused(t *testing.T) {
	t.Parallel()
	stream := dump(t, busy(t, "c"))
	flipped := bytes.Clone(stream)
	flipped[len(flipped)-40] ^= 1
	for name, broken := range map[string][]byte{
		"nothing": {}, "cut short": stream[:len(stream)-1], "flipped": flipped, "more": append(bytes.Clone(stream), 0), "no snapshot": []byte("something else altogether"),
	} {
		m := open(t, vfs.NewMem())
		one(t, m, 1, 1, bring(1, broken))
		want := contents(t, m)
		got := one(t, m, 2, 2, giveWay(2, put("a", "1")))
		if got.Outcome != command.Rejected || got.Failed != command.Malformed {
			t.Errorf("%s: %+v", name, got)
		}
		if diff := cmp.Diff(want, contents(t, m)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		verify(t, m)
	}

	m := open(t, vfs.NewMem())
	one(t, m, 1, 1, bring(101, stream))
	if got := one(t, m, 2, 2, giveWay(3)); got.Failed != command.Malformed {
		t.Errorf("a snapshot that knows what comes after it: %+v", got)
	}
	if got := one(t, m, 3, 2, giveWay(102, present("missing"))); got.Outcome != command.Rejected || got.Failed != 0 {
		t.Errorf("a precondition that does not hold: %+v", got)
	}
	// Not alone in its entry, which only a faulty proposer could write.
	logs := []*raft.Log{{Index: 4, Term: 1, Type: raft.LogCommand, Data: rawEntry(t, at(3, transaction(103, put("x", "1"))), at(3, giveWay(104)))}}
	results, ok := m.ApplyBatch(logs)[0].([]command.Result)
	if !ok || results[0].Outcome != command.Applied || results[1].Failed != command.Malformed {
		t.Errorf("not alone: %+v", results)
	}
	if _, err := command.Encode(&command.Entry{Commands: []*command.Command{at(3, transaction(3)), at(3, giveWay(4))}}, command.FirstVersion); !errors.Is(err, command.ErrInvalid) {
		t.Errorf("encoding it: %v", err)
	}
	if _, err := command.Encode(&command.Entry{Commands: []*command.Command{at(3, &command.Transaction{Id: id(9), Restore: &command.Restore{}})}}, command.FirstVersion); !errors.Is(err, command.ErrInvalid) {
		t.Errorf("encoding a restore of nothing: %v", err)
	}
}

// The command version in use is the cluster's own: a restore does not lower it, and
// can't raise it past a member that does not know the newer one.
func TestRestoreByEntryKeepsTheCommandVersion(t *testing.T) {
	t.Parallel()
	theirs := busy(t, "c")
	applied, _ := theirs.Applied()
	apply(t, theirs, applied+1, raise(90_000, newestTested-1))
	stream := dump(t, theirs)
	for name, tc := range map[string]struct {
		ours, knows uint32
		outcome     command.Outcome
	}{
		"older":                 {newestTested - 2, newestTested, command.Rejected},
		"older, and knows less": {newestTested - 2, newestTested - 2, command.Rejected},
		"same":                  {newestTested - 1, newestTested - 1, command.Applied},
		"newer":                 {newestTested, newestTested, command.Applied},
	} {
		opts := options(vfs.NewMem(), func(err error) { t.Errorf("%s: halted: %v", name, err) })
		opts.NewestCommand = tc.knows
		m, err := fsm.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, m, 1, raise(1, tc.ours))
		one(t, m, 2, 1, bring(101, stream))
		got := one(t, m, 3, 100_000, giveWay(102, put("mine", "1")))
		if got.Outcome != tc.outcome {
			t.Errorf("%s: %+v", name, got)
		}
		if now := inUse(m); now != tc.ours {
			t.Errorf("%s: version %d is in use, not %d any more", name, now, tc.ours)
		}
		verify(t, m)
		again := open(t, vfs.NewMem())
		if err := restore(again, dump(t, m)); err != nil || inUse(again) != tc.ours {
			t.Errorf("%s: its snapshot: %v, version %d", name, err, inUse(again))
		}
		closeMachine(t, m)
	}
}

// A snapshot that a newer program wrote stops the node, as an unknown command does:
// newer ones take it.
func TestRestoreByEntryOfNewerFormat(t *testing.T) {
	t.Parallel()
	stream := dump(t, busy(t, "c"))
	stream[9]++
	halted := make(chan error, 1)
	m, err := fsm.Open(options(vfs.NewMem(), func(err error) { halted <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer closeMachine(t, m)
	one(t, m, 1, 1, bring(1, stream))
	if err, ok := m.Apply(entryLog(t, 2, at(2, giveWay(2)))).(error); !ok || !errors.Is(err, fsm.ErrNewerFormat) {
		t.Errorf("the answer is %v", err)
	}
	if err := <-halted; !errors.Is(err, fsm.ErrNewerFormat) {
		t.Errorf("halted by %v", err)
	}
	if index, _ := m.Applied(); index != 1 {
		t.Errorf("applied up to %d", index)
	}
}

// A crash at any write to the disk leaves the state before, to which the log is
// applied again, or the one after.
func TestRestoreByEntryCrash(t *testing.T) {
	t.Parallel()
	stream := dump(t, busy(t, "c"))
	logs := []*raft.Log{
		entryLog(t, 1, at(1, transaction(101, put("mine", "1")))),
		entryLog(t, 2, at(2, bring(102, stream))),
		entryLog(t, 3, at(3, giveWay(103, put("mine", "2")))),
		entryLog(t, 4, at(4, transaction(104, put("later", "1")))),
	}
	peaceful := open(t, vfs.NewMem())
	peaceful.ApplyBatch(logs)
	want := dump(t, peaceful)
	if got := contents(t, peaceful)["later"]; got == "" {
		t.Fatal("the last entry was not applied")
	}
	for percent := 0; percent <= 100; percent += 10 {
		fs := vfs.NewCrashableMem()
		m := open(t, fs)
		m.ApplyBatch(logs[:2])
		if percent%20 == 0 {
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		m.ApplyBatch(logs[2:])
		n := &node{t: t, fs: fs, machine: m, rng: rand.New(rand.NewPCG(uint64(percent), 0))}
		n.disturb("power loss")
		n.machine.ApplyBatch(logs)
		if !bytes.Equal(want, dump(t, n.machine)) {
			t.Errorf("%d%%: another state", percent)
		}
		verify(t, n.machine)
		if err := n.machine.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Replay gives the state of every index, as the machine that applied it had it.
func TestReplay(t *testing.T) {
	t.Parallel()
	original := open(t, vfs.NewMem())
	sums := map[uint64][16]byte{}
	var entries []fsm.Entry
	var from []byte
	for i := uint64(1); i <= 20; i++ {
		log := entryLog(t, i, at(1_000+10*i, transaction(i, put("a", string(rune('a'+i))))))
		switch i {
		case 7:
			log = &raft.Log{Index: i, Term: 2, Type: raft.LogConfiguration, Data: []byte{1}}
		case 8:
			log = &raft.Log{Index: i, Term: 2, Type: raft.LogNoop}
		}
		if log.Type != raft.LogNoop {
			original.Apply(log)
		}
		sums[i], _ = original.Checksum()
		entries = append(entries, fsm.EntryOf(log))
		if i == 5 {
			from = dump(t, original)
		}
	}
	for to := 5; to <= 20; to++ {
		m := open(t, vfs.NewMem())
		if err := m.Restore(io.NopCloser(bytes.NewReader(from))); err != nil {
			t.Fatal(err)
		}
		if err := m.Replay(entries[3:to]); err != nil {
			t.Fatal(err)
		}
		if sum, _ := m.Checksum(); sum != sums[uint64(to)] {
			t.Errorf("at %d the state is another one", to)
		}
	}
	if ms, err := entries[3].TimeMs(); err != nil || ms != 1_040 {
		t.Errorf("time %d, %v", ms, err)
	}
	if ms, err := entries[7].TimeMs(); err != nil || ms != 0 {
		t.Errorf("time of an entry without any: %d, %v", ms, err)
	}
	m, err := fsm.Open(options(vfs.NewMem(), func(error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer closeMachine(t, m)
	if err := m.Replay([]fsm.Entry{{Index: 1, Term: 1, Type: entries[0].Type, Data: []byte{9}}}); !errors.Is(err, command.ErrUnknownCommand) {
		t.Errorf("an entry of another program: %v", err)
	}
}
