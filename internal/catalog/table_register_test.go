package catalog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/storage"
)

// write puts a file into the warehouse and returns its location.
func (s *site) write(t testing.TB, path string, body []byte) string {
	t.Helper()
	file := filepath.Join(s.dir, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.root + "/" + path
}

// document is a table's metadata at a place of the warehouse.
func (s *site) document(place, more string) []byte {
	return fmt.Appendf(nil, `{"format-version":2,"table-uuid":"6e2f2cd3-7c1f-4bb7-a3c0-5b1d2d9a4c11","location":"%s/%s","last-sequence-number":0,"last-updated-ms":%d,
		"last-column-id":2,"current-schema-id":0,"schemas":[%s],"default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"last-partition-id":999,
		"default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}]%s}`, s.root, place, time.Now().UnixMilli(), testSchema, more)
}

func register(id Identifier, location string) RegisterTable {
	return RegisterTable{Identifier: id, MetadataLocation: location}
}

func TestUnregisterAndRegister(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	if _, err := a.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("ns", "t"), 1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	before := mustLoad(t, a, "ns", "t")
	last, err := b.UnregisterTable(t.Context(), keyed("u", "unregister"), "", ident("ns", "t"))
	if err != nil {
		t.Fatal(err)
	}
	if last.MetadataLocation != before.MetadataLocation || !bytes.Equal(last.Metadata, before.Metadata) {
		t.Errorf("the last generation is %s, want %s", last.MetadataLocation, before.MetadataLocation)
	}
	s.wantFiles(t, 2, a, b)
	_, err = a.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("ns", "t"), 2, 1, 2))
	wantKind(t, err, KindNoSuchTable)
	_, err = a.UnregisterTable(t.Context(), Change{}, "", ident("ns", "t"))
	wantKind(t, err, KindNoSuchTable)

	mustNamespace(t, a, "other")
	made, err := a.RegisterTable(t.Context(), keyed("r", "register"), "", register(ident("other", "u"), last.MetadataLocation))
	if err != nil {
		t.Fatal(err)
	}
	assertSameJSON(t, made.Metadata, last.Metadata)
	assertSameJSON(t, mustLoad(t, b, "other", "u").Metadata, last.Metadata)
	if made.MetadataLocation != last.MetadataLocation {
		t.Errorf("it points to %s", made.MetadataLocation)
	}
	s.wantFiles(t, 2, a, b)

	// The repeats get what the first ones got.
	again, err := b.UnregisterTable(t.Context(), keyed("u", "unregister"), "", ident("ns", "t"))
	if err != nil || again.MetadataLocation != last.MetadataLocation {
		t.Fatalf("repeat of the unregister: %v", err)
	}
	assertSameJSON(t, again.Metadata, last.Metadata)
	again, err = b.RegisterTable(t.Context(), keyed("r", "register"), "", register(ident("other", "u"), last.MetadataLocation))
	if err != nil || again.MetadataLocation != made.MetadataLocation || !bytes.Equal(again.ID, made.ID) {
		t.Errorf("repeat of the register: %v", err)
	}
	// It is a table as any other.
	if _, err := b.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("other", "u"), 2, 1, 2)); err != nil {
		t.Error(err)
	}
	s.wantFiles(t, 3, a, b)
}

func TestCommitMeetsUnregister(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "k", "v")); err != nil {
			t.Error(err)
		}
	})
	last, err := a.UnregisterTable(t.Context(), Change{}, "", ident("ns", "t"))
	if err != nil {
		t.Fatal(err)
	}
	if properties(t, last.Metadata)["k"] != "v" {
		t.Error("an acknowledged commit is not in the last generation")
	}
}

func TestRegisteredFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "taken")
	zipped, err := storage.Compress(s.document("z", ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, location := range map[string]string{
		"name":  s.write(t, "n/table.json", s.document("n", "")),
		"bare":  s.write(t, "bare/metadata/v7", s.document("bare", "")),
		"gzip":  s.write(t, "z/metadata/v3.metadata.json", zipped),
		"other": strings.Replace(s.write(t, "o/metadata/1.json", s.document("o", "")), "file://", "file:", 1),
	} {
		made, err := c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", name), location))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if made.MetadataLocation != location {
			t.Errorf("%s: it points to %s", name, made.MetadataLocation)
		}
	}
}

