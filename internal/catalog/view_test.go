package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// viewVersion is a version as clients send it: their numbers count for nothing.
func viewVersion(sql string, dialects ...string) json.RawMessage {
	if len(dialects) == 0 {
		dialects = []string{"spark"}
	}
	var queries []string
	for _, dialect := range dialects {
		queries = append(queries, fmt.Sprintf(`{"type":"sql","sql":%q,"dialect":%q}`, sql, dialect))
	}
	return fmt.Appendf(nil, `{"version-id":1,"timestamp-ms":%d,"schema-id":0,"summary":{"engine-name":"test"},"default-namespace":["ns"],"representations":[%s]}`,
		time.Now().UnixMilli(), strings.Join(queries, ","))
}

func newView(sql string, parts ...string) CreateView {
	return CreateView{Identifier: ident(parts...), Schema: json.RawMessage(testSchema), Version: viewVersion(sql)}
}

func mustView(t testing.TB, c *Catalog, parts ...string) *View {
	t.Helper()
	made, err := c.CreateView(t.Context(), Change{}, "", newView("select 1", parts...))
	if err != nil {
		t.Fatalf("create view %v: %v", parts, err)
	}
	return made
}

func mustLoadView(t testing.TB, c *Catalog, parts ...string) *View {
	t.Helper()
	got, err := c.LoadView(t.Context(), Read{}, "", ident(parts...))
	if err != nil {
		t.Fatalf("load view %v: %v", parts, err)
	}
	return got
}

func replaceView(t testing.TB, id Identifier, updates string) ReplaceView {
	t.Helper()
	ups, err := iceberg.ParseViewUpdates([]byte(updates))
	if err != nil {
		t.Fatalf("updates: %v", err)
	}
	return ReplaceView{Identifier: id, Updates: ups}
}

// newQuery replaces a view's query as clients do.
func newQuery(t testing.TB, id Identifier, version json.RawMessage) ReplaceView {
	t.Helper()
	return replaceView(t, id, fmt.Sprintf(`[{"action":"add-view-version","view-version":%s},{"action":"set-current-view-version","view-version-id":-1}]`, version))
}

func setViewProperty(t testing.TB, id Identifier, key, value string) ReplaceView {
	t.Helper()
	return replaceView(t, id, fmt.Sprintf(`[{"action":"set-properties","updates":{%q:%q}}]`, key, value))
}

// viewDoc is what tests look at in a view's document.
type viewDoc struct {
	UUID       string            `json:"view-uuid"`
	Location   string            `json:"location"`
	Current    int               `json:"current-version-id"`
	Properties map[string]string `json:"properties"`
	Versions   []struct {
		ID      int `json:"version-id"`
		Queries []struct {
			SQL string `json:"sql"`
		} `json:"representations"`
	} `json:"versions"`
	Log []struct {
		ID int `json:"version-id"`
	} `json:"version-log"`
}

func readView(t testing.TB, v *View) viewDoc {
	t.Helper()
	var doc viewDoc
	if err := json.Unmarshal(v.Metadata, &doc); err != nil {
		t.Fatalf("metadata is not JSON: %v", err)
	}
	return doc
}

func (d viewDoc) ids() []int {
	ids := make([]int, 0, len(d.Versions))
	for _, v := range d.Versions {
		ids = append(ids, v.ID)
	}
	return ids
}

func (d viewDoc) sql(id int) string {
	for _, v := range d.Versions {
		if v.ID == id {
			return v.Queries[0].SQL
		}
	}
	return ""
}

