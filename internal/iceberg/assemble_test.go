package iceberg_test

import (
	"errors"
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// assembled is the document of a stored head and its parts.
func assembled(t testing.TB, head []byte, parts []iceberg.Part, refsOnly bool) []byte {
	t.Helper()
	a, err := iceberg.Assemble(head, refsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		a.Add(p.List, p.JSON)
	}
	doc, err := a.Document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestAssembleReportsDamage(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 2)
	if _, err := iceberg.Assemble([]byte(`{"location":"x"}`), false); !errors.Is(err, iceberg.ErrCorrupt) {
		t.Errorf("a head without ordinals: %v", err)
	}
	for name, add := range map[string]func(*iceberg.Assembler){
		"parts out of order": func(a *iceberg.Assembler) {
			a.Add(iceberg.SnapshotLog, []byte(`{}`))
			a.Add(iceberg.Snapshots, []byte(`{"snapshot-id":1}`))
		},
		"no such list":          func(a *iceberg.Assembler) { a.Add(77, []byte(`{}`)) },
		"a snapshot without id": func(a *iceberg.Assembler) { a.Add(iceberg.Snapshots, []byte(`{"sequence-number":1}`)) },
		"half a snapshot":       func(a *iceberg.Assembler) { a.Add(iceberg.Snapshots, []byte(`{"sequence-nu`)) },
	} {
		a, err := iceberg.Assemble(table.Head(), true)
		if err != nil {
			t.Fatal(err)
		}
		add(a)
		if _, err := a.Document(); !errors.Is(err, iceberg.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