func TestRefusedRegisters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "taken")
	taken := mustLoad(t, c, "ns", "taken").MetadataLocation
	theirs := strings.TrimPrefix(taken[:strings.LastIndex(taken, "/")], s.root+"/")
	view := &command.Transaction{Writes: []*command.Write{command.PutValue(state.ViewKey("default", Namespace{"ns"}, "v"), nil)}}
	if _, err := s.log.Propose(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	good := s.write(t, "x/metadata/1.metadata.json", s.document("x", ""))
	viewMetadata := fmt.Appendf(nil, `{"view-uuid":"6e2f2cd3-7c1f-4bb7-a3c0-5b1d2d9a4c11","format-version":1,"location":"%s/v","current-version-id":1,"schemas":[%s],
		"versions":[{"version-id":1,"timestamp-ms":1,"schema-id":0,"summary":{},"representations":[{"type":"sql","sql":"select 1","dialect":"spark"}],"default-namespace":["ns"]}],
		"version-log":[{"timestamp-ms":1,"version-id":1}]}`, s.root, testSchema)
	snapshot := fmt.Sprintf(`,"snapshots":[{"snapshot-id":1,"sequence-number":0,"timestamp-ms":%d,"manifest-list":"file:///elsewhere/l.avro","summary":{"operation":"append"}}]`, time.Now().UnixMilli())
	for says, tc := range map[string]struct {
		req  RegisterTable
		kind Kind
	}{
		"Table already exists: ns.taken":                                 {register(ident("ns", "taken"), good), KindAlreadyExists},
		"View with same name already exists: ns.v":                       {register(ident("ns", "v"), good), KindAlreadyExists},
		"View with same name already exists: ns.v ":                      {RegisterTable{ident("ns", "v"), good, true}, KindAlreadyExists},
		"Namespace does not exist: no":                                   {register(ident("no", "t"), good), KindNoSuchNamespace},
		"Failed to open input stream for file: " + s.root + "/x/missing": {register(ident("ns", "t"), s.root+"/x/missing"), KindNotFound},
		"not below the warehouse's root":                                 {register(ident("ns", "t"), "file:///etc/passwd"), KindForbiddenLocation},
		"..":                                                             {register(ident("ns", "t"), s.root+"/../x"), KindInvalid},
		"it is empty":                                                    {register(ident("ns", "t"), ""), KindInvalid},
		"it is the metadata of a view":                                   {register(ident("ns", "t"), s.write(t, "v/1", viewMetadata)), KindInvalid},
		"Invalid table metadata file \"" + s.root + "/f/text":            {register(ident("ns", "t"), s.write(t, "f/text", []byte("no JSON"))), KindInvalid},
		"f/empty":                           {register(ident("ns", "t"), s.write(t, "f/empty", nil)), KindInvalid},
		"f/null":                            {register(ident("ns", "t"), s.write(t, "f/null", []byte("null"))), KindInvalid},
		"f/damaged":                         {register(ident("ns", "t"), s.write(t, "f/damaged", []byte{0x1f, 0x8b, 8, 0, 0})), KindInvalid},
		"f/v4":                              {register(ident("ns", "t"), s.write(t, "f/v4", bytes.Replace(s.document("f", ""), []byte(`"format-version":2`), []byte(`"format-version":4`), 1))), KindUnsupported},
		"location:":                         {register(ident("ns", "t"), s.write(t, "f/out", bytes.Replace(s.document("f", ""), []byte(s.root), []byte("file:///elsewhere"), 1))), KindForbiddenLocation},
		"manifest-list:":                    {register(ident("ns", "t"), s.write(t, "f/list", s.document("f", snapshot))), KindForbiddenLocation},
		"write.metadata.path:":              {register(ident("ns", "t"), s.write(t, "f/path", s.document("f", `,"properties":{"write.metadata.path":"file:///elsewhere/m"}`))), KindForbiddenLocation},
		"another table or view lives at it": {register(ident("ns", "t"), taken), KindAlreadyExists},
		// What lies in another's place is not looked at, whatever it says and whether it is there.
		"1.json\": another table or view":  {register(ident("ns", "t"), s.write(t, theirs+"/1.json", s.document("free", ""))), KindAlreadyExists},
		"missing\": another table or view": {register(ident("ns", "t"), s.root+"/"+theirs+"/missing"), KindAlreadyExists},
	} {
		_, err := c.RegisterTable(t.Context(), Change{}, "", tc.req)
		if KindOf(err) != tc.kind || !strings.Contains(err.Error()+" ", says) {
			t.Errorf("got %v of kind %q, want %q of kind %q", err, KindOf(err), says, tc.kind)
		}
	}
	for _, location := range []string{good, taken} {
		if _, err := os.Stat(pathOf(location)); err != nil {
			t.Errorf("a file of somebody else's was deleted: %v", err)
		}
	}
}

