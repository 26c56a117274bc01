package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func TestTableLifecycle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")

	made := mustTable(t, a, "ns", "t")
	loaded := mustLoad(t, b, "ns", "t")
	if !bytes.Equal(made.Metadata, loaded.Metadata) || made.MetadataLocation != loaded.MetadataLocation || made.Revision != loaded.Revision {
		t.Fatalf("another node shows another table:\n%+v\n%+v", made, loaded)
	}
	if !strings.Contains(made.MetadataLocation, "/metadata/00000-") {
		t.Errorf("first metadata file is called %s", made.MetadataLocation)
	}

	changed, err := b.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("ns", "t"), 1, 0, 1))
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	if !strings.Contains(changed.MetadataLocation, "/metadata/00001-") {
		t.Errorf("second metadata file is called %s", changed.MetadataLocation)
	}
	onDisk, err := os.ReadFile(pathOf(changed.MetadataLocation))
	if err != nil {
		t.Fatalf("an acknowledged pointer leads nowhere: %v", err)
	}
	loaded = mustLoad(t, a, "ns", "t")
	assertSameJSON(t, onDisk, loaded.Metadata)

	if _, err := a.DropTable(t.Context(), Change{}, "", ident("ns", "t"), false); err != nil {
		t.Fatalf("drop: %v", err)
	}
	_, err = b.LoadTable(t.Context(), "", ident("ns", "t"), LoadOptions{})
	wantKind(t, err, KindNoSuchTable)
	_, err = b.DropTable(t.Context(), Change{}, "", ident("ns", "t"), false)
	wantKind(t, err, KindNoSuchTable)
	mustTable(t, b, "ns", "t")
}

func assertSameJSON(t *testing.T, a, b []byte) {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	if !bytes.Equal(p, q) {
		t.Fatalf("documents differ:\n%s\n%s", p, q)
	}
}

func TestOneNameOneTable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	var wg sync.WaitGroup
	outcomes := make(chan error, 48)
	for i := range cap(outcomes) {
		wg.Go(func() {
			_, err := nodes[i%3].CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)})
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
	if created != 1 {
		t.Errorf("%d creates of one name succeeded", created)
	}
	for _, n := range nodes {
		n.janitorIdle(t)
	}
	if files := s.files(); len(files) != 1 {
		t.Errorf("losers left files behind: %v", files)
	}
}

// janitorIdle waits until the node's files to be deleted are.
func (c *Catalog) janitorIdle(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for c.janitor.waiting.Load() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("files still wait to be deleted after 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCommitsThatDoNotContradictAllLand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	mustTable(t, nodes[0], "ns", "t")
	var wg sync.WaitGroup
	for i := range 45 {
		wg.Go(func() {
			if _, err := nodes[i%3].CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), fmt.Sprint("k", i), "v")); err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	final := mustLoad(t, nodes[1], "ns", "t")
	got := properties(t, final.Metadata)
	for i := range 45 {
		if got[fmt.Sprint("k", i)] != "v" {
			t.Errorf("property k%d is lost", i)
		}
	}
}

func TestRacingAppends(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	mustTable(t, nodes[0], "ns", "t")
	var wg sync.WaitGroup
	outcomes := make(chan error, 30)
	for i := range cap(outcomes) {
		req := s.appendSnapshot(ident("ns", "t"), int64(100+i), 0, 1)
		wg.Go(func() {
			_, err := nodes[i%3].CommitTable(t.Context(), Change{}, "", req)
			outcomes <- err
		})
	}
	wg.Wait()
	close(outcomes)
	landed := 0
	for err := range outcomes {
		switch {
		case err == nil:
			landed++
		case KindOf(err) != KindCommitFailed:
			t.Errorf("unexpected outcome: %v", err)
		}
	}
	final := mustLoad(t, nodes[2], "ns", "t")
	if got := snapshots(t, final.Metadata); landed != 1 || got != landed {
		t.Errorf("%d commits landed, %d snapshots are there, want 1", landed, got)
	}
	if _, err := os.Stat(pathOf(final.MetadataLocation)); err != nil {
		t.Errorf("pointer leads nowhere: %v", err)
	}
	for _, n := range nodes {
		n.janitorIdle(t)
	}
	if files := s.files(); len(files) != 2 {
		t.Errorf("losers left files behind: %v", files)
	}
}

func TestRepeatedCommitGetsTheLandedState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	req := s.appendSnapshot(ident("ns", "t"), 7, 0, 1)
	first, err := c.CommitTable(t.Context(), Change{}, "", req)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.node().CommitTable(t.Context(), Change{}, "", req)
	if err != nil {
		t.Fatalf("repeat: %v", err)
	}
	if first.MetadataLocation != second.MetadataLocation {
		t.Errorf("the repeat made %s of %s", second.MetadataLocation, first.MetadataLocation)
	}
}