func TestViewLifecycle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	id := ident("ns", "v")
	_, err := a.CreateView(t.Context(), Change{}, "", newView("select 1", "ns", "v"))
	wantKind(t, err, KindNoSuchNamespace)
	mustNamespace(t, a, "ns")
	made := mustView(t, a, "ns", "v")
	if !strings.HasPrefix(made.MetadataLocation, s.root+"/ns/v-") || !strings.Contains(made.MetadataLocation, "/metadata/00000-") ||
		!strings.HasSuffix(made.MetadataLocation, ".gz.metadata.json") {
		t.Errorf("the first metadata file is %s", made.MetadataLocation)
	}
	loaded := mustLoadView(t, b, "ns", "v")
	made.Index = loaded.Index
	if diff := cmp.Diff(made, loaded); diff != "" {
		t.Fatalf("another node shows another view: %s", diff)
	}
	if _, err := b.ViewExists(t.Context(), Read{}, "", id); err != nil {
		t.Errorf("exists: %v", err)
	}

	changed, err := b.ReplaceView(t.Context(), Change{}, "", newQuery(t, id, viewVersion("select 2")))
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	if !strings.Contains(changed.MetadataLocation, "/metadata/00001-") {
		t.Errorf("the second metadata file is %s", changed.MetadataLocation)
	}
	onDisk, err := a.readMetadata(t.Context(), &WarehouseInfo{Name: "default"}, changed.MetadataLocation, maxViewBytes)
	if err != nil {
		t.Fatalf("an acknowledged pointer leads nowhere: %v", err)
	}
	loaded = mustLoadView(t, a, "ns", "v")
	if !bytes.Equal(onDisk, loaded.Metadata) || !bytes.Equal(loaded.ID, made.ID) || loaded.Revision == made.Revision {
		t.Errorf("the view is %+v, its file %s", loaded, onDisk)
	}
	doc := readView(t, loaded)
	if diff := cmp.Diff([]int{1, 2}, doc.ids()); diff != "" || doc.Current != 2 || doc.sql(2) != "select 2" {
		t.Errorf("the view is %s", loaded.Metadata)
	}

	if _, err := a.DropView(t.Context(), Change{}, "", id); err != nil {
		t.Fatalf("drop: %v", err)
	}
	_, err = b.LoadView(t.Context(), Read{}, "", id)
	wantKind(t, err, KindNoSuchView)
	_, err = b.ViewExists(t.Context(), Read{}, "", id)
	wantKind(t, err, KindNoSuchView)
	_, err = b.DropView(t.Context(), Change{}, "", id)
	wantKind(t, err, KindNoSuchView)
	_, err = b.ReplaceView(t.Context(), Change{}, "", newQuery(t, id, viewVersion("select 3")))
	wantKind(t, err, KindNoSuchView)
	if files := s.files(); len(files) != 2 {
		t.Errorf("a drop is to leave the files: %v", files)
	}
	mustView(t, b, "ns", "v")
}

func TestViewNamesNobodyCanMean(t *testing.T) {
	t.Parallel()
	c := newSite(t).node()
	bad := ident("ns", "a\x00b")
	calls := map[string]func() error{
		"create": func() error {
			_, err := c.CreateView(t.Context(), Change{}, "", CreateView{Identifier: bad})
			return err
		},
		"load": func() error { _, err := c.LoadView(t.Context(), Read{}, "", bad); return err },
		"exists": func() error {
			_, err := c.ViewExists(t.Context(), Read{}, "", bad)
			return err
		},
		"replace": func() error {
			_, err := c.ReplaceView(t.Context(), Change{}, "", ReplaceView{Identifier: bad})
			return err
		},
		"drop":      func() error { _, err := c.DropView(t.Context(), Change{}, "", bad); return err },
		"rename":    func() error { _, err := c.RenameView(t.Context(), Change{}, "", bad, ident("ns", "v")); return err },
		"rename to": func() error { _, err := c.RenameView(t.Context(), Change{}, "", ident("ns", "v"), bad); return err },
		"register": func() error {
			_, err := c.RegisterView(t.Context(), Change{}, "", RegisterView{Identifier: bad})
			return err
		},
		"list no one": func() error { _, err := c.ListViews(t.Context(), Read{}, "", nil, Page{}); return err },
	}
	for what, call := range calls {
		if err := call(); KindOf(err) != KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestListViews(t *testing.T) {
	t.Parallel()
	c := newSite(t).node()
	mustNamespace(t, c, "ns")
	mustNamespace(t, c, "ns", "deep")
	for i := range 5 {
		mustView(t, c, "ns", fmt.Sprint("v", i))
		mustTable(t, c, "ns", fmt.Sprint("t", i))
	}
	mustView(t, c, "ns", "deep", "other")
	var names []string
	page := Page{Paged: true, Size: 2}
	for {
		list, err := c.ListViews(t.Context(), Read{}, "", Namespace{"ns"}, page)
		if err != nil {
			t.Fatal(err)
		}
		views, next := entries(t, list)
		for _, id := range views {
			names = append(names, id.String())
		}
		if next == "" {
			break
		}
		page.Token = next
		_, err = c.ListTables(t.Context(), Read{}, "", Namespace{"ns"}, page)
		wantKind(t, err, KindInvalid)
	}
	if diff := cmp.Diff([]string{"ns.v0", "ns.v1", "ns.v2", "ns.v3", "ns.v4"}, names); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
	_, err := c.ListViews(t.Context(), Read{}, "", Namespace{"none"}, Page{})
	wantKind(t, err, KindNoSuchNamespace)
	_, err = c.DropNamespace(t.Context(), Change{}, "", Namespace{"ns", "deep"})
	wantKind(t, err, KindNotEmpty)
}

// Table and view share one space of names, whichever comes first and however.
func TestOneNameIsATableOrAView(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	kept := mustView(t, c, "ns", "v")
	dropped := mustView(t, c, "ns", "dropped")
	if _, err := c.DropView(t.Context(), Change{}, "", ident("ns", "dropped")); err != nil {
		t.Fatal(err)
	}
	register := func(name string) error {
		_, err := c.RegisterView(t.Context(), Change{}, "", RegisterView{Identifier: ident("ns", name), MetadataLocation: dropped.MetadataLocation})
		return err
	}
	create := func(name string) error {
		_, err := c.CreateView(t.Context(), Change{}, "", newView("select 1", "ns", name))
		return err
	}
	table := func(stage bool) error {
		_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "v"), Schema: json.RawMessage(testSchema), Stage: stage})
		return err
	}
	_, staged := c.CommitTable(t.Context(), Change{}, "", commit(t, ident("ns", "v"), `[{"type":"assert-create"}]`,
		fmt.Sprintf(`[{"action":"add-schema","schema":%s},{"action":"set-current-schema","schema-id":-1}]`, testSchema)))
	rename := func(name string) error {
		_, err := c.RenameView(t.Context(), Change{}, "", ident("ns", "v"), ident("ns", name))
		return err
	}
	mustView(t, c, "ns", "w")
	for text, err := range map[string]error{
		"View already exists: ns.v":                               create("v"),
		"Table with same name already exists: ns.t":               create("t"),
		"View with same name already exists: ns.v":                table(false),
		"Cannot rename ns.v to ns.t. Table already exists":        rename("t"),
		"Cannot rename ns.v to ns.w. View already exists":         rename("w"),
		"View already exists: ns.w":                               register("w"),
		"Table with same name already exists: ns.t (registering)": register("t"),
		"View with same name already exists: ns.v (staging)":      table(true),
		"View with same name already exists: ns.v (staged)":       staged,
	} {
		wantKind(t, err, KindAlreadyExists)
		if want, _, _ := strings.Cut(text, " ("); err.Error() != want {
			t.Errorf("refused with %q, want %q", err, text)
		}
	}
	_, err := c.LoadTable(t.Context(), "", ident("ns", "v"), LoadOptions{})
	wantKind(t, err, KindNoSuchTable)
	_, err = c.LoadView(t.Context(), Read{}, "", ident("ns", "t"))
	wantKind(t, err, KindNoSuchView)
	if now := mustLoadView(t, c, "ns", "v"); now.Revision != kept.Revision {
		t.Error("the view that is there changed")
	}
}