// The file was there before the request: it stays whatever comes of that.
func TestRegisteredFileIsNeverDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	req := register(ident("ns", "t"), s.write(t, "x/metadata/1.metadata.json", s.document("x", "")))
	for kind, hook := range map[Kind]func(*command.Transaction) error{
		KindUnavailable:   func(*command.Transaction) error { return ErrNotProposed },
		KindBusy:          func(*command.Transaction) error { return ErrQueueFull },
		KindCommitUnknown: func(*command.Transaction) error { return ErrOutcomeUnknown },
	} {
		s.log.mu.Lock()
		s.log.before = hook
		s.log.mu.Unlock()
		_, err := c.RegisterTable(t.Context(), Change{}, "", req)
		wantKind(t, err, kind)
	}
	s.log.ahead(func(*command.Transaction) { mustTable(t, s.node(), "ns", "t") })
	_, err := c.RegisterTable(t.Context(), Change{}, "", req)
	wantKind(t, err, KindAlreadyExists)
	c.janitorIdle(t)
	if _, err := os.Stat(pathOf(req.MetadataLocation)); err != nil {
		t.Error(err)
	}
}

func TestRegisterOverATable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	id := ident("ns", "t")
	first := mustLoad(t, a, "ns", "t")
	if _, err := a.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, 1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	// Back to an older generation, at the same place.
	over := RegisterTable{Identifier: id, MetadataLocation: first.MetadataLocation, Overwrite: true}
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, 2, 1, 2)); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.RegisterTable(t.Context(), Change{}, "", over); err != nil {
		t.Fatal(err)
	}
	now := mustLoad(t, b, "ns", "t")
	assertSameJSON(t, now.Metadata, first.Metadata)
	// To a table at another place; the old place is free then, and its files stay.
	elsewhere := s.write(t, "else/metadata/1.metadata.json", s.document("else", ""))
	if _, err := b.RegisterTable(t.Context(), Change{}, "", RegisterTable{id, elsewhere, true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RegisterTable(t.Context(), Change{}, "", RegisterTable{ident("ns", "old"), first.MetadataLocation, true}); err != nil {
		t.Errorf("the old place is not free: %v", err)
	}
	// Around its own old place, which nobody else may have.
	around := s.write(t, "around.json", bytes.Replace(s.document("else", ""), []byte("/else"), []byte(""), 1))
	_, err := b.RegisterTable(t.Context(), Change{}, "", RegisterTable{id, around, true})
	wantKind(t, err, KindForbiddenLocation)
	inner := s.write(t, "inner.json", s.document("else/inner", ""))
	if _, err := b.RegisterTable(t.Context(), Change{}, "", RegisterTable{id, inner, true}); err != nil {
		t.Errorf("within its own place: %v", err)
	}
	if _, err := b.RegisterTable(t.Context(), Change{}, "", RegisterTable{id, elsewhere, true}); err != nil {
		t.Errorf("back around it: %v", err)
	}
	same := mustLoad(t, a, "ns", "t")
	if again, err := a.RegisterTable(t.Context(), Change{}, "", RegisterTable{id, elsewhere, true}); err != nil || again.Revision != same.Revision {
		t.Errorf("the file that it points to: revision %d of %d, %v", again.Revision, same.Revision, err)
	}
	if _, err := a.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", "v")); err != nil {
		t.Error(err)
	}
	s.wantFiles(t, 3, a, b) // of ns; none was deleted
	s.wantNoStrayParts(t)
}

