package catalog

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/storage"
)

func TestLoadThatChecksTheFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := &weather{}
	checking := s.node(under(w), func(o *Options) { o.VerifyMetadata = true })
	s.tables(t, checking, "t")
	made := mustLoad(t, checking, "ns", "t")
	known := LoadOptions{Unless: func(*Table) bool { return true }}

	w.exists = func() (bool, error) { return false, storage.ErrUnavailable }
	for _, opts := range []LoadOptions{{}, {RefsOnly: true}, known} {
		_, err := checking.LoadTable(t.Context(), "", ident("ns", "t"), opts)
		wantKind(t, err, KindUnavailable)
	}
	w.exists = nil
	if err := os.Remove(pathOf(made.MetadataLocation)); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []LoadOptions{{}, {RefsOnly: true}, known} {
		_, err := checking.LoadTable(t.Context(), "", ident("ns", "t"), opts)
		if KindOf(err) != KindNotFound || err.Error() != "Failed to open input stream for file: "+made.MetadataLocation {
			t.Errorf("got %v", err)
		}
	}
	// Others answer from what they have, and ask no store.
	w.exists = func() (bool, error) { t.Error("the store was asked"); return false, nil }
	if _, err := s.node(under(w)).LoadTable(t.Context(), "", ident("ns", "t"), LoadOptions{}); err != nil {
		t.Error(err)
	}
}

func verify(t *testing.T, c *Catalog, id Identifier) *Verification {
	t.Helper()
	got, err := c.VerifyTable(t.Context(), Read{}, "", id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// damage changes what is stored of a table behind the catalog's back.
func (s *site) damage(t *testing.T, id Identifier, writes func(id []byte) []*command.Write) {
	t.Helper()
	v, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	rec, _, _, err := v.Table("default", id.Namespace, id.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.log.Propose(t.Context(), &command.Transaction{Writes: writes(rec.Id)}); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyAndRebuild(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	id := ident("ns", "t")
	for i := range int64(3) {
		if _, err := a.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, i+1, i, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := verify(t, a, id); !got.Matches || got.Problem != "" || len(got.Differences) > 0 || got.Index == 0 || got.Revision == 0 {
		t.Fatalf("a sound table: %+v", got)
	}
	good := mustLoad(t, a, "ns", "t")

	s.damage(t, id, func(table []byte) []*command.Write {
		return []*command.Write{
			// The same in another order, another, one too few.
			command.PutValue(state.PartKey(table, uint8(iceberg.SnapshotLog), 0), []byte(reordered(t, good.Metadata, "snapshot-log"))),
			command.PutValue(state.PartKey(table, uint8(iceberg.Snapshots), 1), []byte(`{"snapshot-id":2,"sequence-number":9}`)),
			command.DeleteKey(state.PartKey(table, uint8(iceberg.MetadataLog), 2)),
		}
	})
	got := verify(t, b, id)
	var paths []string
	for _, d := range got.Differences {
		paths = append(paths, d.Path)
	}
	want := []string{
		"/snapshots/1/manifest-list", "/snapshots/1/parent-snapshot-id", "/snapshots/1/schema-id", "/snapshots/1/sequence-number",
		"/snapshots/1/summary", "/snapshots/1/timestamp-ms", "/metadata-log/2",
	}
	if diff := cmp.Diff(want, paths); diff != "" || got.Matches || got.More {
		t.Errorf("%+v\n%s", got, diff)
	}
	if d := got.Differences[3]; d.Catalog != "9" || d.File != "2" {
		t.Errorf("shown as %+v", d)
	}

	var events int
	s.log.ahead(func(tx *command.Transaction) { events = len(tx.Events) })
	mended, err := b.RebuildTable(t.Context(), Change{}, "", id)
	if err != nil {
		t.Fatal(err)
	}
	if len(mended.Differences) != len(want) || mended.Revision <= good.Revision || events != 1 {
		t.Errorf("%+v with %d events", mended, events)
	}
	if got := verify(t, a, id); !got.Matches || got.Revision != mended.Revision {
		t.Errorf("after it: %+v", got)
	}
	now := mustLoad(t, a, "ns", "t")
	assertSameJSON(t, now.Metadata, good.Metadata)
	if now.MetadataLocation != good.MetadataLocation || string(now.ID) != string(good.ID) {
		t.Error("it is another table")
	}
	if _, err := a.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, 4, 3, 4)); err != nil {
		t.Errorf("a commit after it: %v", err)
	}
	if got := verify(t, b, id); !got.Matches {
		t.Errorf("after a commit: %+v", got)
	}
	s.wantNoStrayParts(t)
}

// reordered gives the first element of an array with its members in another order.
func reordered(t *testing.T, doc []byte, list string) string {
	t.Helper()
	var m map[string]json.RawMessage
	var elems []map[string]json.RawMessage
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m[list], &elems); err != nil {
		t.Fatal(err)
	}
	return `{"timestamp-ms": ` + string(elems[0]["timestamp-ms"]) + `, "snapshot-id": ` + string(elems[0]["snapshot-id"]) + `}`
}

func TestVerifyWithoutAHead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "t")
	id := ident("ns", "t")
	s.damage(t, id, func(table []byte) []*command.Write { return []*command.Write{command.DeleteKey(state.HeadKey(table))} })
	if got := verify(t, c, id); got.Matches || !strings.Contains(got.Problem, "damaged") {
		t.Errorf("%+v", got)
	}
	if _, err := c.RebuildTable(t.Context(), keyed("k", "rebuild"), "", id); err != nil {
		t.Fatal(err)
	}
	if got, err := s.node().RebuildTable(t.Context(), keyed("k", "rebuild"), "", id); err != nil || !got.Matches {
		t.Errorf("the repeat: %+v, %v", got, err)
	}
	mustLoad(t, s.node(), "ns", "t")
}

func TestVerifyOfABadFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "t")
	id := ident("ns", "t")
	file := pathOf(mustLoad(t, c, "ns", "t").MetadataLocation)
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for problem, tc := range map[string]struct {
		content string
		kind    Kind
	}{
		"Invalid table metadata file": {"{", KindInvalid},
		"unsupported version":         {strings.Replace(string(doc), `"format-version":2`, `"format-version":4`, 1), KindUnsupported},
		"":                            {strings.Replace(string(doc), `"table-uuid":"`, `"table-uuid":"0`, 1), KindInvalid},
	} {
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := verify(t, c, id); got.Matches || !strings.Contains(got.Problem, problem) {
			t.Errorf("%s: %+v", problem, got)
		}
		_, err := c.RebuildTable(t.Context(), Change{}, "", id)
		wantKind(t, err, tc.kind)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, c, id); got.Matches || !strings.Contains(got.Problem, "Failed to open input stream") {
		t.Errorf("%+v", got)
	}
	_, err = c.RebuildTable(t.Context(), Change{}, "", id)
	wantKind(t, err, KindNotFound)
	_, err = c.VerifyTable(t.Context(), Read{}, "", ident("ns", "x"))
	wantKind(t, err, KindNoSuchTable)
	_, err = c.RebuildTable(t.Context(), Change{}, "", ident("ns", "x"))
	wantKind(t, err, KindNoSuchTable)
}

func TestRebuildMeetsACommit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	id := ident("ns", "t")
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", "v")); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.RebuildTable(t.Context(), Change{}, "", id); err != nil {
		t.Fatal(err)
	}
	if got := property(t, a, "k", "ns", "t"); got != "v" {
		t.Error("the commit is lost")
	}
}

func TestVerifyWithADeadStore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := &weather{get: func(context.Context) ([]byte, error) { return nil, storage.ErrUnavailable }}
	c := s.node(under(w))
	s.tables(t, c, "t")
	_, err := c.VerifyTable(t.Context(), Read{}, "", ident("ns", "t"))
	wantKind(t, err, KindUnavailable)
	_, err = c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "u"), s.root+"/x/1.metadata.json"))
	wantKind(t, err, KindUnavailable)
}

// A table that differs everywhere does not make an endless list.
func TestDifferencesAreBounded(t *testing.T) {
	t.Parallel()
	found := &Verification{}
	cmp := comparison{found: found}
	long := `"` + strings.Repeat("é", maxDifferenceBytes) + `"`
	cmp.raw("/x", []byte("["+strings.Repeat(long+",", maxDifferences)+"1]"), []byte("["+strings.Repeat("2,", maxDifferences)+"3]"))
	if len(found.Differences) != maxDifferences || !found.More {
		t.Errorf("%d differences, more: %v", len(found.Differences), found.More)
	}
	if got := found.Differences[0].Catalog; len(got) > maxDifferenceBytes+8 || !strings.HasSuffix(got, "…") {
		t.Errorf("shown as %q", got)
	}
	found = &Verification{}
	cmp.found = found
	for _, pair := range [][2]string{{`{"a":1}`, `[1]`}, {`[1]`, `{"a":1}`}, {`1`, `"1"`}, {`1.0`, `1`}, {`null`, `[]`}, {`{"a":1}`, `{"b":1}`}, {`[1]`, `[1,2]`}, {`[1,2]`, `[1]`}, {`{`, `{}`}} {
		before := len(found.Differences)
		if cmp.raw("", []byte(pair[0]), []byte(pair[1])); len(found.Differences) == before {
			t.Errorf("%s and %s are taken for the same", pair[0], pair[1])
		}
	}
	before := len(found.Differences)
	cmp.raw("", []byte(`{"a":[1,{"b":null}],"c":"\u00e9"}`), []byte(`{ "c":"é", "a":[1,{"b":null}] }`))
	if len(found.Differences) != before {
		t.Errorf("another order is taken for another value: %+v", found.Differences[before:])
	}
}
