package catalog

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/fsm/command"
)

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

// Nor can a table elsewhere whose metadata file lies among those files.
func TestRegisterFileAmongPurged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	made := mustTable(t, c, "ns", "t")
	beside := path.Join(path.Dir(strings.TrimPrefix(made.MetadataLocation, s.root)), "stranger.metadata.json")
	stranger := s.write(t, strings.TrimPrefix(beside, "/"), s.document("elsewhere", ""))
	mustPurge(t, c, "ns", "t")
	_, err := c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "u"), stranger))
	wantKind(t, err, KindAlreadyExists)
}

// A purge that begins and ends between a register's look at the file and its
// change leaves nothing to register, though neither the file's place nor its name
// shows anything of it any more.
func TestPurgeWithinARegister(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(s *site, c *Catalog) (RegisterTable, func()){
		"of the table that is replaced": func(s *site, c *Catalog) (RegisterTable, func()) {
			first := mustTable(t, c, "ns", "t").MetadataLocation
			if _, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "k", "v")); err != nil {
				t.Fatal(err)
			}
			return RegisterTable{Identifier: ident("ns", "t"), MetadataLocation: first, Overwrite: true},
				func() { mustPurge(t, c, "ns", "t") }
		},
		"of one that came and went": func(s *site, c *Catalog) (RegisterTable, func()) {
			file := s.write(t, "x/metadata/1.metadata.json", s.document("x", ""))
			return register(ident("ns", "t"), file), func() {
				if _, err := c.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "u"), file)); err != nil {
					t.Error(err)
				}
				mustPurge(t, c, "ns", "u")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			a, b := s.node(), s.node()
			mustNamespace(t, a, "ns")
			req, purge := prepare(s, b)
			s.log.ahead(func(*command.Transaction) {
				purge()
				// The end of a task that nobody works on is one as any other.
				if _, err := b.CancelTask(t.Context(), Change{}, mustTasks(t, b)[0].ID); err != nil {
					t.Error(err)
				}
				if err := os.Remove(strings.TrimPrefix(req.MetadataLocation, "file://")); err != nil {
					t.Error(err)
				}
			})
			_, err := a.RegisterTable(t.Context(), Change{}, "", req)
			wantKind(t, err, KindNotFound)
			if _, err := b.TableExists(t.Context(), Read{}, "", ident("ns", "t")); KindOf(err) != KindNoSuchTable {
				t.Errorf("it is there without its file: %v", err)
			}
		})
	}
}

// The end of another purge holds up no register.
func TestRegisterWhileAnotherPurgeEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	mustTable(t, a, "ns", "old")
	mustPurge(t, a, "ns", "old")
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CancelTask(t.Context(), Change{}, mustTasks(t, b)[0].ID); err != nil {
			t.Error(err)
		}
	})
	file := s.write(t, "x/metadata/1.metadata.json", s.document("x", ""))
	if _, err := a.RegisterTable(t.Context(), Change{}, "", register(ident("ns", "t"), file)); err != nil {
		t.Fatal(err)
	}
}
