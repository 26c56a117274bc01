package catalog

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func TestRename(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	mustNamespace(t, a, "other")
	before := mustLoad(t, a, "ns", "t")
	var event state.Event
	s.log.ahead(func(tx *command.Transaction) {
		if len(tx.Events) != 1 || proto.Unmarshal(tx.Events[0].Payload, &event) != nil {
			t.Errorf("events %v", tx.Events)
		}
	})
	if _, err := a.RenameTable(t.Context(), Change{Principal: "p"}, "", ident("ns", "t"), ident("other", "u")); err != nil {
		t.Fatal(err)
	}
	if event.Kind != "table.rename" || event.Name != "u" || event.Namespace[0] != "other" || event.FromName != "t" || event.FromNamespace[0] != "ns" || event.Principal != "p" {
		t.Errorf("event %v", &event)
	}
	_, err := b.LoadTable(t.Context(), "", ident("ns", "t"), LoadOptions{})
	wantKind(t, err, KindNoSuchTable)
	after := mustLoad(t, b, "other", "u")
	if string(after.ID) != string(before.ID) || after.MetadataLocation != before.MetadataLocation || string(after.Metadata) != string(before.Metadata) {
		t.Error("it is another table")
	}
	// Its place is still its own, and its old name is free.
	if _, err := b.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("other", "u"), 1, 0, 1)); err != nil {
		t.Errorf("commit under the new name: %v", err)
	}
	mustTable(t, b, "ns", "t")
	_, err = b.CreateTable(t.Context(), Change{}, "", CreateTable{
		Identifier: ident("ns", "squatter"), Schema: json.RawMessage(testSchema), Location: strings.TrimSuffix(before.MetadataLocation[:strings.Index(before.MetadataLocation, "/metadata/")], "/"),
	})
	wantKind(t, err, KindAlreadyExists)
	// Only the case of it changes.
	if _, err := b.RenameTable(t.Context(), Change{}, "", ident("ns", "t"), ident("ns", "T")); err != nil {
		t.Error(err)
	}
	mustLoad(t, a, "ns", "T")
}

func TestRefusedRenames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "a", "b")
	view := &command.Transaction{Writes: []*command.Write{command.PutValue(state.ViewKey("default", Namespace{"ns"}, "v"), nil)}}
	if _, err := s.log.Propose(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	for says, tc := range map[string]struct {
		from, to Identifier
		kind     Kind
	}{
		"Cannot rename ns.a to ns.b. Table already exists": {ident("ns", "a"), ident("ns", "b"), KindAlreadyExists},
		"Cannot rename ns.a to ns.v. View already exists":  {ident("ns", "a"), ident("ns", "v"), KindAlreadyExists},
		"Table does not exist: ns.x":                       {ident("ns", "x"), ident("ns", "y"), KindNoSuchTable},
		"Table does not exist: no.x":                       {ident("no", "x"), ident("ns", "y"), KindNoSuchTable},
		"Namespace does not exist: no":                     {ident("ns", "a"), ident("no", "a"), KindNoSuchNamespace},
		"Invalid name":                                     {ident("ns", "a"), ident("ns", ""), KindInvalid},
	} {
		_, err := c.RenameTable(t.Context(), Change{}, "", tc.from, tc.to)
		if KindOf(err) != tc.kind || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v of kind %q, want %q of kind %q", err, KindOf(err), says, tc.kind)
		}
	}
	mustLoad(t, c, "ns", "a")
	mustLoad(t, c, "ns", "b")
}

// Iceberg's own catalogs do nothing for it and say yes even where there is no such
// table. Here it is yes only for a table that is there.
func TestRenameToItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "t")
	before := mustLoad(t, c, "ns", "t")
	for _, ch := range []Change{{}, keyed("k", "same")} {
		if _, err := c.RenameTable(t.Context(), ch, "", ident("ns", "t"), ident("ns", "t")); err != nil {
			t.Error(err)
		}
	}
	if after := mustLoad(t, c, "ns", "t"); after.Revision != before.Revision {
		t.Error("it was changed")
	}
	_, err := c.RenameTable(t.Context(), Change{}, "", ident("ns", "x"), ident("ns", "x"))
	wantKind(t, err, KindNoSuchTable)
}

func TestRenameMeetsOtherChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	id, to := ident("ns", "t"), ident("ns", "u")

	// A commit that comes first is carried along.
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", "v")); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.RenameTable(t.Context(), Change{}, "", id, to); err != nil {
		t.Fatal(err)
	}
	if got := property(t, a, "k", "ns", "u"); got != "v" {
		t.Error("the commit is lost")
	}
	// One that is under way finds no table, and leaves nothing.
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.RenameTable(t.Context(), Change{}, "", to, id); err != nil {
			t.Error(err)
		}
	})
	_, err := a.CommitTable(t.Context(), Change{}, "", setProperty(t, to, "k", "late"))
	wantKind(t, err, KindNoSuchTable)
	s.wantFiles(t, 2, a, b)

	// A name or a namespace that is taken away meanwhile.
	s.log.ahead(func(*command.Transaction) { mustTable(t, b, "ns", "u") })
	_, err = a.RenameTable(t.Context(), Change{}, "", id, to)
	wantKind(t, err, KindAlreadyExists)
	mustNamespace(t, a, "short")
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.DropNamespace(t.Context(), Change{}, "", Namespace{"short"}); err != nil {
			t.Error(err)
		}
	})
	_, err = a.RenameTable(t.Context(), Change{}, "", id, ident("short", "t"))
	wantKind(t, err, KindNoSuchNamespace)
}

// Clients take 409 to mean that the new name is taken.
func TestRenameThatAlwaysLoses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "t")
	n := 0
	var hook func(*command.Transaction)
	hook = func(*command.Transaction) {
		n++
		if _, err := b.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "k", strings.Repeat("x", n))); err != nil {
			t.Error(err)
		}
		s.log.ahead(hook)
	}
	s.log.ahead(hook)
	_, err := a.RenameTable(t.Context(), Change{}, "", ident("ns", "t"), ident("ns", "u"))
	wantKind(t, err, KindUnavailable)
	if n != maxAttempts {
		t.Errorf("tried %d times", n)
	}
}

func TestOneOfManyRenamesWins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	s.tables(t, nodes[0], "a", "b", "c")
	var wg sync.WaitGroup
	outcomes := make(chan error, 12)
	for i := range cap(outcomes) {
		wg.Go(func() {
			_, err := nodes[i%3].RenameTable(t.Context(), Change{}, "", ident("ns", string(rune('a'+i%3))), ident("ns", "x"))
			outcomes <- err
		})
	}
	wg.Wait()
	close(outcomes)
	renamed := 0
	for err := range outcomes {
		switch KindOf(err) {
		case KindAlreadyExists, KindNoSuchTable:
		default:
			if err != nil {
				t.Error(err)
			}
			renamed++
		}
	}
	if renamed != 1 {
		t.Errorf("%d renames to one name succeeded", renamed)
	}
	list, err := nodes[0].ListTables(t.Context(), Read{}, "", Namespace{"ns"}, Page{})
	if err != nil {
		t.Fatal(err)
	}
	if ids, _ := entries(t, list); len(ids) != 3 {
		t.Errorf("%v", ids)
	}
}
