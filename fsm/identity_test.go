package fsm_test

import (
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm/command"
)

func deadline(tx *command.Transaction, ms uint64) *command.Transaction {
	tx.DeadlineMs = ms
	return tx
}

// A transaction that comes again gets the first answer, to the letter, whatever
// has changed in between and whatever the copy holds.
func TestIdentityIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	create := deadline(transaction(1, absent("a"), put("a", "1")), 5_000)
	refused := deadline(transaction(2, present("x"), present("b"), put("a", "2")), 5_000)
	first := one(t, m, 1, 1_000, create)
	second := one(t, m, 2, 1_000, refused)
	if first.Outcome != command.Applied || second.Outcome != command.Rejected {
		t.Fatalf("%+v, %+v", first, second)
	}
	one(t, m, 3, 1_000, transaction(3, del("a"), put("x", "1"), put("b", "1")))

	for i, now := range []uint64{1_000, 5_000, 5_001, 60_000} {
		got := apply(t, m, uint64(4+i), at(now, create), at(now, refused), at(now, create))
		if diff := cmp.Diff([]command.Result{first, second, first}, got); diff != "" {
			t.Errorf("at %d ms (-want +got)\n%s", now, diff)
		}
	}
	if diff := cmp.Diff(map[string]string{"x": "1@2", "b": "1@2"}, contents(t, m)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A late copy is known or too late: never applied.
func TestLateCopy(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	tx := deadline(transaction(1, put("a", "1")), 5_000)
	first := one(t, m, 1, 5_000, tx)
	if first.Outcome != command.Applied {
		t.Fatalf("refused at its last moment: %+v", first)
	}
	if got := one(t, m, 2, 64_000, tx); got != first {
		t.Errorf("a minute later: %+v instead of %+v", got, first)
	}
	// The sweep after this entry takes the identity.
	apply(t, m, 3, openTerm(100_000))
	want := command.Result{Outcome: command.Forgotten, Index: 4}
	if got := one(t, m, 4, 0, tx); got != want {
		t.Errorf("after it was forgotten: %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"a": "1@1"}, contents(t, m)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Expired says that nothing took effect, so it is only said while an earlier
// copy would still be known.
func TestExpired(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	apply(t, m, 1, openTerm(1_000_000))
	cases := map[uint64]command.Outcome{
		999_999:            command.Expired,
		1_000_000 - 60_000: command.Expired,
		1_000_000 - 70_000: command.Forgotten,
		0:                  command.Forgotten,
		1_000_000:          command.Applied,
		math.MaxUint64:     command.Applied,
	}
	index := uint64(1)
	for ms, want := range cases {
		index++
		got := one(t, m, index, 1_000_000, deadline(transaction(index, put("a", "1")), ms))
		if got.Outcome != want || got.Index != index {
			t.Errorf("deadline %d: %+v instead of %v", ms, got, want)
		}
	}
	// It is not remembered: the same identity with a later deadline is another try.
	late := one(t, m, 50, 0, deadline(transaction(100, put("a", "1")), 999_999))
	again := one(t, m, 51, 0, deadline(transaction(100, put("a", "1")), 1_000_001))
	if late.Outcome != command.Expired || again.Outcome != command.Applied {
		t.Errorf("%+v, then %+v", late, again)
	}
}

// Even a rejected transaction advances replicated time; a leader's clock that
// goes back does not.
func TestReplicatedTime(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	steps := []struct {
		stamp, want uint64
		tx          *command.Transaction
	}{
		{10, 10, transaction(1, put("a", "1"))},
		{20, 20, transaction(2, absent("a"))},
		{15, 20, transaction(3, put("a", "1"))},
		{30, 30, transaction(1, put("a", "1"))},
		{40, 40, deadline(transaction(4, put("a", "1")), 1)},
	}
	for i, step := range steps {
		one(t, m, uint64(i+1), step.stamp, step.tx)
		v, err := m.View()
		if err != nil {
			t.Fatal(err)
		}
		if now, _ := m.TimeMs(); now != step.want || v.TimeMs != step.want || v.Index != uint64(i+1) {
			t.Errorf("step %d: time %d, view at %d of index %d", i, now, v.TimeMs, v.Index)
		}
		v.Close()
	}
}
