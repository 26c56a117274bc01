package fsm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

// strange are entries that a newer program, or a fault, could have put in the log.
func strange(t *testing.T) map[string][]byte {
	known := rawEntry(t, at(9, transaction(90, put("z", "9"))))
	field := func(number protowire.Number) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), 1)
	}
	nested := func(number protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), inner)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	return map[string][]byte{
		"no bytes":          {},
		"newer version":     join([]byte{byte(newestTested + 1)}, known[1:]),
		"version zero":      join([]byte{0}, known[1:]),
		"not an entry":      {1, 0xFF, 0xFF},
		"cut short":         known[:len(known)-1],
		"field of entry":    join(known, field(2)),
		"command of a kind": join(known, nested(1, nested(9, nil))),
		"command of none":   join(known, nested(1, nil)),
		"field of command":  join(known, nested(1, join(nested(3, nil), field(17)))),
		"transaction field": join(known, nested(1, nested(2, field(17)))),
		"precondition":      join(known, nested(1, nested(2, nested(3, nested(9, nil))))),
		"precondition none": join(known, nested(1, nested(2, nested(3, nil)))),
		"write":             join(known, nested(1, nested(2, nested(4, nested(9, nil))))),
		"write of none":     join(known, nested(1, nested(2, nested(4, nil)))),
		"put field":         join(known, nested(1, nested(2, nested(4, nested(1, field(17)))))),
		"range field":       join(known, nested(1, nested(2, nested(4, nested(3, field(17)))))),
		"event field":       join(known, nested(1, nested(2, nested(5, field(17))))),
	}
}

// An entry that isn't known in full stops the machine before any of it is
// applied; what came before it stays.
func TestUnknownEntryHalts(t *testing.T) {
	t.Parallel()
	for name, data := range strange(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var halts []error
			m, err := fsm.Open(options(vfs.NewMem(), func(err error) { halts = append(halts, err) }))
			if err != nil {
				t.Fatal(err)
			}
			defer closeMachine(t, m)
			one(t, m, 1, 1, transaction(1, put("a", "1")))
			answers := m.ApplyBatch([]*raft.Log{
				entryLog(t, 2, at(2, transaction(2, put("b", "1")))),
				{Index: 3, Term: 1, Type: raft.LogCommand, Data: data},
				entryLog(t, 4, at(4, transaction(4, put("d", "1")))),
			})
			if diff := cmp.Diff([]command.Result{{Outcome: command.Applied, Revision: 2, Index: 2}}, answers[0]); diff != "" {
				t.Errorf("the entry before it (-want +got)\n%s", diff)
			}
			for i, answer := range answers[1:] {
				err, _ := answer.(error)
				if !errors.Is(err, command.ErrUnknownCommand) && !errors.Is(err, command.ErrMalformed) {
					t.Errorf("answer to entry %d: %v", i+3, answer)
				}
			}
			if len(halts) != 1 || !strings.Contains(halts[0].Error(), "entry 3") {
				t.Errorf("halted with %v", halts)
			}
			checkHalted(t, m)
			if len(halts) != 1 {
				t.Errorf("halted again: %v", halts)
			}
		})
	}
}

func checkHalted(t *testing.T, m *fsm.Machine) {
	t.Helper()
	if err, _ := m.Apply(entryLog(t, 3, openTerm(9))).(error); !errors.Is(err, fsm.ErrHalted) {
		t.Errorf("applied after it halted: %v", err)
	}
	if index, _ := m.Applied(); index != 2 {
		t.Errorf("applied %d", index)
	}
	// What it holds can still be read.
	if diff := cmp.Diff(map[string]string{"a": "1@1", "b": "1@2"}, contents(t, m)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	if err := m.WaitApplied(context.Background(), 3); !errors.Is(err, fsm.ErrHalted) {
		t.Errorf("waiting for what will not come: %v", err)
	}
	if _, err := m.Snapshot(); !errors.Is(err, fsm.ErrHalted) {
		t.Errorf("a snapshot would be labelled with an index that was not applied: %v", err)
	}
	if err := m.Restore(io.NopCloser(strings.NewReader(""))); !errors.Is(err, fsm.ErrHalted) {
		t.Errorf("restore: %v", err)
	}
	if !errors.Is(m.Failure(), fsm.ErrHalted) {
		t.Errorf("failure: %v", m.Failure())
	}
	if figures, err := m.Metrics(); err != nil || !figures.Halted {
		t.Errorf("%+v, %v", figures, err)
	}
}

func TestHaltPanicsByDefault(t *testing.T) {
	t.Parallel()
	m, err := fsm.Open(options(vfs.NewMem(), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer closeMachine(t, m)
	defer func() {
		reason, _ := recover().(string)
		if !strings.Contains(reason, "entry 1 can't be applied by this program") || strings.Contains(reason, "\n") {
			t.Errorf("panicked with %q", reason)
		}
	}()
	m.Apply(&raft.Log{Index: 1, Term: 1, Type: raft.LogCommand, Data: []byte{9}})
	t.Error("went on")
}

// A machine whose disk is full can be closed: the log has what it could not write.
func TestCloseDoesNotWaitForADiskThatStaysFull(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	halted := make(chan error, 1)
	m, err := fsm.Open(options(hook(vfs.NewMem(), func(op errorfs.Op) error {
		if full.Load() && strings.HasSuffix(op.Path, ".sst") {
			return syscall.ENOSPC
		}
		return nil
	}), func(err error) { halted <- err }))
	if err != nil {
		t.Fatal(err)
	}
	one(t, m, 1, 1, transaction(1, put("a", "1")))
	full.Store(true)
	closed := make(chan error, 1)
	go func() { closed <- m.Close() }()
	select {
	case err := <-closed:
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("closed with %v", err)
		}
	case <-time.After(10 * time.Second):
		full.Store(false)
		t.Errorf("it waits for room, and closes with %v once there is some", <-closed)
	}
	if err := <-halted; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("halted with %v", err)
	}
}
