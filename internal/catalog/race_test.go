package catalog

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func TestOneOfManyDropsWins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	mustTable(t, nodes[0], "ns", "t")
	drops := map[string]func(*Catalog) error{
		"table": func(c *Catalog) error {
			_, err := c.DropTable(t.Context(), Change{}, "", ident("ns", "t"), false)
			return err
		},
		"namespace": func(c *Catalog) error {
			_, err := c.DropNamespace(t.Context(), Change{}, "", Namespace{"ns"})
			return err
		},
	}
	for _, what := range []string{"table", "namespace"} {
		var wg sync.WaitGroup
		outcomes := make(chan error, 12)
		for i := range cap(outcomes) {
			wg.Go(func() { outcomes <- drops[what](nodes[i%3]) })
		}
		wg.Wait()
		close(outcomes)
		dropped := 0
		for err := range outcomes {
			switch KindOf(err) {
			case KindNoSuchTable, KindNoSuchNamespace:
			default:
				if err != nil {
					t.Errorf("drop of the %s: %v", what, err)
				}
				dropped++
			}
		}
		if dropped != 1 {
			t.Errorf("%d drops of one %s succeeded", dropped, what)
		}
	}
}

// What is created in a namespace that is dropped at the same moment is not left
// where nobody finds it.
func TestNamespaceIsDroppedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	drop := func(*command.Transaction) {
		if _, err := b.DropNamespace(t.Context(), Change{}, "", Namespace{"ns"}); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	mustNamespace(t, a, "ns")
	s.log.ahead(drop)
	_, err := a.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)})
	wantKind(t, err, KindNoSuchNamespace)
	a.janitorIdle(t)
	if files := s.files(); len(files) != 0 {
		t.Errorf("its file stays: %v", files)
	}

	mustNamespace(t, a, "ns")
	s.log.ahead(drop)
	_, err = a.CreateNamespace(t.Context(), Change{}, "", Namespace{"ns", "child"}, nil)
	wantKind(t, err, KindNoSuchNamespace)

	mustNamespace(t, a, "ns")
	for what, create := range map[string]func(){
		"table": func() { mustTable(t, b, "ns", "t") }, "child": func() { mustNamespace(t, b, "ns", "child") },
	} {
		s.log.ahead(func(*command.Transaction) { create() })
		if _, err := a.DropNamespace(t.Context(), Change{}, "", Namespace{"ns"}); KindOf(err) != KindNotEmpty {
			t.Errorf("a namespace with a new %s: %v", what, err)
		}
		if _, err := a.DropTable(t.Context(), Change{}, "", ident("ns", "t"), false); KindOf(err) != KindNoSuchTable && err != nil {
			t.Error(err)
		}
	}
}

func TestStagedTableClaimsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	id := ident("ns", "t")
	if _, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: id, Schema: json.RawMessage(testSchema), Stage: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DropNamespace(t.Context(), Change{}, "", Namespace{"ns"}); err != nil {
		t.Errorf("what is only staged blocks a drop: %v", err)
	}
	_, err := c.CommitTable(t.Context(), Change{}, "", commit(t, id, `[{"type":"assert-create"}]`,
		fmt.Sprintf(`[{"action":"add-schema","schema":%s},{"action":"set-current-schema","schema-id":-1}]`, testSchema)))
	wantKind(t, err, KindNoSuchNamespace)
}

func TestNameOfAView(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	view := &command.Transaction{Writes: []*command.Write{command.PutValue(state.ViewKey("default", Namespace{"ns"}, "v"), nil)}}
	// Once it is there, and once it comes at the same moment.
	s.log.ahead(func(*command.Transaction) {
		if _, err := s.log.Propose(t.Context(), view); err != nil {
			t.Error(err)
		}
	})
	for _, stage := range []bool{false, true} {
		_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "v"), Schema: json.RawMessage(testSchema), Stage: stage})
		wantKind(t, err, KindAlreadyExists)
	}
	_, err := c.DropNamespace(t.Context(), Change{}, "", Namespace{"ns"})
	wantKind(t, err, KindNotEmpty)
}

// Sequence numbers are the table's: two branches draw from one sequence.
func TestAppendsToTwoBranches(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	mustTable(t, a, "ns", "t")
	id := ident("ns", "t")
	if _, err := a.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, 1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	onBranch := func(snapshot, sequence int64) CommitTable {
		return commit(t, id, `[{"type":"assert-ref-snapshot-id","ref":"audit","snapshot-id":null}]`,
			fmt.Sprintf(`[%s,{"action":"set-snapshot-ref","ref-name":"audit","type":"branch","snapshot-id":%d}]`,
				s.addSnapshot(snapshot, 1, sequence, time.Now().UnixMilli()), snapshot))
	}
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, 2, 1, 2)); err != nil {
			t.Error(err)
		}
	})
	_, err := a.CommitTable(t.Context(), Change{}, "", onBranch(3, 2))
	wantKind(t, err, KindCommitFailed)
	if _, err := a.CommitTable(t.Context(), Change{}, "", onBranch(3, 3)); err != nil {
		t.Errorf("with a fresh number: %v", err)
	}
}

func TestAppendsAndPropertiesRace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	mustTable(t, nodes[0], "ns", "t")
	id := ident("ns", "t")
	const each = 20
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range int64(each) {
			if _, err := nodes[0].CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, i+1, i, i+1)); err != nil {
				t.Errorf("append %d: %v", i+1, err)
			}
		}
	})
	for n := 1; n < 3; n++ {
		wg.Go(func() {
			for i := range each {
				if _, err := nodes[n].CommitTable(t.Context(), Change{}, "", setProperty(t, id, fmt.Sprintf("k%d-%d", n, i), "v")); err != nil {
					t.Errorf("property %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	final := mustLoad(t, nodes[0], "ns", "t").Metadata
	got := properties(t, final)
	for n := 1; n < 3; n++ {
		for i := range each {
			if got[fmt.Sprintf("k%d-%d", n, i)] != "v" {
				t.Errorf("property k%d-%d is lost", n, i)
			}
		}
	}
	if n := snapshots(t, final); n != each {
		t.Errorf("%d snapshots, want %d", n, each)
	}
}

// A proposal that comes too late is certain never to apply: its file goes, and
// the change is tried again while its client still waits.
func TestProposalPastItsDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	s.log.ahead(func(tx *command.Transaction) { tx.DeadlineMs = s.log.NowMs() - 100 })
	made, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "k", "v"))
	if err != nil {
		t.Fatal(err)
	}
	if now := mustLoad(t, c, "ns", "t"); now.MetadataLocation != made.MetadataLocation {
		t.Errorf("the table points to %s, the answer to %s", now.MetadataLocation, made.MetadataLocation)
	}
	c.janitorIdle(t)
	if files := s.files(); len(files) != 2 {
		t.Errorf("files of two generations were to stay: %v", files)
	}
}
