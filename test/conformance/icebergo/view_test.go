package icebergo_test

import (
	"errors"
	"os"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/view"
)

// TestViews makes, replaces, renames, lists and drops views.
func TestViews(t *testing.T) {
	cat := open(t)
	ns := namespace(t, cat)
	ident := table.Identifier{ns, "v"}
	version := func(id int64, sql string) *view.Version {
		v, err := view.NewVersion(id, 0, []view.Representation{view.NewRepresentation(sql, "spark")}, table.Identifier{ns})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	made, err := cat.CreateView(t.Context(), ident, version(1, "SELECT 1 AS id"), schema, catalog.WithViewProperties(iceberg.Properties{"owner": "ice"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cat.CreateView(t.Context(), ident, version(1, "SELECT 1 AS id"), schema); !errors.Is(err, catalog.ErrViewAlreadyExists) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := cat.CreateTable(t.Context(), ident, schema); err == nil {
		t.Error("a table was made over a view")
	}
	create(t, cat, ns, "t")
	if _, err := cat.CreateView(t.Context(), table.Identifier{ns, "t"}, version(1, "SELECT 1 AS id"), schema); err == nil {
		t.Error("a view was made over a table")
	}

	replaced, err := cat.UpdateView(t.Context(), ident,
		[]view.Requirement{view.AssertViewUUID(made.Metadata().ViewUUID())},
		[]view.Update{
			view.NewAddViewVersionUpdate(version(2, "SELECT 2 AS id")),
			view.NewSetCurrentVersionUpdate(-1),
			view.NewSetPropertiesUpdate(iceberg.Properties{"owner": "floe"}),
		})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := cat.LoadView(t.Context(), ident)
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded.Metadata().CurrentVersion().Representations[0].Sql; got != "SELECT 2 AS id" {
		t.Errorf("the view selects %q", got)
	}
	if len(loaded.Metadata().Versions()) != 2 || loaded.Metadata().Properties()["owner"] != "floe" {
		t.Errorf("%d versions, properties %v", len(loaded.Metadata().Versions()), loaded.Metadata().Properties())
	}
	if loaded.MetadataLocation() != replaced.MetadataLocation() {
		t.Errorf("loaded from %s, replaced to %s", loaded.MetadataLocation(), replaced.MetadataLocation())
	}

	moved := table.Identifier{ns, "moved"}
	if _, err := cat.RenameView(t.Context(), ident, table.Identifier{ns, "t"}); err == nil {
		t.Error("renamed over a table")
	}
	if _, err := cat.RenameView(t.Context(), ident, moved); err != nil {
		t.Fatal(err)
	}
	if exists, err := cat.CheckViewExists(t.Context(), ident); err != nil || exists {
		t.Errorf("the old name is still there: %v", err)
	}
	listed := 0
	for got, err := range cat.ListViews(t.Context(), table.Identifier{ns}) {
		if err != nil || got[len(got)-1] != "moved" {
			t.Errorf("listed: %v, %v", got, err)
		}
		listed++
	}
	if listed != 1 {
		t.Errorf("%d views listed, want 1", listed)
	}
	if err := cat.DropView(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	if _, err := cat.LoadView(t.Context(), moved); !errors.Is(err, catalog.ErrNoSuchView) {
		t.Errorf("after the drop: %v", err)
	}
	if os.Getenv("FLOEBERG_TEST_REFERENCE") != "" {
		return // the reference server deletes a view's metadata with it
	}
	registered, err := cat.RegisterView(t.Context(), ident, loaded.MetadataLocation())
	if err != nil {
		t.Fatal(err)
	}
	if registered.Metadata().ViewUUID() != made.Metadata().ViewUUID() {
		t.Error("registered as another view")
	}
	if err := cat.DropNamespace(t.Context(), table.Identifier{ns}); !errors.Is(err, catalog.ErrNamespaceNotEmpty) {
		t.Errorf("dropped with a view in it: %v", err)
	}
}
