package fsm_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

var update = flag.Bool("update", false, "write golden files that are missing; those that are there are never changed")

const (
	goldenState    = "testdata/state.v1.txt"
	goldenSnapshot = "testdata/snapshot.v1.bin"
)

// script is a history that uses everything, for the golden files.
func script(t *testing.T, m *fsm.Machine) string {
	t.Helper()
	var out strings.Builder
	entries := [][]*command.Command{
		{openTerm(1_000)},
		{at(1_001, transaction(1, absent("a"), put("a", "1"), event("a made"))), at(1_001, transaction(2, absent("a"), put("a", "2")))},
		{at(1_002, deadline(transaction(3, atRevision("a", 1), putUntil("b", "1", 1_500), putUntil("c", "1", 90_000)), 2_000))},
		{at(1_400, deadline(transaction(4, present("b"), putUntil("b", "2", 1_600), put("d", "1"), put("e", "1")), 2_000))},
		{at(1_600, deadline(transaction(5, present("b")), 2_000)), at(1_599, deadline(transaction(6, empty("b", "c"), delRange("d", "f"), event("gone")), 2_000))},
		{at(1_700, deadline(transaction(7, put("x", "1")), 1_699)), at(1_700, transaction(1, put("x", "1")))},
		{},
		{at(64_000, deadline(transaction(4, put("x", "1")), 2_000)), at(64_000, deadline(transaction(8, put("x", "1")), 2_000))},
		{at(64_001, transaction(9, del("c"), put("y", strings.Repeat("y", 300))))},
	}
	for i, commands := range entries {
		index := uint64(i + 1)
		for _, r := range apply(t, m, index, commands...) {
			fmt.Fprintf(&out, "entry %d: %s failed=%d revision=%d index=%d\n", index, r.Outcome, r.Failed, r.Revision, r.Index)
		}
		sum, at := m.Checksum()
		fmt.Fprintf(&out, "checksum at %d: %x\n", at, sum)
	}
	return out.String()
}

func rowsOf(t *testing.T, stream []byte) string {
	t.Helper()
	var out strings.Builder
	_, err := fsm.ReadSnapshot(bytes.NewReader(stream), func(key, value []byte) error {
		fmt.Fprintf(&out, "row %x = %x\n", key, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func golden(t *testing.T, path string, now []byte) []byte {
	t.Helper()
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		if err := os.WriteFile(path, now, 0o644); err != nil {
			t.Fatal(err)
		}
		return now
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// The outcomes, the checksums and the rows are those of every other version of
// this program: nodes of different versions run side by side.
func TestGoldenState(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	got := script(t, m)
	stream := dump(t, m)
	got += rowsOf(t, stream)
	if diff := cmp.Diff(string(golden(t, goldenState, []byte(got))), got); diff != "" {
		t.Errorf("the replicated format changed (-golden +now)\n%s", diff)
	}
	// A snapshot that an earlier version took is still restored.
	old := golden(t, goldenSnapshot, stream)
	to := open(t, vfs.NewMem())
	if err := restore(to, old); err != nil {
		t.Fatal(err)
	}
	verify(t, to)
	if diff := cmp.Diff(rowsOf(t, stream), rowsOf(t, dump(t, to))); diff != "" {
		t.Errorf("(-now +restored)\n%s", diff)
	}
}
