package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// whole is everything that a view shows.
func whole(t testing.TB, v *state.View) map[string]string {
	t.Helper()
	out := viewContents(t, v)
	err := v.Scan(state.SpaceRange(state.SpaceEvent), func(k []byte, value state.Value) bool {
		out[fmt.Sprintf("event %x", k)] = fmt.Sprintf("%s@%d", value.Data, value.Revision)
		return true
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// entriesOf are the log as a leader hands it over, with raft's own in the gaps.
func entriesOf(logs []*raft.Log, from uint64) []fsm.Entry {
	var out []fsm.Entry
	for _, log := range logs {
		for ; from < log.Index; from++ {
			out = append(out, fsm.Entry{Index: from, Term: log.Term, Type: uint8(raft.LogNoop)})
		}
		out = append(out, fsm.EntryOf(log))
		from = log.Index + 1
	}
	return out
}

func replacesTheState(t testing.TB, logs []*raft.Log) bool {
	t.Helper()
	for _, log := range logs {
		if log.Type != raft.LogCommand {
			continue
		}
		entry, err := command.Decode(log.Data, newestTested)
		if err != nil {
			t.Fatal(err)
		}
		if entry.Restores() {
			return true
		}
	}
	return false
}

// What a view shows ahead of the state is what one shows that has come so far,
// however far the state itself has come meanwhile.
func TestAheadIsWhatComes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		logs := logOf(rt, t, history(rt))
		applied := rapid.IntRange(0, len(logs)-1).Draw(rt, "applied")
		to := rapid.IntRange(applied+1, len(logs)).Draw(rt, "ahead to")
		meanwhile := rapid.IntRange(applied, len(logs)).Draw(rt, "applied meanwhile")

		m := open(t, vfs.NewMem())
		defer closeMachine(t, m)
		m.ApplyBatch(logs[:applied])
		index, _ := m.Applied()
		again := rapid.Uint64Range(0, min(index, 2)).Draw(rt, "entries that are applied already")
		known := after(logs[:to], index-again)
		a, err := m.Ahead(t.Context(), entriesOf(known, index+1-again))
		if err != nil {
			rt.Fatal(err)
		}
		if sum, _ := m.Checksum(); sum != checksumOf(t, logs[:applied]) {
			rt.Fatal("looking ahead changed the state")
		}
		if replacesTheState(t, after(logs[:to], index)) {
			if a != nil {
				rt.Fatal("a state that takes the place of this one was looked into")
			}
			return
		}
		if a == nil {
			rt.Fatal("there is nothing ahead")
		}
		m.ApplyBatch(logs[applied:meanwhile])
		v, ok, err := m.ViewAhead(a)
		if err != nil || !ok {
			rt.Fatal(ok, err)
		}
		defer v.Close()

		there := open(t, vfs.NewMem())
		defer closeMachine(t, there)
		there.ApplyBatch(logs[:max(to, meanwhile)])
		want := view(t, there)
		if v.Index != want.Index || v.TimeMs != want.TimeMs {
			rt.Errorf("it is at %d, %d ms, not %d, %d ms", v.Index, v.TimeMs, want.Index, want.TimeMs)
		}
		if diff := cmp.Diff(whole(t, want), whole(t, v)); diff != "" {
			rt.Errorf("(-there +ahead)\n%s", diff)
		}
		for _, k := range []string{"a", "b", "c", "stream 1"} {
			mine, found, err := v.Get(key(k))
			theirs, there, _ := want.Get(key(k))
			if err != nil || found != there || cmp.Diff(theirs, mine) != "" {
				rt.Errorf("%s: %v %v %v, not %v %v", k, mine, found, err, theirs, there)
			}
		}
	})
}

func checksumOf(t testing.TB, logs []*raft.Log) [16]byte {
	t.Helper()
	m := open(t, vfs.NewMem())
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	m.ApplyBatch(logs)
	sum, _ := m.Checksum()
	return sum
}

func TestAheadStopsReading(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1, transaction(1, put("b", "1"), put("d", "1")))
	ahead := entryLog(t, 2, at(1, transaction(2, put("a", "2"), del("b"), put("c", "2"), put("e", "2"))))
	a, err := m.Ahead(t.Context(), entriesOf([]*raft.Log{ahead}, 2))
	if err != nil || a == nil {
		t.Fatal(a, err)
	}
	v, ok, err := m.ViewAhead(a)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	defer v.Close()
	for limit, want := range [][]string{nil, {"a"}, {"a", "c"}, {"a", "c", "d"}, {"a", "c", "d", "e"}, {"a", "c", "d", "e"}} {
		var got []string
		err := v.Scan(state.KeyRange{Start: key("a"), End: key("z")}, func(k []byte, _ state.Value) bool {
			got = append(got, string(k[1:len(k)-2]))
			return len(got) < limit
		})
		if err != nil {
			t.Error(err)
		}
		if limit == 0 {
			want = []string{"a"} // whoever says no at once has seen one
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got)\n%s", limit, diff)
		}
	}
	if err := v.Scan(state.KeyRange{Start: key("z"), End: key("a")}, nil); err != nil {
		t.Error(err)
	}
	if err := v.Scan(state.SpaceRange(state.SpaceIdentity), nil); !errors.Is(err, fsm.ErrReservedKey) {
		t.Errorf("scan of the machine's own rows: %v", err)
	}
}

func TestNothingAhead(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	for index := uint64(1); index <= 3; index++ {
		one(t, m, index, 1, transaction(index, put("a", fmt.Sprint(index))))
	}
	entry := func(index uint64) fsm.Entry {
		return fsm.EntryOf(entryLog(t, index, at(1, transaction(index, put("a", fmt.Sprint(index))))))
	}
	for name, entries := range map[string][]fsm.Entry{
		"nothing":  nil,
		"the past": {entry(2), entry(3)},
		"a gap":    {entry(5)},
		"unknown":  {entry(4), {Index: 5, Term: 1, Type: uint8(raft.LogCommand), Data: []byte{0xff}}},
	} {
		if a, err := m.Ahead(t.Context(), entries); a != nil || err != nil {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a turn that is free may be taken all the same
		if _, err := m.Ahead(ended, []fsm.Entry{entry(4)}); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// A state that was restored to before the entries is not shown with them.
func TestAheadOfAStateThatWentBack(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1, transaction(1, put("a", "1")))
	earlier := dump(t, m)
	one(t, m, 2, 1, transaction(2, put("a", "2")))
	a, err := m.Ahead(t.Context(), entriesOf([]*raft.Log{entryLog(t, 3, at(1, transaction(3, put("b", "3"))))}, 3))
	if err != nil || a == nil {
		t.Fatal(a, err)
	}
	if err := restore(m, earlier); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := m.ViewAhead(a); ok || err != nil {
		t.Errorf("%v, %v, %v", v, ok, err)
	}
}