func TestTableAndViewRaceForOneName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	for round := range 10 {
		name := fmt.Sprint("x", round)
		var wg sync.WaitGroup
		outcomes := make(chan error, 12)
		for i := range cap(outcomes) {
			wg.Go(func() {
				c := nodes[i%3]
				var err error
				if i%2 == 0 {
					_, err = c.CreateView(t.Context(), Change{}, "", newView("select 1", "ns", name))
				} else {
					_, err = c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", name), Schema: json.RawMessage(testSchema)})
				}
				outcomes <- err
			})
		}
		wg.Wait()
		close(outcomes)
		created := 0
		for err := range outcomes {
			switch {
			case err == nil:
				created++
			case KindOf(err) != KindAlreadyExists:
				t.Errorf("unexpected outcome: %v", err)
			}
		}
		_, view := nodes[0].ViewExists(t.Context(), Read{}, "", ident("ns", name))
		_, table := nodes[0].TableExists(t.Context(), Read{}, "", ident("ns", name))
		if created != 1 || (view == nil) == (table == nil) {
			t.Errorf("%d creates of %s succeeded; as a view: %v, as a table: %v", created, name, view, table)
		}
	}
	for _, n := range nodes {
		n.janitorIdle(t)
	}
	if files := s.files(); len(files) != 10 {
		t.Errorf("losers left files behind: %v", files)
	}
}