func TestUnknownOutcomeKeepsTheFile(t *testing.T) {
	t.Parallel()
	for _, landed := range []bool{true, false} {
		t.Run(fmt.Sprint("landed ", landed), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.node()
			mustNamespace(t, c, "ns")
			mustTable(t, c, "ns", "t")
			before := len(s.files())
			s.log.mu.Lock()
			if landed {
				s.log.after = func(*command.Transaction, command.Result) error { return ErrOutcomeUnknown }
			} else {
				s.log.before = func(*command.Transaction) error { return ErrOutcomeUnknown }
			}
			s.log.mu.Unlock()
			_, err := c.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("ns", "t"), 7, 0, 1))
			wantKind(t, err, KindCommitUnknown)
			s.log.mu.Lock()
			s.log.before, s.log.after = nil, nil
			s.log.mu.Unlock()
			c.janitorIdle(t)
			if got := len(s.files()); got != before+1 {
				t.Errorf("%d files, want the new one kept beside %d", got, before)
			}
			now := mustLoad(t, c, "ns", "t")
			if _, err := os.Stat(pathOf(now.MetadataLocation)); err != nil {
				t.Errorf("pointer leads nowhere: %v", err)
			}
		})
	}
}

func TestNothingProposedLeavesNothing(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]Kind{ErrNotProposed: KindUnavailable, ErrNotMember: KindUnavailable, ErrQueueFull: KindBusy} {
		s := newSite(t)
		c := s.node()
		mustNamespace(t, c, "ns")
		s.log.mu.Lock()
		s.log.before = func(*command.Transaction) error { return fmt.Errorf("weather: %w", cause) }
		s.log.mu.Unlock()
		_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)})
		wantKind(t, err, want)
		if !errors.Is(err, cause) {
			t.Errorf("the cause is lost: %v", err)
		}
		c.janitorIdle(t)
		if files := s.files(); len(files) != 0 {
			t.Errorf("files stay: %v", files)
		}
	}
}

func TestLocationsNeverOverlap(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	create := func(name, location string) error {
		_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", name), Location: location, Schema: json.RawMessage(testSchema)})
		return err
	}
	if err := create("t", s.root+"/ns/x/t"); err != nil {
		t.Fatal(err)
	}
	for name, location := range map[string]string{
		"equal": s.root + "/ns/x/t", "slash": s.root + "/ns/x/t/", "child": s.root + "/ns/x/t/deep/er",
		"parent": s.root + "/ns/x", "spelling": strings.Replace(s.root, "file://", "file:", 1) + "/ns/x/t",
	} {
		if err := create(name, location); KindOf(err) != KindAlreadyExists {
			t.Errorf("%s at %s: got %v, want a refusal", name, location, err)
		}
	}
	for name, location := range map[string]string{
		"root": s.root, "outside": "file:///elsewhere/t", "sibling root": s.root + "-evil/t", "dots": s.root + "/ns/../../t",
		"no scheme": "/tmp/t", "other store": "s3://b/t",
	} {
		if err := create(name, location); KindOf(err) != KindForbiddenLocation && KindOf(err) != KindInvalid {
			t.Errorf("%s at %s: got %v, want a refusal", name, location, err)
		}
	}
	if err := create("sibling", s.root+"/ns/x/t2"); err != nil {
		t.Errorf("a sibling is refused: %v", err)
	}
	move := commit(t, ident("ns", "sibling"), `[]`, fmt.Sprintf(`[{"action":"set-location","location":%q}]`, s.root+"/ns/x/t/in"))
	_, err := c.CommitTable(t.Context(), Change{}, "", move)
	wantKind(t, err, KindAlreadyExists)
	move = commit(t, ident("ns", "sibling"), `[]`, fmt.Sprintf(`[{"action":"set-location","location":%q}]`, s.root+"/ns/x/t2/in"))
	if _, err := c.CommitTable(t.Context(), Change{}, "", move); err != nil {
		t.Errorf("a move within the own place is refused: %v", err)
	}
	if err := create("old place", s.root+"/ns/x/t2"); KindOf(err) != KindAlreadyExists {
		t.Errorf("a place around a moved table: got %v, want a refusal", err)
	}
	elsewhere := commit(t, ident("ns", "t"), `[]`, `[{"action":"set-properties","updates":{"write.metadata.path":"file:///elsewhere"}}]`)
	_, err = c.CommitTable(t.Context(), Change{}, "", elsewhere)
	wantKind(t, err, KindForbiddenLocation)
}

