package fsm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

func inUse(m *fsm.Machine) uint32 {
	version, _ := m.CommandVersions()
	return version
}

// The version in use only goes up, is part of the state that nodes have in common,
// and outlives a restart and the way through a snapshot.
func TestCommandVersionIsState(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	m := open(t, fs)
	if got := inUse(m); got != command.FirstVersion {
		t.Errorf("a new cluster uses version %d", got)
	}
	const newer = command.FirstVersion + 1
	apply(t, m, 1, openTerm(1_000))
	before, _ := m.Checksum()
	if got := apply(t, m, 2, raise(1_000, newer), at(1_001, transaction(1, put("a", "1")))); got[0].Outcome != command.Applied {
		t.Errorf("raising it: %+v", got)
	}
	after, _ := m.Checksum()
	if inUse(m) != newer || before == after {
		t.Errorf("version %d is in use; the checksum went from %x to %x", inUse(m), before, after)
	}
	apply(t, m, 3, raise(1_002, command.FirstVersion))
	if got := inUse(m); got != newer {
		t.Errorf("it went down to %d", got)
	}
	stream := dump(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := inUse(open(t, fs)); got != newer {
		t.Errorf("version %d after a restart", got)
	}
	to := open(t, vfs.NewMem())
	if err := restore(to, stream); err != nil {
		t.Fatal(err)
	}
	verify(t, to)
	if got := inUse(to); got != newer {
		t.Errorf("version %d after a restore", got)
	}
}

// An older program stops at the raise, with everything before it and nothing of
// it or after it, and a newer program goes on from there.
func TestAnOlderProgramStopsAtTheRaise(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]func(t *testing.T) *raft.Log{
		"raise": func(t *testing.T) *raft.Log {
			return entryLog(t, 2, at(1_001, transaction(2, put("b", "1"))), raise(1_001, newestTested))
		},
		"entry of that version": func(t *testing.T) *raft.Log {
			log := entryLog(t, 2, at(1_001, transaction(2, put("b", "1"))))
			log.Data[0] = byte(newestTested)
			return log
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			var halted error
			opts := options(fs, func(err error) { halted = err })
			opts.NewestCommand = newestTested - 1
			old, err := fsm.Open(opts)
			if err != nil {
				t.Fatal(err)
			}
			logs := []*raft.Log{entryLog(t, 1, at(1_000, transaction(1, put("a", "1")))), entry(t)}
			old.ApplyBatch(logs)
			if !errors.Is(halted, command.ErrUnknownCommand) || !strings.Contains(halted.Error(), fmt.Sprintf("version %d", newestTested)) {
				t.Errorf("halted with %v", halted)
			}
			if diff := cmp.Diff(map[string]string{"a": "1@1"}, contents(t, old)); diff != "" {
				t.Errorf("(-before it +now)\n%s", diff)
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			m := open(t, fs)
			m.ApplyBatch(logs)
			if diff := cmp.Diff(map[string]string{"a": "1@1", "b": "1@2"}, contents(t, m)); diff != "" {
				t.Errorf("(-all +a newer program's)\n%s", diff)
			}
		})
	}
}

// A state and a snapshot of a cluster that has gone on are refused by an older
// program, which says what it takes.
func TestAnOlderProgramRefusesANewerState(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	m := open(t, fs)
	apply(t, m, 1, raise(1_000, newestTested))
	stream := dump(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	says := func(err error) bool {
		return errors.Is(err, fsm.ErrNewerCommands) && strings.Contains(err.Error(), fmt.Sprintf("version %d is in use", newestTested))
	}
	opts := options(fs, func(err error) { t.Errorf("halted: %v", err) })
	opts.NewestCommand = newestTested - 1
	if _, err := fsm.Open(opts); !says(err) {
		t.Errorf("opening it: %v", err)
	}
	var halted error
	opts = options(vfs.NewMem(), func(err error) { halted = err })
	opts.NewestCommand = newestTested - 1
	old, err := fsm.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, old, 1, at(1_000, transaction(1, put("a", "1"))))
	if err := restore(old, stream); !says(err) || !says(halted) {
		t.Errorf("restoring it: %v, halted with %v", err, halted)
	}
	if diff := cmp.Diff(map[string]string{"a": "1@1"}, contents(t, old)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}

const goldenRaised = "testdata/state.raised.v1.txt"

// Raising the version leaves the same bytes behind in every version of this program.
func TestGoldenRaisedState(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	apply(t, m, 1, openTerm(1_000))
	apply(t, m, 2, raise(1_001, command.FirstVersion))
	apply(t, m, 3, raise(1_002, command.FirstVersion+1))
	apply(t, m, 4, at(1_003, transaction(1, put("a", "1"))))
	sum, at := m.Checksum()
	got := fmt.Sprintf("checksum at %d: %x\n", at, sum) + rowsOf(t, dump(t, m))
	if diff := cmp.Diff(string(golden(t, goldenRaised, []byte(got))), got); diff != "" {
		t.Errorf("the replicated format changed (-golden +now)\n%s", diff)
	}
}
