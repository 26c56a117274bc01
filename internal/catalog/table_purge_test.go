package catalog

import "testing"

// A table that was dropped with its files can't be brought back by its metadata
// file while they are being deleted, under whatever name; once the task is over
// it can, if the file is still there.
func TestRegisterWhilePurging(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	mustTable(t, c, "ns", "other")
	dropped := mustLoad(t, c, "ns", "t").MetadataLocation
	mustPurge(t, c, "ns", "t")
	for _, req := range []RegisterTable{
		register(ident("ns", "t"), dropped), register(ident("ns", "u"), dropped),
		{Identifier: ident("ns", "other"), MetadataLocation: dropped, Overwrite: true},
	} {
		_, err := c.RegisterTable(t.Context(), Change{}, "", req)
		wantKind(t, err, KindAlreadyExists)
	}
	if _, err := c.CancelTask(t.Context(), Change{}, mustTasks(t, c)[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "t"), dropped)); err != nil {
		t.Fatal(err)
	}
}