// Roots may lie in each other: what is around a table is looked for up to the outermost.
func TestLocationsInNestedRoots(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	data, err := state.Encode(&state.Warehouse{Name: "default", Root: s.root + "/inner", AllowedRoots: []string{s.root}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.log.Propose(t.Context(), &command.Transaction{Writes: []*command.Write{command.PutValue(state.WarehouseKey("default"), data)}}); err != nil {
		t.Fatal(err)
	}
	mustNamespace(t, c, "ns")
	create := func(name, location string) error {
		_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", name), Location: location, Schema: json.RawMessage(testSchema)})
		return err
	}
	if err := create("outer", s.root+"/inner"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, create("in it", s.root+"/inner/t"), KindAlreadyExists)
	wantKind(t, create("placed by us", ""), KindAlreadyExists)
}

func TestStagedCreate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	id := ident("ns", "t")
	staged, err := a.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: id, Schema: json.RawMessage(testSchema), Stage: true})
	if err != nil {
		t.Fatal(err)
	}
	if staged.MetadataLocation != "" || len(s.files()) != 0 {
		t.Errorf("a staged create wrote %q, %v", staged.MetadataLocation, s.files())
	}
	_, err = a.TableExists(t.Context(), Read{}, "", id)
	wantKind(t, err, KindNoSuchTable)

	var doc struct {
		UUID     string `json:"table-uuid"`
		Location string `json:"location"`
	}
	if err := json.Unmarshal(staged.Metadata, &doc); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(pathOf(doc.Location) + "/metadata"); err != nil || !fi.IsDir() {
		t.Errorf("the metadata folder is not in place: %v", err)
	}
	create := commit(t, id, `[{"type":"assert-create"}]`, fmt.Sprintf(`[{"action":"assign-uuid","uuid":%q},{"action":"upgrade-format-version","format-version":2},
		{"action":"add-schema","schema":%s},{"action":"set-current-schema","schema-id":-1},
		{"action":"add-spec","spec":{"spec-id":0,"fields":[]}},{"action":"set-default-spec","spec-id":-1},
		{"action":"add-sort-order","sort-order":{"order-id":0,"fields":[]}},{"action":"set-default-sort-order","sort-order-id":-1},
		{"action":"set-location","location":%q}]`, doc.UUID, testSchema, doc.Location))
	made, err := b.CommitTable(t.Context(), Change{}, "", create)
	if err != nil {
		t.Fatalf("commit of a staged table on another node: %v", err)
	}
	again, err := a.CommitTable(t.Context(), Change{}, "", create)
	if err != nil || again.MetadataLocation != made.MetadataLocation {
		t.Errorf("the repeated create: %v, %v", again, err)
	}
	create = commit(t, id, `[{"type":"assert-create"}]`, fmt.Sprintf(`[{"action":"assign-uuid","uuid":%q},{"action":"upgrade-format-version","format-version":2},
		{"action":"add-schema","schema":%s},{"action":"set-current-schema","schema-id":-1},
		{"action":"add-spec","spec":{"spec-id":0,"fields":[]}},{"action":"set-default-spec","spec-id":-1},
		{"action":"add-sort-order","sort-order":{"order-id":0,"fields":[]}},{"action":"set-default-sort-order","sort-order-id":-1}]`, uuid.NewString(), testSchema))
	_, err = a.CommitTable(t.Context(), Change{}, "", create)
	wantKind(t, err, KindCommitFailed)
	create.Name = "placed by us"
	if _, err := a.CommitTable(t.Context(), Change{}, "", create); err != nil {
		t.Errorf("a create without a location: %v", err)
	}
}

func TestRefusalsComeFromTheProvenPresent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	old, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	// A node that is behind: whoever asks it for no proof sees the empty catalog.
	behind := s.node()
	mustLoad(t, behind, "ns", "t")
	s.log.mu.Lock()
	s.log.past = func() (*state.View, error) { return state.NewView(old.Reader, old.Index, old.TimeMs, nil), nil }
	s.log.mu.Unlock()
	if _, err := behind.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "k", "v")); err != nil {
		t.Errorf("commit through a node that is behind: %v", err)
	}
	_, err = behind.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)})
	wantKind(t, err, KindAlreadyExists)
}

func TestSupersededFilesAreDeletedAfterTheCommit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	id := ident("ns", "t")
	_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{
		Identifier: id, Schema: json.RawMessage(testSchema),
		Properties: map[string]string{"write.metadata.previous-versions-max": "2", "write.metadata.delete-after-commit.enabled": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if _, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	c.janitorIdle(t)
	if files := s.files(); len(files) != 3 {
		t.Errorf("%d metadata files stay, want the current one and 2 before it: %v", len(files), files)
	}
}

func TestGzippedMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	made, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{
		Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema),
		Properties: map[string]string{"write.metadata.compression-codec": "gzip"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(made.MetadataLocation, ".gz.metadata.json") {
		t.Errorf("the file is called %s", made.MetadataLocation)
	}
	doc, err := c.readMetadata(t.Context(), &WarehouseInfo{Name: "default"}, made.MetadataLocation, c.opts.MaxMetadataBytes)
	if err != nil {
		t.Fatal(err)
	}
	assertSameJSON(t, doc, made.Metadata)
	_, err = c.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "write.metadata.compression-codec", "rot13"))
	wantKind(t, err, KindInvalid)
}