// Replacements that meet are all applied, and numbered in the order of the log.
func TestReplacementsThatMeetAllLand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	id := ident("ns", "v")
	req := newView("select 1", "ns", "v")
	req.Properties = map[string]string{"version.history.num-entries": "100"}
	if _, err := nodes[0].CreateView(t.Context(), Change{}, "", req); err != nil {
		t.Fatal(err)
	}
	uuid := readView(t, mustLoadView(t, nodes[0], "ns", "v")).UUID
	requirements, err := iceberg.ParseViewRequirements(fmt.Appendf(nil, `[{"type":"assert-view-uuid","uuid":%q}]`, uuid))
	if err != nil {
		t.Fatal(err)
	}
	const each = 20
	var wg sync.WaitGroup
	for n, c := range nodes {
		wg.Go(func() {
			for i := range each {
				req := newQuery(t, id, viewVersion(fmt.Sprintf("select %d from n%d", i, n)))
				req.Requirements = requirements
				if _, err := c.ReplaceView(t.Context(), Change{}, "", req); err != nil {
					t.Errorf("replacement %d on node %d: %v", i, n, err)
				}
			}
		})
	}
	wg.Wait()
	doc := readView(t, mustLoadView(t, nodes[1], "ns", "v"))
	var want []int
	for i := range 2*each + 1 {
		want = append(want, i+1)
	}
	if diff := cmp.Diff(want, doc.ids()); diff != "" || doc.Current != 2*each+1 || len(doc.Log) != 2*each+1 {
		t.Errorf("current %d of %d log entries, versions (-want +got):\n%s", doc.Current, len(doc.Log), diff)
	}
	queries := make(map[string]bool)
	for _, v := range doc.Versions {
		queries[v.Queries[0].SQL] = true
	}
	if len(queries) != 2*each+1 {
		t.Errorf("%d queries are there, want %d", len(queries), 2*each+1)
	}
	for _, n := range nodes {
		n.janitorIdle(t)
	}
	if files := s.files(); len(files) != 2*each+1 {
		t.Errorf("%d metadata files, want one for each version: %d", len(files), 2*each+1)
	}
}

func TestReplaceView(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	id := ident("ns", "v")
	first := viewVersion("select 1")
	made, err := c.CreateView(t.Context(), Change{}, "", CreateView{Identifier: id, Schema: json.RawMessage(testSchema), Version: first})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, req ReplaceView, kind Kind, text string) {
		t.Helper()
		_, err := c.ReplaceView(t.Context(), Change{}, "", req)
		if KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("%s: error %v of kind %q, want %q of kind %q", what, err, KindOf(err), text, kind)
		}
	}
	refused("two queries of one dialect", newQuery(t, id, viewVersion("select 2", "trino", "Trino")), KindInvalid,
		"Invalid view version: Cannot add multiple queries for dialect trino")
	refused("a lost dialect", newQuery(t, id, viewVersion("select 2", "trino")), KindInvalid, "loss of view dialects")
	refused("a table's update", replaceView(t, id, `[{"action":"set-default-spec","spec-id":0}]`), KindInvalid, "Cannot apply update set-default-spec to a view")
	refused("files elsewhere", setViewProperty(t, id, "write.metadata.path", "file:///elsewhere"), KindForbiddenLocation, "write.metadata.path")
	refused("files outside of it", setViewProperty(t, id, "write.metadata.path", s.root+"/ns/other"), KindForbiddenLocation, "not below")
	refused("a codec", setViewProperty(t, id, "write.metadata.compression-codec", "rot13"), KindInvalid, "rot13")
	other := newQuery(t, id, viewVersion("select 2"))
	other.Requirements, err = iceberg.ParseViewRequirements([]byte(`[{"type":"assert-view-uuid","uuid":"x"}]`))
	if err != nil {
		t.Fatal(err)
	}
	refused("another view", other, KindCommitFailed, "Requirement failed: view UUID does not match")
	refused("a size", setViewProperty(t, id, "big", strings.Repeat("x", maxViewBytes)), KindTooLarge, "too large")
	if now := mustLoadView(t, c, "ns", "v"); now.Revision != made.Revision || len(s.files()) != 1 {
		t.Fatalf("refusals left something behind: %+v, %v", now, s.files())
	}

	replace := func(req ReplaceView) *View {
		t.Helper()
		got, err := c.ReplaceView(t.Context(), Change{}, "", req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	replace(replaceView(t, id, `[{"action":"set-properties","updates":{"replace.drop-dialect.allowed":"true","write.metadata.compression-codec":"none"}}]`))
	second := replace(newQuery(t, id, viewVersion("select 2", "trino")))
	if strings.Contains(second.MetadataLocation, ".gz.") {
		t.Errorf("the file is called %s", second.MetadataLocation)
	}
	onDisk, err := os.ReadFile(pathOf(second.MetadataLocation))
	if err != nil {
		t.Fatal(err)
	}
	assertSameJSON(t, onDisk, second.Metadata)
	// A version that was there before becomes current again, the very same one.
	again := readView(t, replace(newQuery(t, id, first)))
	if diff := cmp.Diff([]int{1, 2}, again.ids()); diff != "" || again.Current != 1 || len(again.Log) != 3 {
		t.Errorf("versions %v, current %d, log %v", again.ids(), again.Current, again.Log)
	}
	gone := readView(t, replace(replaceView(t, id, `[{"action":"remove-properties","removals":["replace.drop-dialect.allowed","write.metadata.compression-codec"]}]`)))
	if len(gone.Properties) != 0 {
		t.Errorf("properties stay: %v", gone.Properties)
	}
}

func TestRepeatedReplacementGetsTheLandedState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustView(t, c, "ns", "v")
	req := newQuery(t, ident("ns", "v"), viewVersion("select 2"))
	first, err := c.ReplaceView(t.Context(), Change{}, "", req)
	if err != nil {
		t.Fatal(err)
	}
	for what, ch := range map[string]Change{"without a key": {}, "under a new key": keyed("k", "replace")} {
		again, err := s.node().ReplaceView(t.Context(), ch, "", req)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		again.Index = first.Index
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%s the repeat got something else: %s", what, diff)
		}
	}
	if files := s.files(); len(files) != 2 {
		t.Errorf("repeats wrote files: %v", files)
	}
}

