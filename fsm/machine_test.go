package fsm_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

const dir = "data"

// open opens a machine whose halt fails the test.
func open(t testing.TB, fs vfs.FS) *fsm.Machine {
	t.Helper()
	m, err := fsm.Open(options(fs, func(err error) { t.Errorf("halted: %v", err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func options(fs vfs.FS, halt func(error)) fsm.Options {
	return fsm.Options{Dir: dir, FS: fs, Halt: halt, CacheBytes: 1 << 20, MemTableBytes: 1 << 20, NewestCommand: newestTested}
}

// newestTested is the newest command version that machines of tests apply.
const newestTested = command.NewestVersion + 2

// entryLog is an entry of the log at an index.
func entryLog(t testing.TB, index uint64, commands ...*command.Command) *raft.Log {
	t.Helper()
	data, err := command.Encode(&command.Entry{Commands: commands}, command.FirstVersion)
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data}
}

// at is a transaction that a leader stamped with a time.
func at(timeMs uint64, tx *command.Transaction) *command.Command {
	return &command.Command{TimeMs: timeMs, Kind: &command.Command_Transaction{Transaction: tx}}
}

func openTerm(timeMs uint64) *command.Command {
	return &command.Command{TimeMs: timeMs, Kind: &command.Command_OpenTerm{OpenTerm: &command.OpenTerm{LeaderId: "a"}}}
}

func raise(timeMs uint64, version uint32) *command.Command {
	return &command.Command{TimeMs: timeMs, Kind: &command.Command_RaiseVersion{RaiseVersion: &command.RaiseVersion{Version: version}}}
}

// id makes a transaction's identity of a number.
func id(n uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 8), n)
}

const forever = 1 << 62

func transaction(n uint64, parts ...any) *command.Transaction {
	tx := &command.Transaction{Id: id(n), DeadlineMs: forever}
	for _, part := range parts {
		switch part := part.(type) {
		case *command.Precondition:
			tx.Preconditions = append(tx.Preconditions, part)
		case *command.Write:
			tx.Writes = append(tx.Writes, part)
		case *command.Event:
			tx.Events = append(tx.Events, part)
		default:
			panic(fmt.Sprintf("no part of a transaction: %T", part))
		}
	}
	return tx
}

// key is a key in an open keyspace.
func key(name string) []byte { return state.WarehouseKey(name) }

func put(name, value string) *command.Write { return putUntil(name, value, 0) }

func putUntil(name, value string, expiresMs uint64) *command.Write {
	return &command.Write{Kind: &command.Write_Put{Put: &command.Put{Key: key(name), Value: []byte(value), ExpiresMs: expiresMs}}}
}

func del(name string) *command.Write {
	return &command.Write{Kind: &command.Write_Delete{Delete: key(name)}}
}

func rangeOf(from, to string) *command.Range {
	return &command.Range{Start: key(from), End: key(to)}
}

func delRange(from, to string) *command.Write {
	return &command.Write{Kind: &command.Write_DeleteRange{DeleteRange: rangeOf(from, to)}}
}

func absent(name string) *command.Precondition {
	return &command.Precondition{Kind: &command.Precondition_Absent{Absent: key(name)}}
}

func present(name string) *command.Precondition {
	return &command.Precondition{Kind: &command.Precondition_Present{Present: key(name)}}
}

func atRevision(name string, revision uint64) *command.Precondition {
	return &command.Precondition{Kind: &command.Precondition_AtRevision{
		AtRevision: &command.KeyAtRevision{Key: key(name), Revision: revision}}}
}

func empty(from, to string) *command.Precondition {
	return &command.Precondition{Kind: &command.Precondition_RangeEmpty{RangeEmpty: rangeOf(from, to)}}
}

func event(text string) *command.Event { return &command.Event{Payload: []byte(text)} }

// apply applies commands as one entry and returns their results.
func apply(t testing.TB, m *fsm.Machine, index uint64, commands ...*command.Command) []command.Result {
	t.Helper()
	answer := m.Apply(entryLog(t, index, commands...))
	results, ok := answer.([]command.Result)
	if !ok {
		t.Fatalf("entry %d: answer %v instead of results", index, answer)
	}
	return results
}

// one applies a single transaction as an entry.
func one(t testing.TB, m *fsm.Machine, index, timeMs uint64, tx *command.Transaction) command.Result {
	t.Helper()
	results := apply(t, m, index, at(timeMs, tx))
	if len(results) != 1 {
		t.Fatalf("entry %d: %d results instead of one", index, len(results))
	}
	return results[0]
}

// contents returns the live values of the keyspace that the tests write to.
func contents(t testing.TB, m *fsm.Machine) map[string]string {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	return viewContents(t, v)
}

func viewContents(t testing.TB, v *state.View) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := v.Scan(state.SpaceRange(state.SpaceWarehouse), func(k []byte, value state.Value) bool {
		name := string(k[1 : len(k)-2])
		out[name] = fmt.Sprintf("%s@%d", value.Data, value.Revision)
		one, ok, err := v.Get(k)
		if err != nil || !ok || !bytes.Equal(one.Data, value.Data) || one.Revision != value.Revision {
			t.Errorf("Get(%s) = %v, %v, %v, differs from Scan's %v", name, one, ok, err, value)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dump is the whole replicated state in bytes.
func dump(t testing.TB, m *fsm.Machine) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := m.WriteSnapshot(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func restore(m *fsm.Machine, stream []byte) error {
	return m.Restore(io.NopCloser(bytes.NewReader(stream)))
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	applied := func(index, revision uint64) command.Result {
		return command.Result{Outcome: command.Applied, Revision: revision, Index: index}
	}
	rejected := func(index uint64, failed int) command.Result {
		return command.Result{Outcome: command.Rejected, Failed: failed, Index: index}
	}
	steps := []struct {
		name string
		tx   *command.Transaction
		want func(index uint64) command.Result
	}{
		{"create", transaction(1, absent("a"), put("a", "1")), func(i uint64) command.Result { return applied(i, 1) }},
		{"create again", transaction(2, absent("a"), put("a", "2")), func(i uint64) command.Result { return rejected(i, 0) }},
		{"second precondition", transaction(3, present("a"), absent("a"), put("a", "2")), func(i uint64) command.Result { return rejected(i, 1) }},
		{"at revision", transaction(4, atRevision("a", 1), put("a", "2")), func(i uint64) command.Result { return applied(i, 2) }},
		{"at old revision", transaction(5, atRevision("a", 1), put("a", "3")), func(i uint64) command.Result { return rejected(i, 0) }},
		{"missing at revision", transaction(6, atRevision("b", 0), put("b", "1")), func(i uint64) command.Result { return rejected(i, 0) }},
		{"range not empty", transaction(7, empty("a", "b"), put("b", "1")), func(i uint64) command.Result { return rejected(i, 0) }},
		{"range empty", transaction(8, empty("b", "c"), put("b", "1"), put("c", "1")), func(i uint64) command.Result { return applied(i, 3) }},
		{"only a question", transaction(9, present("a")), func(i uint64) command.Result { return applied(i, 3) }},
		{"only an event", transaction(10, event("x")), func(i uint64) command.Result { return applied(i, 3) }},
		{"writes in order", transaction(11, del("a"), put("a", "4"), put("a", "5")), func(i uint64) command.Result { return applied(i, 4) }},
		{"delete of nothing", transaction(12, del("zz")), func(i uint64) command.Result { return applied(i, 5) }},
		{"delete of a range", transaction(13, delRange("b", "d")), func(i uint64) command.Result { return applied(i, 6) }},
		{"present after delete", transaction(14, present("b")), func(i uint64) command.Result { return rejected(i, 0) }},
	}
	for n, step := range steps {
		index := uint64(n + 10)
		if diff := cmp.Diff(step.want(index), one(t, m, index, 1000, step.tx)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", step.name, diff)
		}
	}
	if diff := cmp.Diff(map[string]string{"a": "5@4"}, contents(t, m)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	if index, term := m.Applied(); index != 23 || term != 1 {
		t.Errorf("applied %d, term %d", index, term)
	}
}

// Transactions of one entry, and entries of one batch, see the ones before them.
func TestLaterSeesEarlier(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	answers := m.ApplyBatch([]*raft.Log{
		entryLog(t, 1, at(1, transaction(1, absent("a"), put("a", "1"))), at(1, transaction(2, absent("a"), put("a", "2")))),
		{Index: 2, Term: 1, Type: raft.LogConfiguration},
		entryLog(t, 3, openTerm(5), at(1, transaction(3, atRevision("a", 1), delRange("a", "b")))),
		entryLog(t, 4, at(1, transaction(4, empty("a", "z"), put("b", "1")))),
	})
	want := []any{
		[]command.Result{{Outcome: command.Applied, Revision: 1, Index: 1}, {Outcome: command.Rejected, Index: 1}},
		nil,
		[]command.Result{{Outcome: command.Applied, Revision: 1, Index: 3}, {Outcome: command.Applied, Revision: 2, Index: 3}},
		[]command.Result{{Outcome: command.Applied, Revision: 3, Index: 4}},
	}
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if replicated, _ := m.TimeMs(); replicated != 5 {
		t.Errorf("replicated time went back to %d", replicated)
	}
}

// A change of the configuration moves the index like everything else: without
// it a restart would restore a snapshot for nothing.
func TestConfigurationMovesTheIndex(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	if answer := m.Apply(&raft.Log{Index: 7, Term: 3, Type: raft.LogConfiguration}); answer != nil {
		t.Errorf("answer %v", answer)
	}
	if index, term := m.Applied(); index != 7 || term != 3 {
		t.Errorf("applied %d, term %d", index, term)
	}
	if m.NeedsRestore(7) || !m.NeedsRestore(8) {
		t.Error("a restore is needed only where the snapshot is newer")
	}
}

func TestEntriesAreAppliedOnce(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	first := entryLog(t, 1, at(1, transaction(1, put("a", "1"))))
	second := entryLog(t, 2, at(1, transaction(2, put("a", "2"))))
	m.ApplyBatch([]*raft.Log{first, second})
	before := dump(t, m)
	answers := m.ApplyBatch([]*raft.Log{first, second})
	if diff := cmp.Diff([]any{nil, nil}, answers); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !bytes.Equal(before, dump(t, m)) {
		t.Error("entries that were applied before changed the state")
	}
}

func TestReservedKeysAreRejected(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	good := transaction(1, put("a", "1"))
	bad := map[string]*command.Transaction{
		"empty key":           {Id: id(2), DeadlineMs: forever, Writes: []*command.Write{{Kind: &command.Write_Delete{}}}},
		"reserved key":        {Id: id(3), DeadlineMs: forever, Writes: []*command.Write{{Kind: &command.Write_Delete{Delete: []byte{byte(state.SpaceEvent), 1}}}}},
		"reserved range":      {Id: id(4), DeadlineMs: forever, Writes: []*command.Write{{Kind: &command.Write_DeleteRange{DeleteRange: &command.Range{Start: []byte{1}, End: []byte{0xFF}}}}}},
		"range turned round":  {Id: id(5), DeadlineMs: forever, Writes: []*command.Write{delRange("b", "a")}},
		"reserved condition":  {Id: id(6), DeadlineMs: forever, Preconditions: []*command.Precondition{{Kind: &command.Precondition_Absent{Absent: []byte{2, 1}}}}},
		"identity cut short":  {Id: id(7)[:15], DeadlineMs: forever, Writes: good.Writes},
		"identity left out":   {DeadlineMs: forever, Writes: good.Writes},
		"range without ends":  {Id: id(8), DeadlineMs: forever, Preconditions: []*command.Precondition{{Kind: &command.Precondition_RangeEmpty{RangeEmpty: &command.Range{}}}}},
		"range without end":   {Id: id(9), DeadlineMs: forever, Writes: []*command.Write{{Kind: &command.Write_DeleteRange{DeleteRange: &command.Range{Start: key("a")}}}}},
		"put without content": {Id: id(10), DeadlineMs: forever, Writes: []*command.Write{{Kind: &command.Write_Put{Put: &command.Put{}}}}},
	}
	index := uint64(0)
	for name, tx := range bad {
		index++
		if _, err := command.Encode(&command.Entry{Commands: []*command.Command{at(1, tx)}}, command.FirstVersion); err == nil {
			t.Errorf("%s: can be encoded", name)
		}
		// A program with a fault could have put it in the log all the same.
		data := rawEntry(t, at(1, tx))
		answer := m.Apply(&raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data})
		want := []command.Result{{Outcome: command.Rejected, Failed: command.Malformed, Index: index}}
		if diff := cmp.Diff(any(want), answer); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	if got := contents(t, m); len(got) != 0 {
		t.Errorf("written all the same: %v", got)
	}
	if got := one(t, m, 100, 1, good); got.Outcome != command.Applied {
		t.Errorf("the machine did not go on: %v", got)
	}
}

func TestEventsAreKeptInOrder(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	const kept = 4096
	total := 0
	for index := uint64(1); total < kept+300; index++ {
		var commands []*command.Command
		for range 50 {
			total++
			commands = append(commands, at(1, transaction(uint64(total), put("a", "1"), event(fmt.Sprint("event ", total)))))
		}
		apply(t, m, index, commands...)
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	next := total - kept + 1
	err = v.Scan(state.SpaceRange(state.SpaceEvent), func(_ []byte, e state.Value) bool {
		if want := fmt.Sprint("event ", next); string(e.Data) != want || e.Revision != uint64(next) {
			t.Errorf("%s of revision %d instead of %s", e.Data, e.Revision, want)
			return false
		}
		next++
		return true
	})
	if err != nil || next != total+1 {
		t.Errorf("events up to %d instead of %d: %v", next-1, total, err)
	}
	verify(t, m)
}

// verify compares the checksum with the rows.
func verify(t testing.TB, m *fsm.Machine) {
	t.Helper()
	wantSum, wantIndex := m.Checksum()
	sum, index, err := m.VerifyChecksum(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sum != wantSum || index != wantIndex {
		t.Errorf("checksum %x at %d instead of %x at %d", sum, index, wantSum, wantIndex)
	}
}