// wantNoStrayParts fails the test if the state holds parts, heads, uploads or
// places that belong to no table.
func (s *site) wantNoStrayParts(t *testing.T) {
	t.Helper()
	v, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	owned := map[string]bool{}
	tables := 0
	err = v.Scan(state.SpaceRange(state.SpaceTable), func(_ []byte, value state.Value) bool {
		rec := &state.Table{}
		if err := state.Decode(value, rec); err != nil {
			t.Error(err)
		}
		owned[string(rec.Id)] = true
		tables++
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, space := range []state.Space{state.SpaceHead, state.SpacePart, state.SpaceUpload, state.SpaceLocation} {
		err := v.Scan(state.SpaceRange(space), func(key []byte, _ state.Value) bool {
			switch {
			case space == state.SpaceLocation:
				places++
			case space == state.SpaceUpload, !owned[string(key[1:17])]:
				t.Errorf("key %x is nobody's", key)
				return false
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if places != tables {
		t.Errorf("%d places of %d tables", places, tables)
	}
}

// manySnapshots is the document of a table with a history of about this size.
func (s *site) manySnapshots(t testing.TB, place string, bytes int) []byte {
	t.Helper()
	now := time.Now().UnixMilli()
	one := func(i int) string {
		added := s.addSnapshot(int64(i+1), int64(i), int64(i+1), now)
		return strings.TrimSuffix(strings.TrimPrefix(added, `{"action":"add-snapshot","snapshot":`), "}")
	}
	var list strings.Builder
	list.Grow(bytes + 4096)
	list.WriteString(`,"snapshots":[`)
	n := 0
	for ; list.Len() < bytes; n++ {
		if n > 0 {
			list.WriteByte(',')
		}
		list.WriteString(one(n))
	}
	fmt.Fprintf(&list, `],"current-snapshot-id":%d`, n)
	doc := s.document(place, list.String())
	return []byte(strings.Replace(string(doc), `"last-sequence-number":0`, fmt.Sprintf(`"last-sequence-number":%d`, n), 1))
}

func TestRegisterOfALargeTable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	doc := s.manySnapshots(t, "big", maxPartsAtOnce+2*uploadChunk)
	req := register(ident("ns", "big"), s.write(t, "big/metadata/1.metadata.json", doc))
	// A node that is lost in the middle.
	n := atomic.Int32{}
	s.log.mu.Lock()
	s.log.before = func(*command.Transaction) error {
		if n.Add(1) > 3 {
			return ErrOutcomeUnknown
		}
		return nil
	}
	s.log.mu.Unlock()
	_, err := a.RegisterTable(t.Context(), Change{}, "", req)
	wantKind(t, err, KindUnavailable)
	s.log.mu.Lock()
	s.log.before = nil
	s.log.mu.Unlock()
	if _, err := b.TableExists(t.Context(), Read{}, "", req.Identifier); KindOf(err) != KindNoSuchTable {
		t.Errorf("half a table is there: %v", err)
	}
	// Its upload is nobody's once its time is over, and the next upload deletes it.
	s.log.aheadMs.Store(uint64(uploadLease.Milliseconds()) + 1000)
	mustNamespace(t, b, "later")
	// Another change comes first, and the upload is good all the same.
	overtaken := atomic.Bool{}
	s.log.mu.Lock()
	s.log.before = func(tx *command.Transaction) error {
		if len(tx.Events) > 0 && overtaken.CompareAndSwap(false, true) {
			if _, err := b.CreateNamespace(t.Context(), Change{}, "", Namespace{"x"}, nil); err != nil {
				t.Error(err)
			}
			mustTable(t, b, "ns", "big")
			if _, err := b.DropTable(t.Context(), Change{}, "", req.Identifier, false); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	s.log.mu.Unlock()
	made, err := a.RegisterTable(t.Context(), Change{}, "", req)
	if err != nil {
		t.Fatal(err)
	}
	assertSameJSON(t, made.Metadata, mustLoad(t, b, "ns", "big").Metadata)
	s.wantNoStrayParts(t)

	// A refusal that comes late leaves nothing.
	if _, err := a.UnregisterTable(t.Context(), Change{}, "", req.Identifier); err != nil {
		t.Fatal(err)
	}
	taken := atomic.Bool{}
	s.log.mu.Lock()
	s.log.before = func(tx *command.Transaction) error {
		if len(tx.Events) > 0 && taken.CompareAndSwap(false, true) {
			mustTable(t, b, "ns", "big")
		}
		return nil
	}
	s.log.mu.Unlock()
	_, err = a.RegisterTable(t.Context(), Change{}, "", req)
	wantKind(t, err, KindAlreadyExists)
	s.wantNoStrayParts(t)
	// Over it, and with changes after it.
	req.Overwrite = true
	if _, err := a.RegisterTable(t.Context(), Change{}, "", req); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CommitTable(t.Context(), Change{}, "", setProperty(t, req.Identifier, "k", "v")); err != nil {
		t.Fatal(err)
	}
	if got := property(t, a, "k", "ns", "big"); got != "v" {
		t.Error("the commit is lost")
	}
	s.wantNoStrayParts(t)
}

func TestPartOfARegisteredTableTooLarge(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes a document of 33 MB")
	}
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	summary := strings.Repeat("x", command.MaxValueBytes)
	doc := s.document("big", fmt.Sprintf(`,"snapshots":[{"snapshot-id":1,"sequence-number":0,"timestamp-ms":%d,"manifest-list":"%s/l.avro","summary":{"operation":"append","x":%q}}]`, time.Now().UnixMilli(), s.root, summary))
	_, err := c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "big"), s.write(t, "big/1", doc)))
	wantKind(t, err, KindTooLarge)
	s.wantNoStrayParts(t)
}

// registerLarge registers and loads a document of this many bytes and returns by how
// many the heap grew at most.
func registerLarge(t testing.TB, bytes int) uint64 {
	t.Helper()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	location := s.write(t, "big/metadata/1.metadata.json", s.manySnapshots(t, "big", bytes))
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var mu sync.Mutex
	grown := uint64(0)
	s.log.mu.Lock()
	s.log.before = func(*command.Transaction) error {
		mu.Lock()
		defer mu.Unlock()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		grown = max(grown, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
		return nil
	}
	s.log.mu.Unlock()
	begun := time.Now()
	made, err := c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "big"), location))
	if err != nil {
		t.Fatal(err)
	}
	registered := time.Since(begun)
	begun = time.Now()
	if got := mustLoad(t, s.node(), "ns", "big"); len(got.Metadata) != len(made.Metadata) {
		t.Errorf("%d bytes are loaded of %d", len(got.Metadata), len(made.Metadata))
	}
	t.Logf("%d MB: registered in %v, loaded in %v, the heap grew by %d MB at most", bytes>>20, registered, time.Since(begun), grown>>20)
	return grown
}

func TestMemoryOfALargeRegister(t *testing.T) { //nolint:paralleltest // it measures the heap
	if testing.Short() {
		t.Skip("registers a document of 48 MB")
	}
	const size = 48 << 20
	if grown := registerLarge(t, size); grown > 8*size {
		t.Errorf("the heap grew by %d MB for a document of %d MB", grown>>20, size>>20)
	}
}

func BenchmarkRegister250MB(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(registerLarge(b, 250<<20)>>20), "heap-MB")
	}
}