func TestViewVersionsAreTrimmed(t *testing.T) {
	t.Parallel()
	c := newSite(t).node()
	mustNamespace(t, c, "ns")
	mustView(t, c, "ns", "v")
	for i := range 14 {
		if _, err := c.ReplaceView(t.Context(), Change{}, "", newQuery(t, ident("ns", "v"), viewVersion(fmt.Sprint("select ", i+2)))); err != nil {
			t.Fatal(err)
		}
	}
	doc := readView(t, mustLoadView(t, c, "ns", "v"))
	if diff := cmp.Diff([]int{6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, doc.ids()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

func TestPlacesOfViews(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	create := func(name, location string) error {
		req := newView("select 1", "ns", name)
		req.Location = location
		_, err := c.CreateView(t.Context(), Change{}, "", req)
		return err
	}
	// As Trino asks for it, and as it is spelled.
	place := strings.Replace(s.root, "file://", "file:", 1) + "/anywhere/v-0b2e8e0e7f0c4c9e9a55cd3f4ee0a7e2"
	if err := create("v", place); err != nil {
		t.Fatal(err)
	}
	if got := readView(t, mustLoadView(t, c, "ns", "v")).Location; got != place {
		t.Errorf("the location is %s, asked for was %s", got, place)
	}
	if _, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t"), Location: s.root + "/ns/t", Schema: json.RawMessage(testSchema)}); err != nil {
		t.Fatal(err)
	}
	for name, location := range map[string]string{
		"a table's": s.root + "/ns/t", "in a table": s.root + "/ns/t/data", "around a table": s.root + "/ns", "a view's": place + "/",
	} {
		wantKind(t, create(name, location), KindAlreadyExists)
	}
	_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t2"), Location: place + "/data", Schema: json.RawMessage(testSchema)})
	wantKind(t, err, KindAlreadyExists)
	for name, location := range map[string]string{
		"root": s.root, "outside": "file:///elsewhere/v", "sibling root": s.root + "-evil/v", "dots": s.root + "/ns/../../v", "no scheme": "/tmp/v",
	} {
		if err := create(name, location); KindOf(err) != KindForbiddenLocation && KindOf(err) != KindInvalid {
			t.Errorf("%s at %s: got %v, want a refusal", name, location, err)
		}
	}
	req := newView("select 1", "ns", "path")
	req.Properties = map[string]string{"write.metadata.path": "file:///elsewhere"}
	_, err = c.CreateView(t.Context(), Change{}, "", req)
	wantKind(t, err, KindForbiddenLocation)

	move := func(location string) error {
		_, err := c.ReplaceView(t.Context(), Change{}, "", replaceView(t, ident("ns", "v"), fmt.Sprintf(`[{"action":"set-location","location":%q}]`, location)))
		return err
	}
	wantKind(t, move(s.root+"/ns/t/v"), KindAlreadyExists)
	wantKind(t, move("file:///elsewhere"), KindForbiddenLocation)
	if err := move(s.root + "/moved/v"); err != nil {
		t.Fatal(err)
	}
	if err := create("old place", place); err != nil {
		t.Errorf("the place that a view left: %v", err)
	}
	wantKind(t, create("new place", s.root+"/moved/v"), KindAlreadyExists)
	if _, err := c.DropView(t.Context(), Change{}, "", ident("ns", "v")); err != nil {
		t.Fatal(err)
	}
	if err := create("new place", s.root+"/moved/v"); err != nil {
		t.Errorf("the place of a dropped view: %v", err)
	}
}
