package warehouse_test

import (
	"testing"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/internal/secret"
	"github.com/floeberg/floeberg/internal/warehouse"
)

var _ secret.Owner = warehouse.Sealed{}

// A change of keys finds the credentials of all warehouses, and puts them back sealed anew.
func TestSealedAnew(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	s3 := newFakeS3(t, "key-1")
	y.create(y.folder("without"))
	before := y.create(s3.bucket("w", "key-1"))
	y.table("w")
	v, err := y.site.Log.State()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var found []secret.Record
	if err := (warehouse.Sealed{}).Sealed(v, func(r secret.Record) error { found = append(found, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Purpose != "warehouse/w/credentials" || found[0].Revision != before.Generation {
		t.Fatalf("got %+v", found)
	}
	writes, err := found[0].Put(append([]byte("once more "), found[0].Sealed...))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := y.site.Log.Propose(t.Context(), &command.Transaction{
		Preconditions: []*command.Precondition{command.KeyUnchanged(found[0].Key, found[0].Revision)}, Writes: writes,
	}); err != nil || res.Outcome != command.Applied {
		t.Fatal(res, err)
	}
	rec := y.record("w")
	if got := string(rec.GetStore().GetCredentials()); got != "once more "+string(found[0].Sealed) || rec.GetRoot() != "s3://lake/w" {
		t.Errorf("got %+v", rec)
	}
}
