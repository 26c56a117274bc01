package fsm_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// rowsIn counts the stored rows of a keyspace, of the machine's own too.
func rowsIn(t *testing.T, m *fsm.Machine, space state.Space) int {
	t.Helper()
	n := 0
	_, err := fsm.ReadSnapshot(bytes.NewReader(dump(t, m)), func(key, _ []byte) error {
		if key[0] == byte(space) {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A value is gone from its moment on, for preconditions and for reads, and its
// key is free again.
func TestExpiredValueIsAbsentAtOnce(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1_000, transaction(1, putUntil("a", "1", 2_000)))
	if got := one(t, m, 2, 1_999, transaction(2, absent("a"))); got.Outcome != command.Rejected {
		t.Errorf("gone too early: %+v", got)
	}
	held, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	got := apply(t, m, 3,
		at(2_000, transaction(3, present("a"))),
		at(2_000, transaction(4, atRevision("a", 1))),
		at(2_000, transaction(5, absent("a"), empty("a", "b"), put("a", "2"))))
	var outcomes []command.Outcome
	for _, r := range got {
		outcomes = append(outcomes, r.Outcome)
	}
	if diff := cmp.Diff([]command.Outcome{command.Rejected, command.Rejected, command.Applied}, outcomes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "2@2"}, contents(t, m)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "1@1"}, viewContents(t, held)); diff != "" {
		t.Errorf("an older view (-want +got)\n%s", diff)
	}
}

// Whatever happens to a key that expires, one row of the index belongs to it at
// most, and none is left behind.
func TestExpiryIndexFollowsItsKey(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	identities := 0
	index := uint64(0)
	step := func(now uint64, want int, writes ...any) {
		t.Helper()
		index++
		identities++
		one(t, m, index, now, transaction(index, writes...))
		if got := rowsIn(t, m, state.SpaceExpiry); got != want+identities {
			t.Errorf("step %d: %d rows of expiring keys instead of %d", index, got-identities, want)
		}
	}
	step(1, 1, putUntil("a", "1", 100))
	step(1, 1, putUntil("a", "2", 100))
	step(1, 1, putUntil("a", "3", 200))
	step(1, 0, put("a", "4"))
	step(1, 1, putUntil("a", "5", 300))
	step(1, 0, del("a"))
	step(1, 2, putUntil("a", "6", 300), putUntil("b", "1", 300))
	step(1, 0, delRange("a", "c"))
	step(1, 1, putUntil("a", "7", 10))
	step(1_000, 0, put("c", "1"))
	verify(t, m)
}

// Sweeping is bounded, and catches up.
func TestSweepIsBounded(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	var writes []any
	for i := range 100 {
		writes = append(writes, putUntil(fmt.Sprint("key ", i), "1", 2_000))
	}
	one(t, m, 1, 1_000, transaction(1, writes...))
	for i, want := range []int{68, 36, 4, 0, 0} {
		apply(t, m, uint64(i+2), openTerm(2_000))
		if got := rowsIn(t, m, state.SpaceWarehouse); got != want {
			t.Errorf("after %d entries: %d rows instead of %d", i+1, got, want)
		}
		if got := contents(t, m); len(got) > 0 {
			t.Errorf("expired values are seen: %v", got)
		}
	}
	// A restarted machine has to find out anew what is due next.
	one(t, m, 10, 2_000, transaction(2, putUntil("b", "1", 3_000), putUntil("c", "1", 4_000)))
	if err := restore(m, dump(t, m)); err != nil {
		t.Fatal(err)
	}
	apply(t, m, 11, openTerm(3_500))
	if got := rowsIn(t, m, state.SpaceWarehouse); got != 1 {
		t.Errorf("%d rows instead of one", got)
	}
	apply(t, m, 12, openTerm(5_000))
	if got := rowsIn(t, m, state.SpaceWarehouse); got != 0 {
		t.Errorf("%d rows are left", got)
	}
	verify(t, m)
}
