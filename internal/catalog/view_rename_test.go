package catalog

import (
	"bytes"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func TestRenameView(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	mustNamespace(t, a, "ns", "deep")
	from, to := ident("ns", "v"), ident("ns", "deep", "w")
	rename := func(c *Catalog, from, to Identifier) error {
		t.Helper()
		_, err := c.RenameView(t.Context(), Change{}, "", from, to)
		return err
	}
	err := rename(a, from, to)
	wantKind(t, err, KindNoSuchView)
	if err.Error() != "View does not exist: ns.v" {
		t.Errorf("refused with %q", err)
	}
	made := mustView(t, a, "ns", "v")
	err = rename(a, from, ident("missing", "w"))
	wantKind(t, err, KindNoSuchNamespace)
	if err.Error() != "Namespace does not exist: missing" {
		t.Errorf("refused with %q", err)
	}
	if err := rename(a, from, from); err != nil {
		t.Errorf("to its own name: %v", err)
	}
	if now := mustLoadView(t, b, "ns", "v"); now.Revision != made.Revision {
		t.Errorf("to its own name: revision %d became %d", made.Revision, now.Revision)
	}
	if err := rename(a, from, ident("ns", "V")); err != nil {
		t.Errorf("to another case: %v", err)
	}
	if err := rename(b, ident("ns", "V"), to); err != nil {
		t.Fatal(err)
	}
	moved := mustLoadView(t, a, "ns", "deep", "w")
	if !bytes.Equal(moved.ID, made.ID) || !bytes.Equal(moved.Metadata, made.Metadata) || moved.MetadataLocation != made.MetadataLocation {
		t.Errorf("the view %+v became %+v", made, moved)
	}
	_, err = a.LoadView(t.Context(), Read{}, "", from)
	wantKind(t, err, KindNoSuchView)
	// Its place is still its own, and it can go on from there.
	taken := newView("select 1", "ns", "v")
	taken.Location = readView(t, made).Location
	_, err = a.CreateView(t.Context(), Change{}, "", taken)
	wantKind(t, err, KindAlreadyExists)
	if _, err := a.ReplaceView(t.Context(), Change{}, "", newQuery(t, to, viewVersion("select 2"))); err != nil {
		t.Errorf("a replacement under the new name: %v", err)
	}
	mustView(t, a, "ns", "v")
}

func TestViewRenameIsToldWithBothNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	made := mustView(t, c, "ns", "v")
	told := make(chan *command.Transaction, 1)
	s.log.ahead(func(tx *command.Transaction) { told <- tx })
	if _, err := c.RenameView(t.Context(), Change{Principal: "p"}, "", ident("ns", "v"), ident("ns", "w")); err != nil {
		t.Fatal(err)
	}
	event := &state.Event{}
	if err := state.Decode(state.Value{Data: (<-told).Events[0].Payload}, event); err != nil {
		t.Fatal(err)
	}
	got := []string{event.Kind, event.Warehouse, event.Namespace[0], event.Name, event.FromNamespace[0], event.FromName, event.Principal, event.MetadataLocation}
	want := []string{"view.rename", "default", "ns", "w", "ns", "v", "p", made.MetadataLocation}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A replacement that a rename overtakes finds no view and leaves no file.
func TestViewRenamedWhileBeingReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	mustView(t, a, "ns", "v")
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.RenameView(t.Context(), Change{}, "", ident("ns", "v"), ident("ns", "w")); err != nil {
			t.Error(err)
		}
	})
	_, err := a.ReplaceView(t.Context(), Change{}, "", newQuery(t, ident("ns", "v"), viewVersion("select 2")))
	wantKind(t, err, KindNoSuchView)
	a.janitorIdle(t)
	if files := s.files(); len(files) != 1 {
		t.Errorf("files: %v", files)
	}
	// And a rename takes along what a replacement made in between.
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.ReplaceView(t.Context(), Change{}, "", newQuery(t, ident("ns", "w"), viewVersion("select 3"))); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.RenameView(t.Context(), Change{}, "", ident("ns", "w"), ident("ns", "v")); err != nil {
		t.Fatal(err)
	}
	if doc := readView(t, mustLoadView(t, b, "ns", "v")); doc.sql(doc.Current) != "select 3" {
		t.Errorf("the renamed view is %+v", doc)
	}
}

func TestOneOfManyRenamesOfViewsWins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	names := []string{"a", "b", "c"}
	for _, name := range names {
		mustView(t, nodes[0], "ns", name)
	}
	var wg sync.WaitGroup
	outcomes := make(chan error, 12)
	for i := range cap(outcomes) {
		wg.Go(func() {
			_, err := nodes[i%3].RenameView(t.Context(), Change{}, "", ident("ns", names[i%3]), ident("ns", "x"))
			outcomes <- err
		})
	}
	wg.Wait()
	close(outcomes)
	renamed := 0
	for err := range outcomes {
		switch KindOf(err) {
		case "":
			renamed++
		case KindAlreadyExists, KindNoSuchView:
		default:
			t.Errorf("unexpected outcome: %v", err)
		}
	}
	list, err := nodes[1].ListViews(t.Context(), Read{}, "", Namespace{"ns"}, Page{})
	if err != nil {
		t.Fatal(err)
	}
	if views, _ := entries(t, list); renamed != 1 || len(views) != 3 {
		t.Errorf("%d renames succeeded, views are %v", renamed, views)
	}
}

// To clients of a rename a conflict means a taken name: being overtaken for ever
// is something that a repeat can mend.
func TestViewRenameThatAlwaysLoses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustView(t, c, "ns", "v")
	s.log.mu.Lock()
	s.log.before = func(tx *command.Transaction) error {
		tx.Preconditions = append(tx.Preconditions, command.KeyPresent(state.ViewKey("default", Namespace{"ns"}, "nobody")))
		return nil
	}
	s.log.mu.Unlock()
	_, err := c.RenameView(t.Context(), Change{}, "", ident("ns", "v"), ident("ns", "w"))
	wantKind(t, err, KindUnavailable)
	_, err = c.ReplaceView(t.Context(), Change{}, "", newQuery(t, ident("ns", "v"), viewVersion("select 2")))
	wantKind(t, err, KindCommitFailed)
	c.janitorIdle(t)
	if files := s.files(); len(files) != 1 {
		t.Errorf("files of attempts that failed stay: %d", len(files))
	}
}
