package catalog

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/internal/storage"
)

func TestRegisterView(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustView(t, c, "ns", "v")
	old, err := c.ReplaceView(t.Context(), Change{}, "", newQuery(t, ident("ns", "v"), viewVersion("select 2")))
	if err != nil {
		t.Fatal(err)
	}
	req := RegisterView{Identifier: ident("ns", "again"), MetadataLocation: old.MetadataLocation}
	_, err = c.RegisterView(t.Context(), Change{}, "", req)
	wantKind(t, err, KindAlreadyExists) // the view that is there lives in the place
	if _, err := c.DropView(t.Context(), Change{}, "", ident("ns", "v")); err != nil {
		t.Fatal(err)
	}
	made, err := c.RegisterView(t.Context(), Change{}, "", req)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made.Metadata, old.Metadata) || made.MetadataLocation != old.MetadataLocation {
		t.Errorf("registered %+v of %+v", made, old)
	}
	made.Index = 0
	loaded := mustLoadView(t, s.node(), "ns", "again")
	loaded.Index = 0
	if diff := cmp.Diff(made, loaded); diff != "" {
		t.Errorf("loaded is something else: %s", diff)
	}
	next, err := c.ReplaceView(t.Context(), Change{}, "", newQuery(t, ident("ns", "again"), viewVersion("select 3")))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(next.MetadataLocation, "/metadata/00002-") {
		t.Errorf("the next metadata file is %s", next.MetadataLocation)
	}
}

func TestRegisterViewRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	table := mustTable(t, c, "ns", "t")
	view := mustView(t, c, "ns", "v")
	if _, err := c.DropView(t.Context(), Change{}, "", ident("ns", "v")); err != nil {
		t.Fatal(err)
	}
	own := readView(t, view).Location
	files := 0
	write := func(content string) string {
		t.Helper()
		files++
		location := fmt.Sprintf("%s/given/%d.metadata.json", s.root, files)
		if err := s.st.Put(t.Context(), location, []byte(content)); err != nil {
			t.Fatal(err)
		}
		return location
	}
	changed := func(old, replacement string) string {
		t.Helper()
		text := strings.Replace(string(view.Metadata), old, replacement, 1)
		if text == string(view.Metadata) {
			t.Fatalf("%s is not in %s", old, text)
		}
		return write(text)
	}
	zipped, err := storage.Compress(view.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	for what, c2 := range map[string]struct {
		location string
		kind     Kind
		text     string
	}{
		"a table's file":    {s.write(t, "x/metadata/1.metadata.json", s.document("x", "")), KindInvalid, "Invalid view metadata file"},
		"in another's":      {table.MetadataLocation, KindAlreadyExists, "another table or view lives"},
		"no file":           {s.root + "/ns/v/metadata/00000-x.metadata.json", KindNotFound, "Failed to open input stream for file: " + s.root + "/ns/v/metadata/00000-x.metadata.json"},
		"a file elsewhere":  {"file:///etc/passwd", KindForbiddenLocation, "not below"},
		"dots":              {s.root + "/../x.metadata.json", KindInvalid, "Invalid location"},
		"no location":       {"", KindInvalid, "Invalid location"},
		"no JSON":           {write("select 1"), KindInvalid, "Invalid view metadata file"},
		"a cut file":        {write(string(zipped[:len(zipped)/2])), KindInvalid, "it is damaged"},
		"a newer format":    {changed(`"format-version":1`, `"format-version":2`), KindInvalid, "Unsupported format version: 2"},
		"a place elsewhere": {changed(own, "file:///elsewhere/v"), KindForbiddenLocation, "not below"},
		"a table's place":   {changed(own, s.root+"/ns"), KindAlreadyExists, "another table or view lives"},
		"a path elsewhere":  {changed(`"properties":{`, `"properties":{"write.metadata.path":"file:///elsewhere"`), KindForbiddenLocation, "write.metadata.path"},
	} {
		_, err := c.RegisterView(t.Context(), Change{}, "", RegisterView{Identifier: ident("ns", "v"), MetadataLocation: c2.location})
		if KindOf(err) != c2.kind || !strings.Contains(fmt.Sprint(err), c2.text) {
			t.Errorf("%s: error %v of kind %q, want %q of kind %q", what, err, KindOf(err), c2.text, c2.kind)
		}
	}
	_, err = c.RegisterView(t.Context(), Change{}, "", RegisterView{Identifier: ident("missing", "v"), MetadataLocation: view.MetadataLocation})
	wantKind(t, err, KindNoSuchNamespace)
	_, err = c.LoadView(t.Context(), Read{}, "", ident("ns", "v"))
	wantKind(t, err, KindNoSuchView)
	c.janitorIdle(t)
	for _, location := range []string{table.MetadataLocation, view.MetadataLocation} {
		if _, err := os.Stat(pathOf(location)); err != nil {
			t.Errorf("a file that was only shown is gone: %v", err)
		}
	}
}

// A registration that another one overtakes leaves the file alone: it is not its own.
func TestRegisterViewThatIsOvertaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	view := mustView(t, a, "ns", "v")
	if _, err := a.DropView(t.Context(), Change{}, "", ident("ns", "v")); err != nil {
		t.Fatal(err)
	}
	req := RegisterView{Identifier: ident("ns", "v"), MetadataLocation: view.MetadataLocation}
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.RegisterView(t.Context(), Change{}, "", req); err != nil {
			t.Error(err)
		}
	})
	_, err := a.RegisterView(t.Context(), Change{}, "", req)
	wantKind(t, err, KindAlreadyExists)
	a.janitorIdle(t)
	if _, err := os.Stat(pathOf(view.MetadataLocation)); err != nil {
		t.Errorf("the view's file is gone: %v", err)
	}
}

func TestReplaysOfViewChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	id, renamed := ident("ns", "v"), ident("ns", "w")
	create := newView("select 1", "ns", "v")
	replace := newQuery(t, id, viewVersion("select 2"))
	var location string
	both := func(what string, call func(*Catalog) (*View, error)) {
		t.Helper()
		first, err := call(a)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		second, err := call(b)
		switch {
		case err != nil:
			t.Errorf("replay of %s: %v", what, err)
		case first != nil && (first.MetadataLocation != second.MetadataLocation || !bytes.Equal(first.Metadata, second.Metadata)):
			t.Errorf("replay of %s: %+v is not %+v", what, second, first)
		}
		if first != nil {
			location = first.MetadataLocation
		}
	}
	both("create", func(c *Catalog) (*View, error) { return c.CreateView(t.Context(), keyed("c", "create"), "", create) })
	both("replace", func(c *Catalog) (*View, error) {
		return c.ReplaceView(t.Context(), keyed("r", "replace"), "", replace)
	})
	both("rename", func(c *Catalog) (*View, error) {
		_, err := c.RenameView(t.Context(), keyed("n", "rename"), "", id, renamed)
		return nil, err
	})
	// The view has another name, and the replacement's answer is still its answer.
	if again, err := b.ReplaceView(t.Context(), keyed("r", "replace"), "", replace); err != nil || again.MetadataLocation != location {
		t.Errorf("replay of a replacement of a renamed view: %v", err)
	}
	both("drop", func(c *Catalog) (*View, error) {
		_, err := c.DropView(t.Context(), keyed("d", "drop"), "", renamed)
		return nil, err
	})
	both("register", func(c *Catalog) (*View, error) {
		return c.RegisterView(t.Context(), keyed("g", "register"), "", RegisterView{Identifier: id, MetadataLocation: location})
	})
	refused, refusedAgain := error(nil), error(nil)
	_, refused = a.CreateView(t.Context(), keyed("x", "create again"), "", create)
	wantKind(t, refused, KindAlreadyExists)
	if _, err := a.DropView(t.Context(), Change{}, "", id); err != nil {
		t.Fatal(err)
	}
	_, refusedAgain = b.CreateView(t.Context(), keyed("x", "create again"), "", create)
	if fmt.Sprint(refusedAgain) != refused.Error() {
		t.Errorf("the repeat reads %q, the first %q", refusedAgain, refused)
	}
	if err := os.Remove(pathOf(location)); err != nil {
		t.Fatal(err)
	}
	_, err := b.ReplaceView(t.Context(), keyed("r", "replace"), "", replace)
	wantKind(t, err, KindCommitUnknown)
}

func TestUnknownOutcomeKeepsTheFileOfAView(t *testing.T) {
	t.Parallel()
	for _, landed := range []bool{true, false} {
		s := newSite(t)
		c := s.node()
		mustNamespace(t, c, "ns")
		mustView(t, c, "ns", "v")
		s.log.mu.Lock()
		if landed {
			s.log.after = func(*command.Transaction, command.Result) error { return ErrOutcomeUnknown }
		} else {
			s.log.before = func(*command.Transaction) error { return ErrOutcomeUnknown }
		}
		s.log.mu.Unlock()
		req := newQuery(t, ident("ns", "v"), viewVersion("select 2"))
		_, err := c.ReplaceView(t.Context(), Change{}, "", req)
		wantKind(t, err, KindCommitUnknown)
		s.log.mu.Lock()
		s.log.before, s.log.after = nil, nil
		s.log.mu.Unlock()
		c.janitorIdle(t)
		if files := s.files(); len(files) != 2 {
			t.Errorf("landed %v: files %v", landed, files)
		}
		again, err := c.ReplaceView(t.Context(), Change{}, "", req)
		if err != nil {
			t.Fatal(err)
		}
		if doc := readView(t, again); doc.Current != 2 || len(doc.Versions) != 2 {
			t.Errorf("landed %v: the repeat made %s", landed, again.Metadata)
		}
	}
}

func TestLostRightChangesNoView(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	made := mustView(t, c, "ns", "v")
	ch := Change{Guards: []Guard{s.log.key("hash")}}
	s.log.key("hash")
	calls := map[string]func() error{
		"create": func() error { _, err := c.CreateView(t.Context(), ch, "", newView("select 1", "ns", "w")); return err },
		"replace": func() error {
			_, err := c.ReplaceView(t.Context(), ch, "", newQuery(t, ident("ns", "v"), viewVersion("select 2")))
			return err
		},
		"drop": func() error { _, err := c.DropView(t.Context(), ch, "", ident("ns", "v")); return err },
		"rename": func() error {
			_, err := c.RenameView(t.Context(), ch, "", ident("ns", "v"), ident("ns", "w"))
			return err
		},
		"register": func() error {
			_, err := c.RegisterView(t.Context(), ch, "", RegisterView{Identifier: ident("ns", "w"), MetadataLocation: made.MetadataLocation})
			return err
		},
	}
	for what, call := range calls {
		if err := call(); KindOf(err) != KindRevoked {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.janitorIdle(t)
	if files := s.files(); len(files) != 1 {
		t.Errorf("files of changes that were not made: %v", files)
	}
}
